//! The state goes over, behind the gate: out of the old generation, sealed, opened, and into the new one.

use std::sync::Arc;

use super::carry::{Again, Capsule};
use super::newest::keep_whole;
use super::ready::Ready;
use super::relay::Done;
use super::{Stages, Swap, Undone};
use crate::error::Trouble;
use crate::kernel::generation::Generation;
use crate::start::{Plain, has_paused, pause, resume};

/// Pauses the old generation, unless somebody is inside, and carries its state over; resumes it when that fails.
pub(super) fn pause_and_carry(
    swap: &Swap<'_>,
    new: &Arc<Generation>,
    ready: Ready,
    drained: Result<(), Trouble>,
    done: &mut Done,
    stages: &mut Stages,
) -> Result<(Capsule, Option<Plain>), Undone> {
    let (old, within) = (swap.old, swap.callback);
    let paused = drained.and_then(|()| {
        let paused = match done.paused.take() {
            Some(paused) => has_paused(old, paused, within),
            None => stages.time("pause", || pause(old, within)),
        };
        Ok(paused?)
    });
    let is_paused = paused.is_ok();
    carry_over(swap, new, ready, paused, done, stages).inspect_err(|_| {
        if is_paused {
            resume(old, within);
        }
    })
}

/// Export, seal, open, import. A forced swap goes on from its fallback where the old generation cannot be asked, or does not
/// answer. The error brings the capsule, if there is one by then.
fn carry_over(
    swap: &Swap<'_>,
    new: &Arc<Generation>,
    ready: Ready,
    paused: Result<(), Trouble>,
    done: &mut Done,
    stages: &mut Stages,
) -> Result<(Capsule, Option<Plain>), Undone> {
    let Ready { mut room, schema, fallback, .. } = ready;
    let exported = paused.and_then(|()| {
        if let Some(sealed) = done.sealed.take() {
            return Ok((sealed?, Again::default()));
        }
        fallback.as_ref().and_then(|fallback| fallback.hangs.clone()).map_or(Ok(()), Err)?;
        if schema != swap.old.schema() {
            stages.whole = Some(keep_whole(swap, stages)?);
        }
        let keys = swap.snapshots.keys();
        let plain = std::mem::take(&mut room.plain);
        let state = stages.time("export", || swap.export(&keys, schema, plain))?;
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
    let carried = if new.plugin.is_stateful() {
        let imported = match done.imported.take() {
            Some(imported) => imported.map(Some),
            None => stages.guarded("import", || capsule.carry_into(new, again, swap.callback)),
        };
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
