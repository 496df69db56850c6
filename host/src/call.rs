//! Call: the two ways into a running generation.
//!
//! [`inline`] runs on the caller's thread: nanoseconds, and no deadline is possible. [`request`] goes through the
//! generation's lane: a deadline, back-pressure, and nothing of the plugin stays behind on the caller's thread. A [`Stream`] is many items
//! both ways.

mod exchange;
pub(crate) mod known;
pub(crate) mod named;
mod retry;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use exchange::{Ended, Exchange};
use hotbay_plugin_api::abi::{Out, Status};
pub(crate) use stream::open;
pub use stream::{Opening, Stream};

use crate::CallError;
use crate::bus::{self, Cancel};
use crate::error::nearest_first;
use crate::kernel::generation::Generation;
use crate::kernel::guard::Refusal;
use crate::kernel::lane::{Job, LaneError};
use crate::kernel::lease::{HOP_LIMIT, Thread};
use crate::kernel::slot::{Entry, NoEntry, Slot};
use crate::kernel::tally::{Entered, Own};

/// As good as for ever.
const FAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// A call's end, on its way: one word, so that handing it on costs nothing.
pub(crate) type Called = Result<(), Box<CallError>>;

/// The plugin's answer is in the reply's buffer; or why not.
type Asked = Result<(), Box<Failure>>;

/// Why there is no answer.
#[derive(Debug)]
enum Failure {
    /// The plugin has none. Its words are in the reply's buffer; these are the methods that it has, where it was asked for
    /// another.
    Plugin { status: Status, known: Vec<String> },
    /// It was not asked.
    Host(Box<CallError>),
}

/// Calls on this thread, appending to a buffer that the caller lends.
#[inline]
pub(crate) fn inline(slot: &Slot, method: &str, request: &[u8], mut reply: Out<'_>) -> Called {
    let before = reply.len();
    match ask(slot, method, request, reply.again()) {
        Ok(()) => Ok(()),
        Err(failure) => retry::inline(slot, method, request, reply, (failure, before)),
    }
}

/// A function of its own with no more arguments than registers; it keeps nothing for the other ways, nor for failures, which
/// look for what they need when there is one.
#[inline(never)]
fn ask(slot: &Slot, method: &str, request: &[u8], mut reply: Out<'_>) -> Asked {
    let at_once = slot.enter_at_once(|generation, own| {
        answered(generation, own, generation.plugin.call(method, request, reply.again()))
    });
    match at_once {
        Some(asked) => asked,
        None => ask_now(slot, method, request, reply),
    }
}

/// The same for a call that comes out of another, or is this thread's first one there.
#[inline(never)]
fn ask_now(slot: &Slot, method: &str, request: &[u8], mut reply: Out<'_>) -> Asked {
    match slot.enter_now(|generation, entry| enter(generation, entry, method, request, reply.again())) {
        Some(asked) => asked,
        None => ask_later(slot, method, request, reply),
    }
}

/// The same where nobody serves right now.
#[cold]
fn ask_later(slot: &Slot, method: &str, request: &[u8], mut reply: Out<'_>) -> Asked {
    let given = bus::remaining().unwrap_or_default();
    match slot.enter(&mut |generation, entry| enter(generation, entry, method, request, reply.again())) {
        Ok(asked) => asked,
        Err(refused) => Err(Box::new(Failure::Host(no_entry(slot, *refused, given)))),
    }
}

/// Where neither a caller nor the service's settings say how long.
const DEADLINE: Duration = Duration::from_secs(30);

/// Calls through the lane, within `deadline`, else the service's own, and no longer than who asked this thread waits; appends the reply to
/// `reply`. Where that is declared to do no harm and the settings say so, what was not answered is tried again, within the same deadline.
pub(crate) fn request(
    slot: &Slot,
    method: &str,
    request: &[u8],
    reply: &mut Vec<u8>,
    deadline: impl Into<Option<Duration>>,
) -> Called {
    request_until(slot, method, request, reply, deadline, None)
}

