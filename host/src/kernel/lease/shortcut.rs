//! The shortcut: what a caller keeps of a door, so that going in again is to name what it knows and to see that this is still
//! what is published.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use super::{Door, MINE, Name, Record, SlotState, Thread, is_free, light_barrier};
use crate::ffi::MethodCall;
use crate::kernel::tally::Own;

/// What a call needs of the generation that it goes into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept<'a> {
    pub(crate) method: MethodCall<'a>,
    pub(crate) own: Own<'a>,
}

/// Knows one door as one thread saw it last; another thread that gets it learns anew. (But for one that also took over the record
/// of the thread before, which has ended: it goes in as that one did, and is not noted as a caller. Should it pin the library,
/// its name is missing in the reason; looking for it would cost each call.)
pub(crate) struct Shortcut {
    // Before anything was learnt: an address that is no record's, which is no thread's.
    record: Cell<*const Record>,
    state: Cell<*const SlotState>,
    // Of the generation of that state (L6).
    kept: Cell<MaybeUninit<Kept<'static>>>,
    // As long as this is there, that address is no other state's (L3).
    address: Cell<Weak<SlotState>>,
    // How often in a row there was nothing to learn.
    misses: Cell<u32>,
}

// SAFETY: L6: it is of use to the one thread whose record it names; the weak count that it drops is any thread's to drop.
unsafe impl Send for Shortcut {}

/// Who is inside by a shortcut.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inside<'a>(&'a Shortcut);

impl<'a> Inside<'a> {
    /// What a call needs. Looked for each time: what is kept across a call is kept in memory anyway.
    #[inline(always)]
    pub(crate) fn kept(self) -> Kept<'a> {
        // SAFETY: L6; it was learnt of the state that is named.
        unsafe { self.0.kept.get().assume_init() }
    }

    /// What it is inside of.
    pub(crate) fn state(self) -> &'a SlotState {
        // SAFETY: L1; it is named for as long as anybody is inside by this shortcut.
        unsafe { &*self.0.state.get() }
    }
}

impl Shortcut {
    pub(crate) fn new() -> Self {
        Self {
            record: Cell::new(ptr::dangling()),
            state: Cell::new(ptr::null()),
            kept: Cell::new(MaybeUninit::uninit()),
            address: Cell::new(Weak::new()),
            misses: Cell::new(0),
        }
    }

    /// Whether to try and learn: at once when it did not lead in for the first time since it did, and seldom where there was nothing
    /// to learn so often that there may never be.
    fn may_learn(&self) -> bool {
        let misses = self.misses.get();
        self.misses.set(misses.wrapping_add(1));
        misses < 4 || misses.is_multiple_of(64)
    }

    /// Goes in on this thread where all is as it was learnt, and nothing is in the way: `None` otherwise.
    #[inline(always)]
    pub(crate) fn enter<R>(&self, door: &Door, body: impl FnOnce(Inside<'_>) -> R) -> Option<R> {
        let record = self.record.get();
        if !ptr::eq(MINE.get().map_or(ptr::null(), ptr::from_ref), record) {
            return None;
        }
        // SAFETY: it is this thread's record, and those are leaked (L4).
        let record: &'static Record = unsafe { &*record };
        let place = &record.names[0];
        if !is_free(place) {
            return None;
        }
        let name = Name::at(record, place);
        let known = self.state.get();
        name.set(known.cast_mut().cast());
        light_barrier();
        // It is the very state that was learnt (L3), and alive (L1) until `name` is cleared, after `body` (L2).
        ptr::eq(known, door.published.load(Ordering::Acquire)).then(|| body(Inside(self)))
    }

    /// Learns a state that was published.
    fn learn(&self, state: &Arc<SlotState>, kept: Kept<'_>, thread: Thread) {
        // SAFETY: L6: it is given out as long as somebody is inside of this state, and no longer.
        let kept = unsafe { std::mem::transmute::<Kept<'_>, Kept<'static>>(kept) };
        self.record.set(thread.record);
        self.state.set(Arc::as_ptr(state));
        self.kept.set(MaybeUninit::new(kept));
        self.address.set(Arc::downgrade(state));
        self.misses.set(0);
    }
}

impl std::fmt::Debug for Shortcut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shortcut").field("state", &self.state.get()).finish_non_exhaustive()
    }
}

impl Door {
    /// Has `shortcut` learn what is published, where `find` finds what a call needs in it.
    pub(crate) fn learn(
        &self,
        shortcut: &Shortcut,
        find: impl FnOnce(&SlotState, Thread) -> Option<Kept<'_>>,
    ) {
        // In a call that comes out of another there is no shortcut, and most likely nothing that is not known.
        if !is_free(&Record::mine().names[0]) || !shortcut.may_learn() {
            return;
        }
        let Ok(state) = self.carry() else { return };
        let thread = Thread::this();
        if let Some(kept) = find(&state, thread) {
            shortcut.learn(&state, kept, thread);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::tally::Tally;
    use crate::kernel::view::Phase;
    use crate::linked::{Bay, Idle, LONG};

    #[test]
    fn the_address_that_a_shortcut_knows_is_no_other_states() {
        let bay = Bay::new();
        let (_, generation) = bay.serve::<Idle>();
        let state = || SlotState::Down { phase: Phase::Stopped, reason: None };
        let (door, shortcut) = (Door::new(state()), Shortcut::new());
        // However many threads there were before this one.
        let tally: Box<Tally<512>> = Box::default();
        let (learnt, thread) = (door.carry().unwrap(), Thread::this());
        let (method, own) = (generation.plugin.method(0).unwrap(), tally.own(thread).unwrap());
        shortcut.learn(&learnt, Kept { method, own }, thread);
        drop(learnt);
        assert!(shortcut.enter(&door, |_| ()).is_some());
        // What is freed is what the next one is made of, where nothing keeps it.
        for _ in 0..100 {
            assert!(door.replace(state()).drain(LONG));
            assert!(shortcut.enter(&door, |_| ()).is_none());
        }
    }
}
