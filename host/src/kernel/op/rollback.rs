//! Go back to the last good version after another one was published: a swap like any other, with more than one way to come
//! by the state.

use std::sync::Arc;

use super::swap::{Back, attempt};
use super::{Outcome, Report};
use crate::error::{Code, Trouble};
use crate::kernel::files::Candidate;
use crate::kernel::generation::Generation;
use crate::kernel::probation::Mark;
use crate::kernel::shared::Shared;
use crate::kernel::slot::Slot;
use crate::swap::{Capsule, Handover};

/// Why it goes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody asked: where the state cannot be carried, the version that serves stays.
    Asked,
    /// The version that serves is no good: any way back is better.
    NoGood(Trouble),
}

/// Replaces the generation that serves by the last good version. The ways are tried in turn; each attempt has its receipt.
pub(crate) fn roll_back(
    shared: &Arc<Shared>,
    slot: &Slot,
    old: Arc<Generation>,
    good: Candidate,
    cause: &Cause,
) -> Report {
    let why = match cause {
        Cause::Asked => {
            let text = format!("asked for with `hotbay rollback {}`", slot.name());
            Trouble::new(Code::LeftByHand, text)
        }
        Cause::NoGood(why) => why.clone(),
    };
    // The version that is left is on record, or serves on and has its mark back.
    let before = shared.marks.of(slot.name());
    if shared.config.probation.is_on() {
        shared.marks.set(slot.name(), Mark::of_good(&good, before.as_ref()));
    }
    let mut ways = ways(shared, &old, &good, cause).into_iter().peekable();
    let (mut old, mut left) = (old, Vec::new());
    loop {
        let (handover, given) = ways.next().unwrap_or((Handover::Carried, None));
        let back = Back { why: why.clone(), handover, given };
        let mut report = attempt(shared, slot, old, good.clone().into(), false, Some(back));
        left.append(&mut report.remains);
        match report.outcome {
            Outcome::RolledBack { old: Some(serves), .. } if ways.peek().is_some() => old = serves,
            outcome => {
                if matches!(outcome, Outcome::RolledBack { .. }) && shared.config.probation.is_on() {
                    shared.marks.reset(slot.name(), before);
                }
                return Report { outcome, remains: left, ..report };
            }
        }
    }
}

/// The newest state first; then what was sealed when the good version was replaced; and that without waiting for whoever is
/// inside the version that is left.
fn ways(
    shared: &Shared,
    old: &Generation,
    good: &Candidate,
    cause: &Cause,
) -> Vec<(Handover, Option<Arc<Capsule>>)> {
    let desperate = *cause != Cause::Asked;
    let Some(reads) = &good.manifest.state else {
        let mut ways = vec![(Handover::Carried, None)];
        ways.extend(desperate.then_some((Handover::Beside, None)));
        return ways;
    };
    let mut ways = Vec::new();
    let handed = old.hands_to(reads);
    if handed.is_some() {
        ways.push((Handover::Carried, None));
    }
    // A step down may fail, and would again: then it goes on with the state of the swap, and the newest is kept aside.
    if handed != Some(old.schema()) || desperate {
        let state = shared.good.state(&shared.snapshots.keys(), &old.name);
        if let Some(state) = state.filter(|state| reads.accepts(state.schema)).map(Arc::new) {
            ways.push((Handover::Given { lossless: !desperate }, Some(Arc::clone(&state))));
            ways.extend(desperate.then_some((Handover::Beside, Some(state))));
        }
    }
    ways
}