/// The same; who cancels waits no more for its turn.
pub(crate) fn request_until(
    slot: &Slot,
    method: &str,
    request: &[u8],
    reply: &mut Vec<u8>,
    deadline: impl Into<Option<Duration>>,
    cancel: Option<&Cancel>,
) -> Called {
    let limit = bus::limit();
    let cancel = cancel.or(limit.cancel.as_ref());
    let deadline = deadline.into().or_else(|| slot.guard().rules().deadline).unwrap_or(DEADLINE);
    let given = bus::end_of(deadline);
    let within = Within {
        deadline: bus::remaining().map_or(deadline, |left| left.min(deadline)),
        given,
        until: given.unwrap_or_else(|| Instant::now() + FAR),
        cancel,
    };
    retry::within(slot, method, &within, &mut || request_once(slot, method, request, reply, &within))
}

/// How long a request waits.
struct Within<'a> {
    deadline: Duration,
    /// Its end; none where no clock can hold it.
    given: Option<Instant>,
    until: Instant,
    cancel: Option<&'a Cancel>,
}

fn request_once(
    slot: &Slot,
    method: &str,
    request: &[u8],
    reply: &mut Vec<u8>,
    &Within { deadline, given, until, cancel }: &Within<'_>,
) -> Called {
    let began = Instant::now();
    let lease = slot.lease(until, cancel).map_err(|refused| match refused {
        NoEntry::Expired if cancel.is_some_and(Cancel::is_cancelled) => cancelled(slot),
        refused => no_entry(slot, refused, deadline),
    });
    let lease = lease?.of(method);
    // Said at once: it waits for nothing that others do there.
    if let Some(error) = unknown(slot, lease.generation(), method) {
        return Err(error);
    }
    let Generation { lane, alarm, tally, .. } = &**lease.generation();
    let (lane, alarm, tally) = (Arc::clone(lane), Arc::clone(alarm), Arc::clone(tally));
    let number = lease.number();
    let exchange = Exchange::ask(method, request, given);
    let job: Arc<dyn Job> = Arc::clone(&exchange) as _;
    if let Err(error) = lane.request(Arc::clone(&job), || exchange.accept(lease)) {
        exchange.keep();
        return Err(turned_away(slot, &error));
    }
    let ended = exchange.wait(until, cancel);
    tally.method(number).latency.note(Thread::this(), began.elapsed());
    match ended {
        Ended::Done(outcome) => {
            let outcome = match outcome {
                Some(Ok(Ok(()))) => {
                    exchange.copy_reply(reply);
                    Ok(())
                }
                Some(Ok(Err(failure))) => Err(exchange.error(slot, method, *failure)),
                Some(Err(refused)) => Err(no_entry(slot, *refused, deadline)),
                None => Err(turned_away(slot, &LaneError::Closed)),
            };
            exchange.keep();
            outcome
        }
        Ended::GivenUp { seat } => {
            match seat {
                Some(seat) => {
                    alarm.give_up(&job);
                    lane.take_over(seat);
                }
                None => {
                    alarm.expire();
                    lane.withdraw(&job);
                    drop(job);
                    exchange.expire();
                }
            }
            let service = slot.name().to_string();
            Err(Box::new(CallError::TimedOut { service, deadline, doing: "has not answered" }))
        }
        Ended::Cancelled => {
            lane.withdraw(&job);
            drop(job);
            exchange.expire();
            Err(cancelled(slot))
        }
    }
}

#[cold]
fn cancelled(slot: &Slot) -> Box<CallError> {
    Box::new(CallError::Cancelled { service: slot.name().to_string() })
}

/// Has this thread make what it keeps for its requests.
#[cfg(feature = "cli")]
pub(crate) fn settle() {
    Exchange::ask("", b"", None).keep();
}

