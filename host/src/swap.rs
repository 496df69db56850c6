//! Swap: one generation follows another while calls go on.
//!
//! The new generation is prepared fully while the old one serves. Then, for a plugin **with** state: close the gate, drain,
//! pause, export, seal, import, stop the old, start the new, publish, open the gate. **Without** state: start the new,
//! publish, drain, stop the old; nobody waits. Whatever fails before `publish` is undone in reverse, and the old one serves
//! on.

mod carry;
mod stages;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use carry::{Capsule, give};
pub(crate) use stages::Stages;

use crate::drain::drain;
use crate::ffi::Plugin;
use crate::kernel::gate::{Gate, Passage};
use crate::kernel::generation::Generation;
use crate::kernel::lease::{Replaced, Slot};
use crate::kernel::snapshots::Snapshots;
use crate::load::Loaded;
use crate::start::{CallbackError, callback, export, start};

/// Both sides of a swap, and what it works with.
#[derive(Debug)]
pub(crate) struct Swap<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) old: &'a Arc<Generation>,
    pub(crate) snapshots: &'a Snapshots,
    /// For each callback.
    pub(crate) callback: Duration,
    pub(crate) drain: Duration,
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
    pub(crate) state_bytes: u64,
    /// Why the old generation does not serve any more, if the way back failed too.
    pub(crate) old_is_down: Option<String>,
}

/// Replaces `old` by a loaded candidate.
pub(crate) fn swap(swap: &Swap<'_>, candidate: Loaded, stages: &mut Stages) -> Result<Committed, GivenUp> {
    if swap.old.plugin.is_stateful() {
        stateful(swap, candidate, stages)
    } else {
        stateless(swap, candidate, stages)
    }
}

/// Publish, then drain: both run for a moment, nobody waits.
fn stateless(swap: &Swap<'_>, candidate: Loaded, stages: &mut Stages) -> Result<Committed, GivenUp> {
    let started = match stages.time("start", || start(candidate, swap.callback)) {
        Ok(started) => started,
        Err((candidate, error)) => {
            return Err(GivenUp {
                reason: error.to_string(),
                candidate: candidate.generation,
                passage: Passage::default(),
                state_bytes: 0,
                old_is_down: None,
            });
        }
    };
    let replaced = stages.time("publish", || swap.slot.publish(Arc::clone(&started.generation)));
    let undrained = stages.time("drain", || drain(replaced, swap.drain)).err().map(|e| e.replaced);
    if undrained.is_none()
        && let Err(error) = stages.time("stop", || callback(swap.old, "stop", swap.callback, Plugin::stop))
    {
        tracing::warn!(plugin = %swap.old.name, generation = swap.old.number, %error, "the old generation did not stop well");
    }
    Ok(Committed { new: started.generation, passage: Passage::default(), capsule: None, undrained })
}

/// Drain, then publish: callers wait at the gate for as long as the state is on its way.
fn stateful(swap: &Swap<'_>, candidate: Loaded, stages: &mut Stages) -> Result<Committed, GivenUp> {
    let gate = Arc::new(Gate::default());
    let replaced = swap.slot.close(&gate);
    let candidate_kept = Arc::clone(&candidate.generation);
    let carried = match stages.time("drain", || drain(replaced, swap.drain)) {
        Ok(()) => behind_the_gate(swap, candidate, stages),
        Err(error) => Err(Undone { reason: error.to_string(), state_bytes: 0, old_is_down: None }),
    };
    match carried {
        Ok((new, capsule)) => {
            drop(candidate_kept);
            // What was published meanwhile is the gate itself: nobody has a lease of it.
            let _: Replaced = stages.time("publish", || swap.slot.publish(Arc::clone(&new)));
            gate.open();
            Ok(Committed { new, passage: gate.passage(), capsule: Some(capsule), undrained: None })
        }
        Err(Undone { reason, state_bytes, old_is_down }) => {
            let _: Replaced = match &old_is_down {
                None => swap.slot.publish(Arc::clone(swap.old)),
                Some(why) => swap.slot.take_down(crate::kernel::view::Phase::Faulted, Some(why.clone())),
            };
            gate.open();
            Err(GivenUp {
                reason,
                candidate: candidate_kept,
                passage: gate.passage(),
                state_bytes,
                old_is_down,
            })
        }
    }
}

struct Undone {
    reason: String,
    state_bytes: u64,
    old_is_down: Option<String>,
}

/// From pause to start, undone in reverse when a step fails.
fn behind_the_gate(
    swap: &Swap<'_>,
    candidate: Loaded,
    stages: &mut Stages,
) -> Result<(Arc<Generation>, Capsule), Undone> {
    let (old, within) = (swap.old, swap.callback);
    let undone = |state_bytes, error: &dyn std::fmt::Display| Undone {
        reason: error.to_string(),
        state_bytes,
        old_is_down: None,
    };
    stages.time("pause", || callback(old, "pause", within, Plugin::pause)).map_err(|e| undone(0, &e))?;
    let carried = carry_over(swap, &candidate, stages);
    let (capsule, state_bytes) = match carried {
        Ok(carried) => carried,
        Err((state_bytes, reason)) => {
            resume(old, within);
            return Err(undone(state_bytes, &reason));
        }
    };
    if let Err(error) = stages.time("stop", || callback(old, "stop", within, Plugin::stop)) {
        // It may have stopped half: bring it back as after any other failure from here on.
        let old_is_down = restart(old, within);
        return Err(Undone { old_is_down, ..undone(state_bytes, &error) });
    }
    match stages.time("start", || start(candidate, within)) {
        Ok(started) => Ok((started.generation, capsule)),
        Err((_, error)) => {
            let old_is_down = restart(old, within);
            Err(Undone { old_is_down, ..undone(state_bytes, &error) })
        }
    }
}

/// Export, seal, open, import. The error brings the size of the state, as far as that is known.
fn carry_over(
    swap: &Swap<'_>,
    candidate: &Loaded,
    stages: &mut Stages,
) -> Result<(Capsule, u64), (u64, String)> {
    let state = stages.time("export", || export(swap.old, swap.callback)).map_err(|e| (0, e.to_string()))?;
    let bytes = state.len() as u64;
    let capsule =
        stages.time("seal", || Capsule::seal(swap.snapshots, swap.old, &state)).map_err(|e| (bytes, e))?;
    drop(state);
    stages
        .time("import", || capsule.carry_into(swap.snapshots, &candidate.generation, swap.callback))
        .map_err(|e| (bytes, e))?;
    Ok((capsule, bytes))
}

fn resume(old: &Arc<Generation>, deadline: Duration) {
    if let Err(error) = callback(old, "resume", deadline, Plugin::resume) {
        tracing::warn!(plugin = %old.name, generation = old.number, %error, "the generation did not resume well");
    }
}

/// Starts the old generation again; why it is down, if that fails.
fn restart(old: &Arc<Generation>, deadline: Duration) -> Option<String> {
    let error: CallbackError = callback(old, "start", deadline, Plugin::start).err()?;
    Some(format!("the swap failed, and the old generation could not be started again: {error}"))
}

#[cfg(test)]
mod tests;
