//! The state goes over, behind the gate: out of the old generation, sealed, opened, and into the new one.

use std::sync::Arc;
use std::time::Instant;

use hotbay_state::KeyRing;

use super::carry::{Again, Capsule};
use super::newest::keep_whole;
use super::ready::Ready;
use super::{Stages, Swap, Undone};
use crate::error::Trouble;
use crate::load::Loaded;
use crate::start::{Exported, Pausing, Plain, pause, resume};

/// What the old generation was asked so far.
enum Asked {
    /// To pause; or it was not, where somebody is inside.
    Paused(Result<(), Trouble>),
    /// To pause and to export, while there were these keys.
    Exported(Arc<KeyRing>, Result<Exported, Trouble>),
}

/// Pauses the old generation, unless somebody is inside, and carries its state over; resumes it when that fails.
pub(super) fn pause_and_carry(
    swap: &Swap<'_>,
    candidate: &Loaded,
    mut ready: Ready,
    drained: Result<(), Trouble>,
    stages: &mut Stages,
) -> Result<(Capsule, Option<Plain>), Undone> {
    let (old, within) = (swap.old, swap.callback);
    // In one go, where nothing is to be done in between.
    let at_once = drained.is_ok() && ready.schema == old.schema() && ready.hangs().is_none();
    let (asked, is_paused) = if at_once {
        let (keys, room) = (swap.snapshots.keys(), std::mem::take(&mut ready.room.plain));
        let (pausing, begun) = (Arc::new(Pausing::default()), Instant::now());
        let exported = swap.export_after(Some(&pausing), &keys, ready.schema, room);
        let (took, all) = (pausing.took(), begun.elapsed());
        stages.add("pause", took.unwrap_or(all));
        stages.add("export", all.saturating_sub(took.unwrap_or(all)));
        (Asked::Exported(keys, exported.map_err(Trouble::from)), took.is_some())
    } else {
        let paused =
            drained.and_then(|()| stages.time("pause", || pause(old, within)).map_err(Trouble::from));
        let is_paused = paused.is_ok();
        (Asked::Paused(paused), is_paused)
    };
    carry_over(swap, candidate, ready, asked, stages).inspect_err(|_| {
        if is_paused {
            resume(old, within);
        }
    })
}

/// Export, seal, open, import. A forced swap goes on from its fallback where the old generation cannot be asked, or does not
/// answer. The error brings the capsule, if there is one by then.
fn carry_over(
    swap: &Swap<'_>,
    candidate: &Loaded,
    ready: Ready,
    asked: Asked,
    stages: &mut Stages,
) -> Result<(Capsule, Option<Plain>), Undone> {
    let Ready { mut room, schema, fallback } = ready;
    let exported = match asked {
        Asked::Exported(keys, state) => state.map(|state| (keys, state)),
        Asked::Paused(paused) => {
            let hangs = fallback.as_ref().and_then(|fallback| fallback.hangs.clone());
            paused.and(hangs.map_or(Ok(()), Err)).and_then(|()| {
                if schema != swap.old.schema() {
                    stages.whole = Some(keep_whole(swap, stages)?);
                }
                let keys = swap.snapshots.keys();
                let plain = std::mem::take(&mut room.plain);
                let state = stages.time("export", || swap.export(&keys, schema, plain))?;
                Ok((keys, state))
            })
        }
    };
    let exported = exported.and_then(|(keys, state)| {
        stages.guarded("seal", || Capsule::seal(swap.snapshots, keys, swap.old, schema, state, room))
    });
    let (capsule, again) = match (exported, fallback) {
        (Ok(exported), _) => exported,
        (Err(why), Some(fallback)) => {
            stages.forced = Some(fallback.cost(&why));
            (fallback.capsule, Again::default())
        }
        (Err(reason), None) => return Err(Undone { reason, capsule: None, old_is_down: None }),
    };
    let new = &candidate.generation;
    let carried = if new.plugin.is_stateful() {
        let imported = stages.guarded("import", || capsule.carry_into(new, again, swap.callback));
        match &stages.whole {
            // A version that goes on and cannot read what is on disk would not start again.
            Some(_) => imported.and_then(|plain| {
                let save = || swap.snapshots.save_capsule(&swap.old.name, &capsule);
                stages.guarded("snapshot", save).map(|()| plain)
            }),
            None => imported,
        }
    } else {
        // The next version keeps no state. What this one had lives on the disk only: it must be there first.
        stages.guarded("snapshot", || swap.snapshots.save_capsule(&swap.old.name, &capsule).map(|()| None))
    };
    match carried {
        Ok(plain) => Ok((capsule, plain)),
        Err(reason) => Err(Undone { reason, capsule: Some(Box::new(capsule)), old_is_down: None }),
    }
}
