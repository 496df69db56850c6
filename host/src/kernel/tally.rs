//! Counting calls without a counter that threads share.

use std::sync::atomic::{AtomicU64, Ordering};

use super::lease::Thread;

/// Threads that have a shard to themselves: the first ones that call. Those beyond share the last one, which is slower and
/// still right.
const OWN: usize = 31;

/// Counts of one generation's calls. A thread counts in its own shard, where nobody else writes: a load, an addition and a
/// store, and no lock on the processor's bus. A reader adds them up.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    shards: [Shard; OWN + 1],
}

/// As large as the largest unit that two processors pass to and fro (two lines of 64 bytes are fetched in pairs).
#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    entered: AtomicU64,
    entered_after_wait: AtomicU64,
    answered: AtomicU64,
    answered_after_wait: AtomicU64,
    failed: AtomicU64,
    mistaken: AtomicU64,
}

/// The sums of a tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Calls that went in.
    pub(crate) entered: u64,
    /// Of these, such as had waited at a gate.
    pub(crate) entered_after_wait: u64,
    /// Calls that came out with an answer, an error of the plugin's included.
    pub(crate) answered: u64,
    /// Of these, such as had waited at a gate.
    pub(crate) answered_after_wait: u64,
    /// Of these, with an error.
    pub(crate) failed: u64,
    /// Of these, by a mistake of the caller's: such as asked for a method that there is not.
    pub(crate) mistaken: u64,
}

impl Counts {
    /// Calls that failed by the plugin's doing.
    pub(crate) fn faults(&self) -> u64 {
        self.failed.saturating_sub(self.mistaken)
    }

    /// Their share of all that were answered.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub(crate) fn fault_rate(&self) -> f64 {
        if self.answered == 0 { 0.0 } else { self.faults() as f64 / self.answered as f64 }
    }
}

impl Tally {
    /// A call goes in on this thread.
    #[inline]
    pub(crate) fn enter(&self, thread: Thread, waited: bool) -> Entered<'_> {
        let (shard, alone) = self.shard(thread);
        let entered = Entered { shard, alone, waited };
        add(&entered.shard.entered, entered.alone);
        if waited {
            add(&entered.shard.entered_after_wait, entered.alone);
        }
        entered
    }

    /// The call that just came out on this thread with an error was its caller's mistake.
    #[cold]
    pub(crate) fn mistake(&self, thread: Thread) {
        let (shard, alone) = self.shard(thread);
        add(&shard.mistaken, alone);
    }

    /// The thread's shard, and whether nobody else writes there.
    #[inline]
    fn shard(&self, thread: Thread) -> (&Shard, bool) {
        let number = thread.number().min(OWN);
        (&self.shards[number], number < OWN)
    }

    /// The sums. Exact once the generation is drained; before that, of some moment for each shard.
    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for shard in &self.shards {
            // In the reverse order of counting: never more answers than entries.
            sum.mistaken += shard.mistaken.load(Ordering::Acquire);
            sum.failed += shard.failed.load(Ordering::Acquire);
            sum.answered_after_wait += shard.answered_after_wait.load(Ordering::Acquire);
            sum.answered += shard.answered.load(Ordering::Acquire);
            sum.entered_after_wait += shard.entered_after_wait.load(Ordering::Acquire);
            sum.entered += shard.entered.load(Ordering::Acquire);
        }
        sum
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
    /// It comes out with its answer, on the same thread.
    #[inline]
    pub(crate) fn answer(self, failed: bool) {
        let Self { shard, alone, waited } = self;
        if waited {
            add(&shard.answered_after_wait, alone);
        }
        if failed {
            add(&shard.failed, alone);
        }
        add(&shard.answered, alone);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_many_threads_count_adds_up() {
        let tally = Tally::default();
        std::thread::scope(|scope| {
            // More than have a shard of their own.
            for _ in 0..OWN + 10 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        tally.enter(Thread::this(), true).answer(false);
                    }
                });
            }
        });
        let counts = tally.counts();
        let all = 1000 * (OWN as u64 + 10);
        assert_eq!((counts.entered, counts.answered, counts.answered_after_wait), (all, all, all));
    }
}
