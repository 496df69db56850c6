//! Counting calls without a counter that threads share.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// More shards than the threads that usually call at once; beyond that two threads share one, which is slower and
/// still right.
const SHARDS: usize = 16;

/// Counts of one generation's calls. Each thread counts in a shard of its own; a reader adds them up.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    shards: [Shard; SHARDS],
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
}

impl Tally {
    /// A call goes in.
    pub(crate) fn enter(&self, waited: bool) {
        let shard = self.shard();
        shard.entered.fetch_add(1, Ordering::Relaxed);
        if waited {
            shard.entered_after_wait.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A call comes out with its answer.
    pub(crate) fn answer(&self, waited: bool, failed: bool) {
        let shard = self.shard();
        if waited {
            shard.answered_after_wait.fetch_add(1, Ordering::Relaxed);
        }
        if failed {
            shard.failed.fetch_add(1, Ordering::Relaxed);
        }
        shard.answered.fetch_add(1, Ordering::Relaxed);
    }

    /// The sums. Exact once the generation is drained; before that, of some moment for each shard.
    pub(crate) fn counts(&self) -> Counts {
        let mut sum = Counts::default();
        for shard in &self.shards {
            // In the reverse order of counting: never more answers than entries.
            sum.failed += shard.failed.load(Ordering::Acquire);
            sum.answered_after_wait += shard.answered_after_wait.load(Ordering::Acquire);
            sum.answered += shard.answered.load(Ordering::Acquire);
            sum.entered_after_wait += shard.entered_after_wait.load(Ordering::Acquire);
            sum.entered += shard.entered.load(Ordering::Acquire);
        }
        sum
    }

    fn shard(&self) -> &Shard {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
        }
        &self.shards[MINE.with(|mine| *mine)]
    }
}
