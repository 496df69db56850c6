//! Swap: one generation follows another while calls go on.
//!
//! The new generation is prepared fully while the old one serves. Then, for a plugin **with** state: close the gate, drain,
//! pause, export, seal, import, stop the old, start the new, publish, open the gate. **Without** state: start the new,
//! publish, drain, stop the old; nobody waits. Whatever fails before `publish` is undone in reverse, and the old one serves
//! on.

mod carry;
mod newest;
mod over;
mod ready;
mod rehearse;
mod relay;
mod stages;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hotbay_state::KeyRing;

use carry::warm_up;
pub(crate) use carry::{Again, Capsule, Room, Sealed, begin_draft, give};
use newest::write_newest;
use over::pause_and_carry;
use ready::{Ready, ready};
use relay::Done;
pub(crate) use stages::{Stages, guarded};

use crate::config::Rehearse;
use crate::drain::{drain, drain_behind};
use crate::error::{Code, Trouble};
use crate::fault;
use crate::kernel::gate::{Gate, Passage};
use crate::kernel::generation::Generation;
use crate::kernel::lease::{Fenced, Replaced};
use crate::kernel::slot::Slot;
use crate::kernel::snapshots::Snapshots;
use crate::kernel::view::Phase;
use crate::load::Loaded;
use crate::start::{
    CallbackError, Exported, Plain, Taking, export_in, start, start_again, stop, wait_for_threads,
};

/// For what takes no time, as a rule, and must not be waited for behind the gate.
const MOMENT: Duration = Duration::from_millis(10);

/// Both sides of a swap, and what it works with.
#[derive(Debug)]
pub(crate) struct Swap<'a> {
    pub(crate) slot: &'a Slot,
    pub(crate) old: &'a Arc<Generation>,
    pub(crate) snapshots: &'a Arc<Snapshots>,
    pub(crate) handover: Handover,
    /// One gate is closed at a time: of two services that call each other, each would wait at the other's gate while
    /// both are drained.
    pub(crate) one_gate: &'a Mutex<()>,
    /// For each callback.
    pub(crate) callback: Duration,
    pub(crate) drain: Duration,
    pub(crate) rehearse: Rehearse,
    /// Bytes of state that are taken from the old generation, at most.
    pub(crate) max_state: u64,
    /// Go on from a snapshot where the old generation does not hand its state over.
    pub(crate) force: bool,
    /// Whether it leads back to the version before: nobody comes back from there with this state.
    pub(crate) is_way_back: bool,
}

impl Swap<'_> {
    /// Takes the state of the old generation in this schema, into memory that is there; what is long, sealed with the primary of `keys`.
    fn export(&self, keys: &KeyRing, schema: u32, room: Plain) -> Result<Exported, CallbackError> {
        let draft = || begin_draft(self.snapshots, keys, self.old, schema);
        let taking = Taking { room, max: self.max_state, draft: &draft };
        export_in(self.old, schema, taking, self.callback)
    }
}

/// How the candidate comes by its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handover {
    /// The old generation gives it away behind the gate.
    Carried,
    /// It has it already. Behind the gate the newest state of the old one is written down, and it stops. Where it cannot be
    /// written down, a swap that is `lossless` is given up, and another one goes on and says so.
    Given { lossless: bool },
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
    /// Whether nobody is inside the old one any more.
    pub(crate) drained: bool,
}

/// A swap that was given up: the old generation serves.
#[derive(Debug)]
pub(crate) struct GivenUp {
    pub(crate) reason: Trouble,
    /// The candidate, to unload.
    pub(crate) candidate: Arc<Generation>,
    pub(crate) passage: Passage,
    /// The state, if it was exported.
    pub(crate) capsule: Option<Capsule>,
    /// Why the old generation does not serve any more, if the way back failed too.
    pub(crate) old_is_down: Option<Trouble>,
}

/// Replaces `old` by a loaded candidate. `serves` is told of it once callers go there, before anybody is waited for.
pub(crate) fn swap(
    swap: &Swap<'_>,
    candidate: Loaded,
    stages: &mut Stages,
    serves: &mut dyn FnMut(&Generation),
) -> Result<Committed, Box<GivenUp>> {
    let swapped = if swap.old.plugin.is_stateful() && swap.handover != Handover::Beside {
        stateful(swap, candidate, stages, serves)
    } else {
        stateless(swap, candidate, stages, serves)
    };
    if swapped.as_ref().is_err_and(|given_up| given_up.old_is_down.is_none()) {
        // The old generation has all of its state: force cost nothing.
        stages.forced = None;
    }
    swapped
}

