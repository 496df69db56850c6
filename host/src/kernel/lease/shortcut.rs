//! The shortcut: what a caller keeps of a door, so that going in again is to name what it knows and to see that this is still
//! what is published.

use std::cell::Cell;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::Ordering;

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
    value: Cell<*const SlotState>,
    load: Cell<u64>,
    // Of the generation of that load (L6).
    kept: Cell<MaybeUninit<Kept<'static>>>,
    // How often in a row there was nothing to learn.
    misses: Cell<u32>,
}

// SAFETY: L6: it is of use to the one thread whose record it names, and has nothing to drop.
unsafe impl Send for Shortcut {}

impl Shortcut {
    pub(crate) fn new() -> Self {
        Self {
            record: Cell::new(ptr::dangling()),
            value: Cell::new(ptr::null()),
            load: Cell::new(0),
            kept: Cell::new(MaybeUninit::uninit()),
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
    pub(crate) fn enter<R>(&self, door: &Door, body: impl FnOnce(&SlotState, Kept<'_>) -> R) -> Option<R> {
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
        let known = self.value.get();
        name.set(known.cast_mut().cast());
        light_barrier();
        let value = door.published.load(Ordering::Acquire);
        if !ptr::eq(known, value) {
            return None;
        }
        // SAFETY: L1, L3: it is named and was published after that; the name is cleared when `body` has returned (L2).
        let state = unsafe { &*value };
        if !state.is_of(self.load.get()) {
            return None;
        }
        // SAFETY: L6; the load is the one that this was learnt of.
        let kept = unsafe { self.kept.get().assume_init() };
        Some(body(state, kept))
    }

    /// Learns what is published, on a thread that is inside of it.
    pub(super) fn learn(&self, state: &SlotState, load: u64, kept: Kept<'_>, thread: Thread) {
        // SAFETY: L6: it is given out as long as somebody is inside of a state of this load, and no longer.
        let kept = unsafe { std::mem::transmute::<Kept<'_>, Kept<'static>>(kept) };
        self.record.set(thread.record);
        self.value.set(state);
        self.load.set(load);
        self.kept.set(MaybeUninit::new(kept));
        self.misses.set(0);
    }
}

impl std::fmt::Debug for Shortcut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shortcut").field("load", &self.load.get()).finish_non_exhaustive()
    }
}

impl Door {
    /// Goes in and has `shortcut` learn what is published, where `find` finds what a call needs in it.
    pub(crate) fn learn(
        &self,
        shortcut: &Shortcut,
        find: impl FnOnce(&SlotState, Thread) -> Option<(u64, Kept<'_>)>,
    ) {
        // In a call that comes out of another there is no shortcut, and most likely nothing that is not known.
        if !is_free(&Record::mine().names[0]) || !shortcut.may_learn() {
            return;
        }
        let _ = self.enter(|state, thread| {
            if let Some((load, kept)) = find(state, thread) {
                shortcut.learn(state, load, kept, thread);
            }
        });
    }
}
