//! Swap: one generation follows another while calls go on.
//!
//! The new generation is prepared fully while the old one serves. Then, for a plugin **with** state: close the gate, drain,
//! pause, export, seal, import, stop the old, start the new, publish, open the gate. **Without** state: start the new,
//! publish, drain, stop the old; nobody waits. Whatever fails before `publish` is undone in reverse, and the old one serves
//! on.

mod carry;
mod stages;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use carry::{Capsule, give};
pub(crate) use stages::Stages;

use crate::drain::drain;
use crate::kernel::gate::{Gate, Passage};
use crate::kernel::generation::Generation;
use crate::kernel::lease::Replaced;
use crate::kernel::slot::Slot;
use crate::kernel::snapshots::Snapshots;
use crate::kernel::view::Phase;
use crate::load::Loaded;
use crate::start::{CallbackError, export, pause, resume, start, start_again, stop};

/// Both sides of a swap, and what it works with.
#[derive(Debug)]
pub(crate) struct Swap<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) old: &'a Arc<Generation>,
    pub(crate) snapshots: &'a Snapshots,
    pub(crate) handover: Handover,
    /// One gate is closed at a time: of two services that call each other, each would wait at the other's gate while
    /// both are drained.
    pub(crate) one_gate: &'a Mutex<()>,
    /// For each callback.
    pub(crate) callback: Duration,
    pub(crate) drain: Duration,
}

/// How the candidate comes by its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handover {
    /// The old generation gives it away behind the gate.
    Carried,
    /// It has it already. Behind the gate the old one only stops.
    Given,
    /// It has it already, and nobody waits for who is inside the old one: publish, then drain.
    Beside,
}

/// A swap that is through: the new generation serves.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) new: Arc<Generation>,
    pub(crate) passage: Passage,
    /// The state that was carried, sealed, to be written durably.
    pub(crate) capsule: Option<Capsule>,
    /// Calls that are still inside the old one.
    pub(crate) undrained: Option<Replaced>,
}

/// A swap that was given up: the old generation serves.
#[derive(Debug)]
pub(crate) struct GivenUp {
    pub(crate) reason: String,
    /// The candidate, to unload.
    pub(crate) candidate: Arc<Generation>,
    pub(crate) passage: Passage,
    /// The state, if it was exported.
    pub(crate) capsule: Option<Capsule>,
    /// Why the old generation does not serve any more, if the way back failed too.
    pub(crate) old_is_down: Option<String>,
}

/// Replaces `old` by a loaded candidate.
pub(crate) fn swap(
    swap: &Swap<'_>,
    candidate: Loaded,
    stages: &mut Stages,
) -> Result<Committed, Box<GivenUp>> {
    if swap.old.plugin.is_stateful() && swap.handover != Handover::Beside {
        stateful(swap, candidate, stages)
    } else {
        stateless(swap, candidate, stages)
    }
}

/// Publish, then drain: both run for a moment, nobody waits.
fn stateless(swap: &Swap<'_>, candidate: Loaded, stages: &mut Stages) -> Result<Committed, Box<GivenUp>> {
    let started = match stages.time("start", || start(candidate, swap.callback)) {
        Ok(started) => started,
        Err((candidate, error)) => {
            return Err(Box::new(GivenUp {
                reason: error.to_string(),
                candidate: candidate.generation,
                passage: Passage::default(),
                capsule: None,
                old_is_down: None,
            }));
        }
    };
    let replaced = stages.time("publish", || swap.slot.publish(Arc::clone(&started.generation)));
    let undrained = stages.time("drain", || drain(replaced, swap.drain)).err().map(|e| e.replaced);
    if undrained.is_none() {
        let _ = stop_old(swap, stages);
    }
    Ok(Committed { new: started.generation, passage: Passage::default(), capsule: None, undrained })
}

