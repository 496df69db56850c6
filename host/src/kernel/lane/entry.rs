//! Where the threads of lanes went beside their own generation.

use std::cell::RefCell;
use std::sync::Arc;

use super::Shared;
use crate::kernel::callers;

thread_local! {
    // The lane that this thread belongs to.
    static MINE: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// Notes that this thread goes into a generation that is not its own. When it is a lane's, the lane is renewed before that
/// generation unloads; when it is not, it may hold that generation's library.
#[cold]
pub(crate) fn note_entry(load: u64) {
    let note = |mine: &RefCell<Option<Arc<Shared>>>| match &*mine.borrow() {
        Some(shared) if shared.own != load => drop(shared.entered().insert(load)),
        Some(_) => {}
        None => callers::note(load),
    };
    // In a thread whose thread-locals are gone already it is no lane's any more.
    if MINE.try_with(note).is_err() {
        callers::note(load);
    }
}

/// Says that this thread is one of a lane.
pub(super) fn belong_to(lane: &Arc<Shared>) {
    MINE.set(Some(Arc::clone(lane)));
}
