//! Call: the two ways into a running generation.
//!
//! [`inline`] runs on the caller's thread: nanoseconds, and no deadline is possible. [`request`] goes through the
//! generation's lane: a deadline, back-pressure, and nothing of the plugin stays behind on the caller's thread.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::{Lent, Out, Status};

use crate::CallError;
use crate::kernel::generation::Generation;
use crate::kernel::lane::{LaneError, is_lane};
use crate::kernel::lease::HOP_LIMIT;
use crate::kernel::slot::{NoEntry, Slot};

/// As good as for ever.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Calls on this thread, appending to a buffer that the caller lends.
pub(crate) fn inline(slot: &Slot, method: &str, request: &[u8], reply: Out<'_>) -> Result<(), CallError> {
    let outcome = slot.enter(|generation, waited| {
        if !generation.called_inline.load(Ordering::Relaxed) && !is_lane() {
            generation.called_inline.store(true, Ordering::Relaxed);
        }
        answer(generation, waited, method, request, reply)
    });
    outcome.unwrap_or_else(|refused| Err(no_entry(slot, refused, Duration::ZERO)))
}

/// Calls through the lane, within `deadline`.
pub(crate) fn request(
    slot: &Arc<Slot>,
    method: &str,
    request: Vec<u8>,
    deadline: Duration,
) -> Result<Vec<u8>, CallError> {
    // A deadline that no clock can hold is none.
    let until = Instant::now().checked_add(deadline).unwrap_or_else(|| Instant::now() + FAR);
    let lease = slot.lease(until).map_err(|refused| no_entry(slot, refused, deadline))?;
    let lane = Arc::clone(&lease.generation().lane);
    let (slot_there, method) = (Arc::clone(slot), method.to_owned());
    let left = until.saturating_duration_since(Instant::now());
    let done = lane.request(left, move || {
        let mut reply = Vec::new();
        let outcome = lease.enter(|generation| {
            answer(generation, lease.waited, &method, &request, Lent::new(&mut reply).out())
        });
        outcome.unwrap_or_else(|refused| Err(no_entry(&slot_there, refused, deadline))).map(|()| reply)
    });
    let service = || slot.name().to_string();
    match done {
        Ok(answer) => answer,
        Err(LaneError::TimedOut) => {
            Err(CallError::TimedOut { service: service(), deadline, doing: "has not answered" })
        }
        Err(LaneError::Full) => Err(CallError::Refused {
            service: service(),
            text: "too many requests wait for it; try again later".to_owned(),
        }),
        Err(LaneError::Closed) => {
            Err(CallError::Refused { service: service(), text: "it is being stopped".to_owned() })
        }
    }
}

fn answer(
    generation: &Generation,
    waited: bool,
    method: &str,
    request: &[u8],
    reply: Out<'_>,
) -> Result<(), CallError> {
    generation.tally.enter(waited);
    // Allocates nothing unless there is an error to tell.
    let mut text = Vec::new();
    let status = generation.plugin.call(method, request, reply, Lent::new(&mut text).out());
    generation.tally.answer(waited, status != Status::OK);
    if status == Status::OK { Ok(()) } else { Err(failure(generation, method, status, &text)) }
}

#[cold]
fn failure(generation: &Generation, method: &str, status: Status, text: &[u8]) -> CallError {
    let service = generation.name.to_string();
    let text = String::from_utf8_lossy(text).into_owned();
    match status {
        Status::PANICKED => CallError::Panicked { service, text },
        Status::NO_SUCH_METHOD => CallError::NoSuchMethod {
            service,
            method: method.to_owned(),
            known: generation.manifest().methods.clone(),
        },
        _ => CallError::Failed { service, text },
    }
}

#[cold]
fn no_entry(slot: &Slot, refused: NoEntry, deadline: Duration) -> CallError {
    let service = slot.name().to_string();
    match refused {
        NoEntry::Down { phase, reason } => CallError::NotRunning { service, phase, reason },
        NoEntry::Expired => CallError::TimedOut { service, deadline, doing: "is being swapped" },
        NoEntry::TooManyHops => CallError::TooManyHops { service, limit: HOP_LIMIT },
    }
}