/// Publish, then drain: both run for a moment, nobody waits.
fn stateless(
    swap: &Swap<'_>,
    candidate: Loaded,
    stages: &mut Stages,
    serves: &mut dyn FnMut(&Generation),
) -> Result<Committed, Box<GivenUp>> {
    let candidate_kept = Arc::clone(&candidate.generation);
    let given_up = |reason| {
        let (candidate, passage) = (Arc::clone(&candidate_kept), Passage::default());
        Box::new(GivenUp { reason, candidate, passage, capsule: None, old_is_down: None })
    };
    let started = stages.time("start", || start(candidate, swap.callback));
    let new = started.map_err(|(_, error)| given_up(error.into()))?.generation;
    swap.old.left(publish(swap, &new, stages).map_err(&given_up)?);
    serves(&new);
    let drained = stages.guarded("drain", || Ok(drain(swap.old, swap.drain)?)).is_ok();
    if swap.old.plugin.is_stateful() {
        // Both versions run: what is lost now is lost.
        let inside = || Trouble::new(Code::NotDrained, "calls are still inside");
        let written = if drained { write_newest(swap, stages) } else { Err(inside()) };
        stages.lost = written.err().map(|why| why.text);
    }
    if drained {
        let _ = stop_old(swap, &mut Done::default(), stages);
    }
    Ok(Committed { new, passage: Passage::default(), capsule: None, drained })
}

/// Drain, then publish: callers wait at the gate for as long as the state is on its way.
fn stateful(
    swap: &Swap<'_>,
    candidate: Loaded,
    stages: &mut Stages,
    serves: &mut dyn FnMut(&Generation),
) -> Result<Committed, Box<GivenUp>> {
    let candidate_kept = Arc::clone(&candidate.generation);
    let ready = match swap.handover {
        Handover::Carried => ready(swap, &candidate_kept, stages).map(Some),
        Handover::Given { .. } | Handover::Beside => Ok(None),
    };
    let mut ready = match ready {
        Ok(ready) => ready,
        Err(reason) => {
            let (candidate, passage) = (candidate_kept, Passage::default());
            return Err(Box::new(GivenUp { reason, candidate, passage, capsule: None, old_is_down: None }));
        }
    };
    let one_gate = swap.one_gate.lock().unwrap_or_else(PoisonError::into_inner);
    // No barrier on all processors while callers wait.
    let fenced = Fenced::begin();
    swap.old.lane.warm_up(swap.callback);
    let prepared = warm_up(&swap.snapshots.keys());
    if let Some(ready) = &mut ready {
        ready.room.prepared = prepared;
    }
    let gate = Arc::new(Gate::default());
    // However this ends, nobody is left waiting.
    let opening = gate.opening();
    swap.old.left(swap.slot.close(&gate));
    let drained = stages.guarded("drain", || Ok(drain_behind(Some(&fenced), swap.old, swap.drain)?));
    let is_drained = drained.is_ok();
    let mut carried = match drained {
        Err(reason) if !swap.force => Err(Undone { reason, capsule: None, old_is_down: None }),
        drained => behind_the_gate(swap, candidate, ready, drained, stages),
    };
    // Requests that wait would run where the candidate's thread-locals are, and keep it from being unloaded.
    if carried.is_err() && swap.old.lane.has_entered(candidate_kept.load) {
        swap.old.lane.renew(MOMENT);
    }
    // What is replaced here is the gate, or a state that says down: nobody has a lease of those.
    let replaced = match &mut carried {
        Ok(carried) => carried.replaced.take(),
        Err(Undone { old_is_down: None, .. }) => Some(swap.slot.publish(Arc::clone(swap.old))),
        Err(Undone { old_is_down: Some(why), .. }) => {
            Some(swap.slot.take_down(Phase::Faulted, Some(why.to_string())))
        }
    };
    drop(opening);
    if let Ok(Carried { new, .. }) = &carried {
        serves(new);
    }
    drop(one_gate);
    let passage = gate.passage();
    // Not before: who waited still looks at it.
    if let Some(replaced) = replaced {
        replaced.behind(&fenced);
    }
    drop(fenced);
    match carried {
        Ok(Carried { new, capsule, plain, .. }) => {
            // Not before the gate opened.
            let digest = plain.map(|plain: Plain| blake3::hash(&plain));
            let capsule = capsule.map(|capsule| Capsule { digest: digest.or(capsule.digest), ..capsule });
            Ok(Committed { new, passage, capsule, drained: is_drained })
        }
        Err(Undone { reason, capsule, old_is_down }) => {
            let capsule = capsule.map(|capsule| *capsule);
            Err(Box::new(GivenUp { reason, candidate: candidate_kept, passage, capsule, old_is_down }))
        }
    }
}