/// Drain, then publish: callers wait at the gate for as long as the state is on its way.
fn stateful(swap: &Swap<'_>, candidate: Loaded, stages: &mut Stages) -> Result<Committed, Box<GivenUp>> {
    let one_gate = swap.one_gate.lock().unwrap_or_else(PoisonError::into_inner);
    let gate = Arc::new(Gate::default());
    // However this ends, nobody is left waiting.
    let opening = gate.opening();
    let replaced = swap.slot.close(&gate);
    let candidate_kept = Arc::clone(&candidate.generation);
    let carried = match stages.time("drain", || drain(replaced, swap.drain)) {
        Ok(()) => behind_the_gate(swap, candidate, stages),
        Err(error) => Err(Undone { reason: error.to_string(), capsule: None, old_is_down: None }),
    };
    // What is replaced below is the gate, or a state that says down: nobody has a lease of those.
    let _: Replaced = match &carried {
        Ok((new, _)) => stages.time("publish", || swap.slot.publish(Arc::clone(new))),
        Err(Undone { old_is_down: None, .. }) => swap.slot.publish(Arc::clone(swap.old)),
        Err(Undone { old_is_down: Some(why), .. }) => swap.slot.take_down(Phase::Faulted, Some(why.clone())),
    };
    drop(opening);
    drop(one_gate);
    let passage = gate.passage();
    match carried {
        Ok((new, capsule)) => Ok(Committed { new, passage, capsule, undrained: None }),
        Err(Undone { reason, capsule, old_is_down }) => {
            Err(Box::new(GivenUp { reason, candidate: candidate_kept, passage, capsule, old_is_down }))
        }
    }
}

struct Undone {
    reason: String,
    capsule: Option<Capsule>,
    old_is_down: Option<String>,
}

/// From pause to start, undone in reverse when a step fails.
fn behind_the_gate(
    swap: &Swap<'_>,
    candidate: Loaded,
    stages: &mut Stages,
) -> Result<(Arc<Generation>, Option<Capsule>), Undone> {
    let (old, within) = (swap.old, swap.callback);
    let capsule = match swap.handover {
        Handover::Carried => Some(pause_and_carry(swap, &candidate, stages)?),
        Handover::Given | Handover::Beside => None,
    };
    let hangs = stop_old(swap, stages);
    match stages.time("start", || start(candidate, within)) {
        Ok(started) => Ok((started.generation, capsule)),
        Err((_, error)) => {
            let old_is_down = match hangs {
                // Its `stop` may come to an end at any time, also beside a `start`.
                Some(hangs) => Some(format!("the swap failed, and the old generation cannot go on: {hangs}")),
                None => start_again(old, within).err().map(|error| {
                    format!("the swap failed, and the old generation could not be started again: {error}")
                }),
            };
            Err(Undone { reason: error.to_string(), capsule, old_is_down })
        }
    }
}

/// Pauses the old generation and carries its state over; resumes it when that fails.
fn pause_and_carry(swap: &Swap<'_>, candidate: &Loaded, stages: &mut Stages) -> Result<Capsule, Undone> {
    let (old, within) = (swap.old, swap.callback);
    stages.time("pause", || pause(old, within)).map_err(|error| Undone {
        reason: error.to_string(),
        capsule: None,
        old_is_down: None,
    })?;
    carry_over(swap, candidate, stages).map_err(|(capsule, reason)| {
        resume(old, within);
        Undone { reason, capsule, old_is_down: None }
    })
}

/// Stops the old generation. Its state is with the new one: whatever `stop` says, the swap goes on. The error comes back
/// when it hangs.
fn stop_old(swap: &Swap<'_>, stages: &mut Stages) -> Option<CallbackError> {
    let error = stages.time("stop", || stop(swap.old, swap.callback)).err()?;
    tracing::warn!(plugin = %swap.old.name, generation = swap.old.number, %error, "the old generation did not stop well");
    matches!(error, CallbackError::Hangs { .. }).then_some(error)
}

/// Export, seal, open, import. The error brings the capsule, if there is one by then.
fn carry_over(
    swap: &Swap<'_>,
    candidate: &Loaded,
    stages: &mut Stages,
) -> Result<Capsule, (Option<Capsule>, String)> {
    let new = &candidate.generation;
    let state =
        stages.time("export", || export(swap.old, swap.callback)).map_err(|e| (None, e.to_string()))?;
    let capsule =
        stages.time("seal", || Capsule::seal(swap.snapshots, swap.old, &state)).map_err(|e| (None, e))?;
    drop(state);
    let carried = if new.plugin.is_stateful() {
        stages.time("import", || capsule.carry_into(swap.snapshots, new, swap.callback))
    } else {
        // The next version keeps no state. What this one had lives on the disk only: it must be there first.
        stages.time("snapshot", || swap.snapshots.save_capsule(&swap.old.name, &capsule))
    };
    match carried {
        Ok(()) => Ok(capsule),
        Err(reason) => Err((Some(capsule), reason)),
    }
}

#[cfg(test)]
mod tests;
