//! The thread that goes in.

use std::cell::Cell;
use std::marker::PhantomData;

use super::{LATELY, Record};

/// A thread inside.
#[derive(Clone, Copy)]
pub(crate) struct Thread {
    pub(super) record: &'static Record,
    // Not `Send`: its record is the running thread's.
    pub(super) here: PhantomData<*const ()>,
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Thread").field(&self.number()).finish()
    }
}

impl Thread {
    /// Its number: no two threads that are alive have the same.
    #[inline]
    pub(crate) fn number(self) -> usize {
        self.record.number
    }

    /// Whether it went into a load lately.
    #[inline]
    pub(crate) fn was_in(self, load: u64) -> bool {
        self.lately(load).get() == load
    }

    /// Remembers that it goes into a load.
    pub(crate) fn goes_into(self, load: u64) {
        self.lately(load).set(load);
    }

    #[inline]
    fn lately(self, load: u64) -> &'static Cell<u64> {
        &self.record.lately[(load % LATELY as u64) as usize]
    }

    /// The running thread.
    pub(crate) fn this() -> Self {
        Self { record: Record::mine(), here: PhantomData }
    }
}
