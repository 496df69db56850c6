//! Counting calls without a counter that threads share.

use std::array;

use super::lease::Thread;
use super::sync::atomic::{AtomicU64, Ordering};

/// The first threads that call have a shard to themselves. Those beyond share the last one, which is slower and still right.
pub(crate) const SHARDS: usize = 32;

/// Counts of one generation's calls. A thread counts in its own shard, where nobody else writes: a load, an addition and a
/// store, and no lock on the processor's bus. A reader adds them up.
#[derive(Debug)]
pub(crate) struct Tally<const N: usize = SHARDS> {
    shards: [Shard; N],
}

impl<const N: usize> Default for Tally<N> {
    fn default() -> Self {
        Self { shards: array::from_fn(|_| Shard::default()) }
    }
}

/// As large as the largest unit that two processors pass to and fro (two lines of 64 bytes are fetched in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    // Apart, not one within the other: read between two additions, a call that waited would look like one that did not.
    entered_at_once: AtomicU64,
    entered_after_wait: AtomicU64,
    answered_at_once: AtomicU64,
    answered_after_wait: AtomicU64,
    expired_at_once: AtomicU64,
    expired_after_wait: AtomicU64,
    failed: AtomicU64,
    mistaken: AtomicU64,
}

/// The sums of a tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Calls that went in, and requests that were taken into the mailbox.
    pub(crate) entered: u64,
    /// Of these, such as had waited at a gate.
    pub(crate) entered_after_wait: u64,
    /// Calls that came out with an answer, an error of the plugin's included.
    pub(crate) answered: u64,
    /// Of these, such as had waited at a gate.
    pub(crate) answered_after_wait: u64,
    /// Requests whose deadline passed in the mailbox: they were told so, and the plugin never saw them.
    pub(crate) expired: u64,
    /// Of these, such as had waited at a gate.
    pub(crate) expired_after_wait: u64,
    /// Of the answered, with an error.
    pub(crate) failed: u64,
    /// Of those, by a mistake of the caller's: such as asked for a method that there is not.
    pub(crate) mistaken: u64,
}

impl Counts {
    /// Calls that are over, answered or told that their deadline had passed.
    pub(crate) fn over(&self) -> u64 {
        self.answered + self.expired
    }

    /// These and those.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            entered: self.entered + other.entered,
            entered_after_wait: self.entered_after_wait + other.entered_after_wait,
            answered: self.answered + other.answered,
            answered_after_wait: self.answered_after_wait + other.answered_after_wait,
            expired: self.expired + other.expired,
            expired_after_wait: self.expired_after_wait + other.expired_after_wait,
            failed: self.failed + other.failed,
            mistaken: self.mistaken + other.mistaken,
        }
    }

    /// Calls that failed by the plugin's doing.
    pub(crate) fn faults(&self) -> u64 {
        self.failed.saturating_sub(self.mistaken)
    }
}

impl<const N: usize> Tally<N> {
    /// A call goes in on this thread.
    #[inline]
    pub(crate) fn enter(&self, thread: Thread, waited: bool) -> Entered<'_> {
        let entered = self.accepted(thread, waited);
        let Entered { shard, alone, .. } = entered;
        add(if waited { &shard.entered_after_wait } else { &shard.entered_at_once }, alone);
        entered
    }

    /// The shard of a thread that shares it with nobody.
    #[inline]
    pub(crate) fn own(&self, thread: Thread) -> Option<Own<'_>> {
        self.shards[..N - 1].get(thread.number()).map(Own)
    }

    /// A request is taken into the mailbox by this thread. Whoever does it goes on by [`Tally::accepted`].
    pub(crate) fn accept(&self, thread: Thread, waited: bool) {
        let _counted = self.enter(thread, waited);
    }

    /// A request that was counted when it was accepted has its turn on this thread.
    #[inline]
    pub(crate) fn accepted(&self, thread: Thread, waited: bool) -> Entered<'_> {
        let (shard, alone) = self.shard(thread);
        Entered { shard, alone, waited }
    }

    /// A request that was accepted is told, on this thread, that its deadline passed before its turn came.
    pub(crate) fn expire(&self, thread: Thread, waited: bool) {
        let (shard, alone) = self.shard(thread);
        add(if waited { &shard.expired_after_wait } else { &shard.expired_at_once }, alone);
    }

    /// The thread's shard, and whether nobody else writes there.
    #[inline]
    fn shard(&self, thread: Thread) -> (&Shard, bool) {
        let number = thread.number().min(N - 1);
        (&self.shards[number], number < N - 1)
    }

    /// The sums. Exact once the generation is drained; before that, of some moment for each shard: a request is taken in on
    /// one thread and answered on another.
    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for shard in &self.shards {
            // In the reverse order of counting: on one thread never more answers than entries.
            sum.mistaken += shard.mistaken.load(Ordering::Acquire);
            sum.failed += shard.failed.load(Ordering::Acquire);
            let answered_after_wait = shard.answered_after_wait.load(Ordering::Acquire);
            sum.answered_after_wait += answered_after_wait;
            sum.answered += answered_after_wait + shard.answered_at_once.load(Ordering::Acquire);
            let expired_after_wait = shard.expired_after_wait.load(Ordering::Acquire);
            sum.expired_after_wait += expired_after_wait;
            sum.expired += expired_after_wait + shard.expired_at_once.load(Ordering::Acquire);
            let entered_after_wait = shard.entered_after_wait.load(Ordering::Acquire);
            sum.entered_after_wait += entered_after_wait;
            sum.entered += entered_after_wait + shard.entered_at_once.load(Ordering::Acquire);
        }
        sum
    }
}

/// A shard where one thread counts alone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own<'a>(&'a Shard);

impl<'a> Own<'a> {
    /// A call goes in at once, on that thread.
    #[inline]
    pub(crate) fn enter(self) {
        add(&self.0.entered_at_once, true);
    }

    /// It comes out with its answer.
    #[inline]
    pub(crate) fn answer(self) {
        add(&self.0.answered_at_once, true);
    }

    /// The call that went in, to come out of it otherwise.
    #[inline]
    pub(crate) fn entered(self) -> Entered<'a> {
        Entered { shard: self.0, alone: true, waited: false }
    }
}

/// A call that went in.
#[derive(Debug)]
#[must_use = "a call that is not answered is a lost one"]
pub(crate) struct Entered<'a> {
    shard: &'a Shard,
    // Whether nobody else writes there.
    alone: bool,
    waited: bool,
}

impl Entered<'_> {
    /// It comes out with an error, on the same thread; by a mistake of its caller's, or not.
    #[inline]
    pub(crate) fn fail(self, mistaken: bool) {
        let (shard, alone) = (self.shard, self.alone);
        self.answer();
        // In this order, which is read in reverse: never more mistakes than failures, never more failures than answers.
        add(&shard.failed, alone);
        if mistaken {
            add(&shard.mistaken, alone);
        }
    }

    /// It comes out with its answer, on the same thread.
    #[inline]
    pub(crate) fn answer(self) {
        let Self { shard, alone, waited } = self;
        add(if waited { &shard.answered_after_wait } else { &shard.answered_at_once }, alone);
    }
}

/// Alone, the thread needs no lock: the number that names its shard passes from a thread that ends to one that begins with
/// `Release` and `Acquire` (L4 of the lease).
#[inline]
fn add(count: &AtomicU64, alone: bool) {
    if alone {
        count.store(count.load(Ordering::Relaxed) + 1, Ordering::Release);
    } else {
        count.fetch_add(1, Ordering::Release);
    }
}
