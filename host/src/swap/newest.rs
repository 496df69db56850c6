//! The newest state of the old generation, on the disk before it is left.

use super::{Capsule, Room, Swap};
use crate::error::Trouble;
use crate::start::{Plain, pause, resume};
use crate::swap::Stages;

/// The state of the old generation goes to nobody: the newest there is must be on the disk before it stops.
pub(super) fn write_newest(swap: &Swap<'_>, stages: &mut Stages) -> Result<(), Trouble> {
    let (old, within) = (swap.old, swap.callback);
    let paused = stages.time("pause", || pause(old, within)).map_err(Trouble::from);
    let written = paused.and_then(|()| {
        let keys = swap.snapshots.keys();
        let exported = stages.time("export", || swap.export(&keys, old.schema(), Plain::default()));
        let written = exported
            .map_err(Trouble::from)
            .and_then(|state| stages.guarded("snapshot", || swap.snapshots.save(old, keys, state).map(drop)));
        written.inspect_err(|_| resume(old, within))
    });
    written.map_err(|why| {
        why.within(format_args!("failed to keep the newest state of version {}", old.manifest().version))
    })
}

/// A step down leaves out what the older schema has no place for: all of it is on disk first, and kept aside by the next to
/// write there.
pub(super) fn keep_whole(swap: &Swap<'_>, stages: &mut Stages) -> Result<Capsule, Trouble> {
    let (old, keys) = (swap.old, swap.snapshots.keys());
    let export = || swap.export(&keys, old.schema(), Plain::default());
    let state = stages.time("export", export)?;
    let whole = stages.guarded("seal", || {
        let (whole, _) = Capsule::seal(swap.snapshots, keys, old, old.schema(), state, Room::default())?;
        swap.snapshots.save_capsule(&old.name, &whole).map(|()| whole)
    });
    swap.snapshots.keep_next_aside(&old.name);
    whole
}
