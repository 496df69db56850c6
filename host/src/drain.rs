//! Drain: wait until nobody is inside a generation that is no longer published. Who handles a stream there is told to let go.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use crate::fault;
use crate::kernel::generation::Generation;
use crate::kernel::lease::Fenced;

/// Calls that did not end in time.
#[derive(Debug, thiserror::Error)]
#[error("calls inside it did not end within {} ms", deadline.as_millis())]
pub(crate) struct DrainError {
    deadline: Duration,
}

#[cfg(test)]
impl DrainError {
    pub(crate) fn after(deadline: Duration) -> Self {
        Self { deadline }
    }
}

/// Waits for every lease of the states that published this generation and are replaced: also for calls that were inside when
/// an earlier swap was called off.
pub(crate) fn drain(generation: &Generation, deadline: Duration) -> Result<(), DrainError> {
    drain_behind(None, generation, deadline)
}

/// The same while readers fence by themselves.
pub(crate) fn drain_behind(
    fenced: Option<&Fenced>,
    generation: &Generation,
    deadline: Duration,
) -> Result<(), DrainError> {
    let until = Instant::now() + deadline;
    let failed = || DrainError { deadline };
    fault::point("drain", &generation.name).map_err(|_| failed())?;
    generation.plugin.streams().move_on();
    let mut replaced = generation.replaced.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(fenced) = fenced {
        replaced.iter().for_each(|state| state.behind(fenced));
    }
    let left = || until.saturating_duration_since(Instant::now());
    if !replaced.iter().all(|state| state.drain(left())) {
        return Err(failed());
    }
    replaced.clear();
    Ok(())
}
