//! Drain: wait until nobody is inside a generation that is no longer published.

use std::time::Duration;

use crate::kernel::lease::Replaced;

/// Calls that did not end in time. The state that they hold comes back.
#[derive(Debug, thiserror::Error)]
#[error("calls inside it did not end within {} ms", deadline.as_millis())]
pub(crate) struct DrainError {
    pub(crate) replaced: Replaced,
    deadline: Duration,
}

/// Waits for every lease of a replaced state to end.
pub(crate) fn drain(replaced: Replaced, deadline: Duration) -> Result<(), DrainError> {
    if replaced.drain(deadline) { Ok(()) } else { Err(DrainError { replaced, deadline }) }
}