#[cold]
fn turned_away(slot: &Slot, error: &LaneError) -> Box<CallError> {
    let text = match error {
        LaneError::Full => "too many requests wait for it; try again later",
        LaneError::Closed | LaneError::TimedOut => "it is being stopped",
    };
    Box::new(CallError::Refused { service: slot.name().to_string(), text: text.to_owned() })
}

/// Why a method is not asked for at all: of a service that says which it has, it is none.
fn unknown(slot: &Slot, generation: &Generation, method: &str) -> Option<Box<CallError>> {
    let known = &generation.manifest().methods;
    if known.is_empty() || known.iter().any(|own| own == method) {
        return None;
    }
    Some(no_such_method(slot, method, known.clone()))
}

#[cold]
fn no_such_method(slot: &Slot, method: &str, known: Vec<String>) -> Box<CallError> {
    let (service, known) = (slot.name().to_string(), nearest_first(method, known));
    Box::new(CallError::NoSuchMethod { service, method: method.to_owned(), known })
}

fn enter(generation: &Generation, entry: Entry, method: &str, request: &[u8], reply: Out<'_>) -> Asked {
    answer(generation, generation.tally.enter(entry.thread, entry.waited), method, request, reply)
}

fn answer(
    generation: &Generation,
    entered: Entered<'_>,
    method: &str,
    request: &[u8],
    reply: Out<'_>,
) -> Asked {
    let status = generation.plugin.call(method, request, reply);
    if status != Status::OK {
        return Err(failed(generation, entered, status));
    }
    entered.answer();
    Ok(())
}

/// A call that went in at once comes out.
#[inline(always)]
fn answered(generation: &Generation, own: Own<'_>, status: Status) -> Asked {
    if status != Status::OK {
        return Err(failed(generation, own.entered(), status));
    }
    own.answer();
    Ok(())
}

#[cold]
fn failed(generation: &Generation, entered: Entered<'_>, status: Status) -> Box<Failure> {
    let is_mistaken = status == Status::NO_SUCH_METHOD;
    entered.fail(is_mistaken);
    if !is_mistaken {
        generation.alarm.fault(status == Status::PANICKED);
    }
    let known = if is_mistaken { generation.manifest().methods.clone() } else { Vec::new() };
    Box::new(Failure::Plugin { status, known })
}

/// The error of a call that was not answered. The plugin's words stand in `reply` after its first `before` bytes, and are
/// taken out.
#[cold]
fn error(slot: &Slot, method: &str, failure: Failure, mut reply: Out<'_>, before: usize) -> Box<CallError> {
    let (status, known) = match failure {
        Failure::Plugin { status, known } => (status, known),
        Failure::Host(error) => return error,
    };
    let text = reply.take_words(before);
    let service = slot.name().to_string();
    match status {
        Status::PANICKED => Box::new(CallError::Panicked { service, text }),
        Status::NO_SUCH_METHOD => no_such_method(slot, method, known),
        _ => Box::new(CallError::Failed { service, text }),
    }
}

#[cold]
fn no_entry(slot: &Slot, refused: NoEntry, deadline: Duration) -> Box<CallError> {
    let service = slot.name().to_string();
    Box::new(match refused {
        NoEntry::Down { phase, reason } => CallError::NotRunning { service, phase, reason },
        NoEntry::Expired => CallError::TimedOut { service, deadline, doing: "is being swapped" },
        NoEntry::TooManyHops => CallError::TooManyHops { service, limit: HOP_LIMIT },
        NoEntry::Refused(Refusal::Open { why, again: retry_after }) => {
            CallError::BreakerOpen { service, why, retry_after }
        }
        NoEntry::Refused(Refusal::Crowded { limit }) => CallError::TooManyInside { service, limit },
        NoEntry::Refused(Refusal::TooFast { per_second, again: retry_after }) => {
            CallError::TooFast { service, per_second, retry_after }
        }
    })
}

#[cfg(test)]
mod tests;