struct Carried {
    new: Arc<Generation>,
    capsule: Option<Capsule>,
    /// What is in the capsule.
    plain: Option<Plain>,
    /// The gate, as it was published.
    replaced: Option<Replaced>,
}

struct Undone {
    reason: Trouble,
    capsule: Option<Box<Capsule>>,
    old_is_down: Option<Trouble>,
}

/// From pause to publish, undone in reverse when a step fails. Where the old generation is not drained, the swap is forced:
/// it is left alone, and ends when its last call does.
fn behind_the_gate(
    swap: &Swap<'_>,
    candidate: Loaded,
    mut ready: Option<Ready>,
    drained: Result<(), Trouble>,
    stages: &mut Stages,
) -> Result<Carried, Undone> {
    let (empty, new) = (drained.is_ok(), candidate.generation);
    let mut done = match &mut ready {
        Some(ready) if empty && ready.goes_at_once(swap, &new) => relay::run(swap, &new, ready, stages),
        _ => Done::default(),
    };
    let (capsule, plain) = match ready {
        Some(ready) => {
            let (capsule, plain) = pause_and_carry(swap, &new, ready, drained, &mut done, stages)?;
            (Some(capsule), plain)
        }
        None => {
            let written = if empty { write_newest(swap, stages) } else { Ok(()) };
            match written {
                Err(reason) if swap.handover == (Handover::Given { lossless: true }) => {
                    return Err(Undone { reason, capsule: None, old_is_down: None });
                }
                written => stages.lost = written.err().map(|why| why.text),
            }
            (None, None)
        }
    };
    let hangs = if empty { stop_old(swap, &mut done, stages) } else { None };
    let started = match done.started.take() {
        Some(started) => {
            started.inspect_err(|_| wait_for_threads(&new, done.left_of(swap.callback, "start")))
        }
        None => stages.time("start", || start_again(&new, swap.callback)),
    };
    let published = match started {
        Ok(()) => publish(swap, &new, stages),
        Err(error) => Err(error.into()),
    };
    match published {
        Ok(replaced) => Ok(Carried { new, capsule, plain, replaced: Some(replaced) }),
        Err(reason) => {
            let old_is_down = if empty { go_back(swap, hangs) } else { None };
            Err(Undone { reason, capsule: capsule.map(Box::new), old_is_down })
        }
    }
}

/// Publishes the new generation; one that cannot be published is stopped again.
fn publish(swap: &Swap<'_>, new: &Arc<Generation>, stages: &mut Stages) -> Result<Replaced, Trouble> {
    let published = stages.guarded("publish", || {
        let failed = |e| Trouble::new(Code::Defect, format!("failed to publish it: {e}"));
        fault::point("publish", &new.name).map_err(failed)?;
        Ok(swap.slot.publish(Arc::clone(new)))
    });
    published.inspect_err(|_| {
        if let Err(error) = stop(new, swap.callback) {
            tracing::warn!(plugin = %new.name, generation = new.number, %error, "the candidate did not stop well");
        }
    })
}

/// Starts the old generation again after its `stop`; why it is down, where it cannot be.
fn go_back(swap: &Swap<'_>, hangs: Option<CallbackError>) -> Option<Trouble> {
    let down = |text| Trouble::new(Code::OldIsDown, text);
    match hangs {
        // Its `stop` may come to an end at any time, also beside a `start`.
        Some(hangs) => Some(down(format!("the swap failed, and the old generation cannot go on: {hangs}"))),
        None => start_again(swap.old, swap.callback).err().map(|error| {
            down(format!("the swap failed, and the old generation could not be started again: {error}"))
        }),
    }
}

/// Stops the old generation. Its state is with the new one: whatever `stop` says, the swap goes on. The error comes back
/// when it hangs.
fn stop_old(swap: &Swap<'_>, done: &mut Done, stages: &mut Stages) -> Option<CallbackError> {
    let stopped = stages.time("stop", || match done.stopped.take() {
        Some(stopped) => {
            wait_for_threads(swap.old, done.left_of(swap.callback, "stop"));
            stopped
        }
        None => stop(swap.old, swap.callback),
    });
    let error = stopped.err()?;
    tracing::warn!(plugin = %swap.old.name, generation = swap.old.number, %error, "the old generation did not stop well");
    matches!(error, CallbackError::Hangs { .. }).then_some(error)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
