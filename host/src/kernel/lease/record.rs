//! The record: where one thread names what it is inside of.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

use super::{HOP_LIMIT, SlotState, TooDeep, is_free};

/// One thread's names. As large as the largest unit that two processors pass to and fro.
#[repr(align(128))]
pub(super) struct Record {
    // What the thread is inside of, from the outermost on; null from there on.
    pub(super) names: [AtomicPtr<()>; HOP_LIMIT],
    // Loads that it went into last, each at its own place: who calls the same few services notes them once. Only the record's
    // thread looks at it (L4).
    pub(super) lately: [Cell<u64>; LATELY],
    taken: AtomicBool,
    pub(super) number: usize,
    next: AtomicPtr<Record>,
}

pub(super) const LATELY: usize = 8;

// SAFETY: `lately` is touched by the one thread that has taken the record (L4); the rest is atomic, or never changes.
unsafe impl Sync for Record {}

static RECORDS: AtomicPtr<Record> = AtomicPtr::new(ptr::null_mut());
pub(super) static COUNT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    // Without a destructor, so that a call from another thread-local's destructor still finds it.
    pub(super) static MINE: Cell<Option<&'static Record>> = const { Cell::new(None) };
    static RETURN: Return = const { Return };
}

/// Gives the thread's record back when the thread ends.
struct Return;

impl Drop for Return {
    fn drop(&mut self) {
        if let Some(record) = MINE.take() {
            record.lately.iter().for_each(|load| load.set(0));
            record.taken.store(false, Ordering::Release);
        }
    }
}

/// Touches what a thread keeps here, which it need not do later. It takes no record before it goes in somewhere: there are
/// few who need not share their counts.
pub(crate) fn settle() {
    MINE.get();
    let _ = RETURN.try_with(|_| ());
}

impl Record {
    #[inline]
    pub(super) fn mine() -> &'static Self {
        match MINE.get() {
            Some(record) => record,
            None => Self::take(),
        }
    }

    #[cold]
    fn take() -> &'static Self {
        let free = Self::all().find(|record| {
            record.taken.compare_exchange(false, true, Ordering::Acquire, Ordering::Relaxed).is_ok()
        });
        let record = free.unwrap_or_else(Self::add);
        MINE.set(Some(record));
        // In a thread whose destructors run already nobody gives it back: the record stays taken, which is safe.
        let _ = RETURN.try_with(|_| ());
        record
    }

    fn add() -> &'static Self {
        let record: &'static Self = Box::leak(Box::new(Self {
            names: [const { AtomicPtr::new(ptr::null_mut()) }; HOP_LIMIT],
            lately: [const { Cell::new(0) }; LATELY],
            taken: AtomicBool::new(true),
            number: COUNT.fetch_add(1, Ordering::Relaxed),
            next: AtomicPtr::new(ptr::null_mut()),
        }));
        let mut head = RECORDS.load(Ordering::Relaxed);
        loop {
            record.next.store(head, Ordering::Relaxed);
            let this = ptr::from_ref(record).cast_mut();
            match RECORDS.compare_exchange_weak(head, this, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return record,
                Err(other) => head = other,
            }
        }
    }

    pub(super) fn all() -> impl Iterator<Item = &'static Self> {
        // SAFETY: records are leaked, so every pointer of the list is null or lives for ever (L4).
        let record = |pointer: *mut Self| unsafe { pointer.as_ref() };
        std::iter::successors(record(RECORDS.load(Ordering::Acquire)), move |at| {
            record(at.next.load(Ordering::Relaxed))
        })
    }

    /// Where the next name goes, in a call that came out of another.
    pub(super) fn top(&'static self) -> Result<&'static AtomicPtr<()>, TooDeep> {
        self.names.iter().find(|name| is_free(name)).ok_or(TooDeep)
    }

    pub(super) fn names(&self, state: &SlotState) -> bool {
        let address: *const () = ptr::from_ref(state).cast();
        self.names.iter().any(|name| ptr::eq(name.load(Ordering::Acquire), address))
    }
}
