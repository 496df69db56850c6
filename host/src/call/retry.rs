//! Retries: what was not answered is asked once more, where the plugin declares that to do no harm and the settings say so.
//!
//! An error that the plugin answered with is an answer. What its breaker or its limits refuse is not asked again: they are there to
//! keep calls away.

use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Out;

use super::{Called, Failure, Within, ask, error};
use crate::CallError;
use crate::bus;
use crate::kernel::restarts::{chance, pause};
use crate::kernel::slot::Slot;
use crate::kernel::view::Phase;

/// No pause between two attempts is longer.
const LONGEST: Duration = Duration::from_secs(1);

/// After a call on this thread that failed. Nothing of it lies on the way of one that did not.
#[cold]
pub(super) fn inline(
    slot: &Slot,
    method: &str,
    request: &[u8],
    mut reply: Out<'_>,
    (failure, before): (Box<Failure>, usize),
) -> Called {
    let mut last = error(slot, method, *failure, reply.again(), before);
    let Some((times, first)) = may(slot, method, &last) else { return Err(last) };
    for number in 0..times {
        let wait = pause(first, LONGEST, number, chance());
        // Who asked this thread waits no longer than that.
        if bus::remaining().is_some_and(|left| left <= wait)
            || !bus::pause(wait, bus::limit().cancel.as_ref())
        {
            break;
        }
        match ask(slot, method, request, reply.again()) {
            Ok(()) => return Ok(()),
            Err(failure) => last = error(slot, method, *failure, reply.again(), before),
        }
        if !is_passing(&last) {
            break;
        }
    }
    Err(last)
}

/// The same for a request, which has a deadline: a pause that would end behind it is not begun.
pub(super) fn within(
    slot: &Slot,
    method: &str,
    &Within { until, cancel, .. }: &Within<'_>,
    ask: &mut dyn FnMut() -> Called,
) -> Called {
    let mut asked = ask();
    let mut number = 0;
    while let Err(last) = &asked {
        let Some((times, first)) = may(slot, method, last) else { break };
        let wait = pause(first, LONGEST, number, chance());
        if number >= times || Instant::now() + wait >= until || !bus::pause(wait, cancel) {
            break;
        }
        number += 1;
        asked = ask();
    }
    asked
}

/// How often, and how soon, a method is asked again after this.
fn may(slot: &Slot, method: &str, after: &CallError) -> Option<(u32, Duration)> {
    if !is_passing(after) {
        return None;
    }
    let guard = slot.guard();
    let (times, first) = guard.retries();
    (times > 0 && guard.is_idempotent(method)).then_some((times, first))
}

/// Whether another attempt may end otherwise.
fn is_passing(error: &CallError) -> bool {
    match error {
        CallError::Panicked { .. } => true,
        CallError::NotRunning { phase, .. } => matches!(phase, Phase::Starting | Phase::Faulted),
        // Its mailbox is full, or its lane is about to be another one.
        CallError::Refused { .. } => true,
        _ => false,
    }
}
