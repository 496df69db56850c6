//! Call: the two ways into a running generation.
//!
//! [`inline`] runs on the caller's thread: nanoseconds, and no deadline is possible. [`request`] goes through the
//! generation's lane: a deadline, back-pressure, and nothing of the plugin stays behind on the caller's thread.

mod exchange;

use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::{Ended, Exchange};
use hotbay_plugin_api::abi::{Lent, Out, Status};

use crate::CallError;
use crate::kernel::generation::Generation;
use crate::kernel::lane::{Job, LaneError};
use crate::kernel::lease::{HOP_LIMIT, Thread};
use crate::kernel::slot::{Entry, NoEntry, Slot};

/// As good as for ever.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A call's outcome on its way: one word, so that handing it on costs nothing.
pub(crate) type Outcome = Result<(), Box<CallError>>;

/// Calls on this thread, appending to a buffer that the caller lends.
#[inline]
pub(crate) fn inline(slot: &Slot, method: &str, request: &[u8], reply: &mut Out<'_>) -> Outcome {
    match slot.enter_now(|generation, entry| answer(generation, entry, method, request, reply)) {
        Some(outcome) => outcome,
        None => inline_later(slot, method, request, reply),
    }
}

/// The same where nobody serves right now. Apart, so that the way of most calls is one piece of code.
#[cold]
fn inline_later(slot: &Slot, method: &str, request: &[u8], reply: &mut Out<'_>) -> Outcome {
    match slot.enter(&mut |generation, entry| answer(generation, entry, method, request, reply)) {
        Ok(outcome) => outcome,
        Err(refused) => Err(no_entry(slot, *refused, Duration::ZERO)),
    }
}

/// Calls through the lane, within `deadline`, and appends the reply to `reply`.
pub(crate) fn request(
    slot: &Slot,
    method: &str,
    request: &[u8],
    reply: &mut Vec<u8>,
    deadline: Duration,
) -> Outcome {
    // A deadline that no clock can hold is none.
    let until = Instant::now().checked_add(deadline).unwrap_or_else(|| Instant::now() + FAR);
    let lease = slot.lease(until).map_err(|refused| no_entry(slot, refused, deadline))?;
    let lane = Arc::clone(&lease.generation().lane);
    let exchange = Exchange::ask(lease, method, request);
    let job: Arc<dyn Job> = Arc::clone(&exchange) as _;
    if let Err(error) = lane.request(Arc::clone(&job)) {
        exchange.keep();
        return Err(turned_away(slot, &error));
    }
    match exchange.wait(until) {
        Ended::Done(outcome) => {
            let outcome = match outcome {
                Some(Ok(outcome)) => outcome,
                Some(Err(refused)) => Err(no_entry(slot, *refused, deadline)),
                None => Err(turned_away(slot, &LaneError::Closed)),
            };
            // Nothing of a reply that broke off comes through.
            let outcome = outcome.map(|()| exchange.copy_reply(reply));
            exchange.keep();
            outcome
        }
        Ended::GivenUp { seat } => {
            match seat {
                Some(seat) => lane.take_over(seat),
                None => {
                    lane.withdraw(&job);
                    drop(job);
                    exchange.abandon();
                }
            }
            let service = slot.name().to_string();
            Err(Box::new(CallError::TimedOut { service, deadline, doing: "has not answered" }))
        }
    }
}

#[cold]
fn turned_away(slot: &Slot, error: &LaneError) -> Box<CallError> {
    let text = match error {
        LaneError::Full => "too many requests wait for it; try again later",
        LaneError::Closed | LaneError::TimedOut => "it is being stopped",
    };
    Box::new(CallError::Refused { service: slot.name().to_string(), text: text.to_owned() })
}

#[inline(always)]
fn answer(
    generation: &Generation,
    entry: Entry,
    method: &str,
    request: &[u8],
    reply: &mut Out<'_>,
) -> Outcome {
    let entered = generation.tally.enter(entry.thread, entry.waited);
    // Allocates nothing unless there is an error to tell.
    let mut text = Vec::new();
    let status = generation.plugin.call(method, request, reply.again(), Lent::new(&mut text).out());
    entered.answer(status != Status::OK);
    if status == Status::OK { Ok(()) } else { Err(failure(generation, entry.thread, method, status, &text)) }
}

#[cold]
fn failure(
    generation: &Generation,
    thread: Thread,
    method: &str,
    status: Status,
    text: &[u8],
) -> Box<CallError> {
    let service = generation.name.to_string();
    let text = String::from_utf8_lossy(text).into_owned();
    Box::new(match status {
        Status::PANICKED => CallError::Panicked { service, text },
        Status::NO_SUCH_METHOD => {
            generation.tally.mistake(thread);
            CallError::NoSuchMethod {
                service,
                method: method.to_owned(),
                known: generation.manifest().methods.clone(),
            }
        }
        _ => CallError::Failed { service, text },
    })
}

#[cold]
fn no_entry(slot: &Slot, refused: NoEntry, deadline: Duration) -> Box<CallError> {
    let service = slot.name().to_string();
    Box::new(match refused {
        NoEntry::Down { phase, reason } => CallError::NotRunning { service, phase, reason },
        NoEntry::Expired => CallError::TimedOut { service, deadline, doing: "is being swapped" },
        NoEntry::TooManyHops => CallError::TooManyHops { service, limit: HOP_LIMIT },
    })
}
