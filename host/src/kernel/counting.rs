//! What is counted of one generation: all of its calls, and apart by method where that costs a call nothing.
//!
//! A method in hand counts in its method's own tally: what a caller keeps of it is one address, of that tally's shard instead of
//! another's, so that no call gains an instruction. Requests through a lane are counted by method as well, and timed: they read the
//! clock anyway, for their deadline. What is called inline by its name is counted without its method, and nothing that runs inline is
//! timed: two looks at the clock would cost more than the call.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::lease::Thread;
use super::tally::{Counts, Entered, Own, Tally};

/// Upper ends of the parts that latencies are counted in, nanoseconds: a client by the socket sees some 100 µs, and a deadline is half
/// a minute by default.
pub(crate) const ENDS: [u64; 19] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Threads that note latencies at once share these: a request takes microseconds, and an addition that is shared by a few some
/// nanoseconds.
const SHARDS: usize = 4;

/// Of one generation.
#[derive(Debug)]
pub(crate) struct Counting {
    // Calls whose method is not known where they are counted, or is none that the manifest names.
    rest: Counted,
    // By the manifest's order; made when a method is first called, since a tally has a piece of memory for each thread.
    methods: Box<[OnceLock<Box<Counted>>]>,
}

/// Of one method.
#[derive(Debug, Default)]
pub(crate) struct Counted {
    pub(crate) tally: Tally,
    pub(crate) latency: Latency,
}

/// How long requests took, as those who asked saw it.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    shards: [Shard; SHARDS],
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Shard {
    parts: [AtomicU64; ENDS.len() + 1],
    sum_ns: AtomicU64,
}

impl Default for Counting {
    /// Of a generation that names no methods.
    fn default() -> Self {
        Self::of(0)
    }
}

impl Counting {
    /// Of a generation that names so many methods.
    pub(crate) fn of(methods: usize) -> Self {
        Self { rest: Counted::default(), methods: (0..methods).map(|_| OnceLock::new()).collect() }
    }

    /// Where calls of the method of this number are counted.
    pub(crate) fn method(&self, number: Option<usize>) -> &Counted {
        let method = number.and_then(|number| self.methods.get(number));
        method.map_or(&self.rest, |method| method.get_or_init(Box::default))
    }

    /// As [`Tally::own`], of calls whose method is not known.
    #[inline]
    pub(crate) fn own(&self, thread: Thread) -> Option<Own<'_>> {
        self.rest.tally.own(thread)
    }

    /// As [`Tally::enter`], of calls whose method is not known.
    #[inline]
    pub(crate) fn enter(&self, thread: Thread, waited: bool) -> Entered<'_> {
        self.rest.tally.enter(thread, waited)
    }

    /// The sums of all. Each call begins and ends in one tally, so that what holds of the sums of one holds of these.
    pub(crate) fn counts(&self) -> Counts {
        self.each().fold(Counts::default(), |sum, (_, counted)| sum.and(counted.tally.counts()))
    }

    /// Each method that was called, by its number; `None` of the rest.
    pub(crate) fn each(&self) -> impl Iterator<Item = (Option<usize>, &Counted)> {
        let named = self.methods.iter().enumerate();
        let named = named.filter_map(|(number, method)| Some((Some(number), &**method.get()?)));
        std::iter::once((None, &self.rest)).chain(named)
    }
}

impl Latency {
    /// A request took so long, and this thread waited for it.
    pub(crate) fn note(&self, thread: Thread, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let shard = &self.shards[thread.number() % SHARDS];
        shard.sum_ns.fetch_add(ns, Ordering::Relaxed);
        shard.parts[ENDS.partition_point(|end| *end < ns)].fetch_add(1, Ordering::Relaxed);
    }

    /// How many are in each part, and all of their time, nanoseconds.
    pub(crate) fn parts(&self) -> ([u64; ENDS.len() + 1], u64) {
        let (mut parts, mut sum_ns) = ([0; ENDS.len() + 1], 0_u64);
        for shard in &self.shards {
            for (sum, part) in parts.iter_mut().zip(&shard.parts) {
                *sum += part.load(Ordering::Relaxed);
            }
            sum_ns = sum_ns.saturating_add(shard.sum_ns.load(Ordering::Relaxed));
        }
        (parts, sum_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_is_in_the_part_that_ends_at_or_above_it() {
        let latency = Latency::default();
        let us = Duration::from_micros;
        for took in [us(1), us(10), us(11), us(25), Duration::from_secs(10), Duration::from_secs(11)] {
            latency.note(Thread::this(), took);
        }
        let (parts, sum_ns) = latency.parts();
        assert_eq!((parts[0], parts[1], parts[18], parts[19]), (2, 2, 1, 1));
        assert_eq!(sum_ns, 21_000_047_000);
    }

    #[test]
    fn methods_that_nobody_called_have_no_tally_and_the_sums_are_of_all() {
        let counting = Counting::of(3);
        assert_eq!(counting.each().count(), 1);
        counting.enter(Thread::this(), false).answer();
        counting.method(Some(1)).tally.enter(Thread::this(), true).fail(true);
        // No method of the manifest.
        counting.method(Some(7)).tally.enter(Thread::this(), false).answer();
        assert_eq!(counting.each().map(|(number, _)| number).collect::<Vec<_>>(), [None, Some(1)]);
        let counts = counting.counts();
        assert_eq!(
            (counts.answered, counts.answered_after_wait, counts.failed, counts.mistaken),
            (3, 1, 1, 1)
        );
    }
}
