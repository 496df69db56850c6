//! Samples: how many calls there were over a window of time, from counts that only ever grow.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many samples make a window: it is that much too long at most.
const STEPS: u32 = 10;

/// Calls that are over or were not in time; those of them that failed by the plugin's doing or by their time; and those that were answered as they
/// should be. The rest are mistakes of callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) calls: u64,
    pub(crate) faults: u64,
    pub(crate) good: u64,
}

impl Sums {
    /// What came since `before`.
    pub(crate) fn since(self, before: Sums) -> Sums {
        Sums {
            calls: self.calls.saturating_sub(before.calls),
            faults: self.faults.saturating_sub(before.faults),
            good: self.good.saturating_sub(before.good),
        }
    }

    /// The share that failed.
    #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
    pub(crate) fn rate(self) -> f64 {
        if self.calls == 0 { 0.0 } else { self.faults as f64 / self.calls as f64 }
    }
}

/// Sums of some moments.
#[derive(Debug)]
pub(crate) struct Samples {
    window: Duration,
    taken: VecDeque<(Instant, Sums)>,
}

impl Samples {
    /// Begins with what there was.
    pub(crate) fn new(window: Duration, now: Instant, sums: Sums) -> Self {
        Self { window, taken: VecDeque::from([(now, sums)]) }
    }

    /// How often they are to be taken.
    pub(crate) fn step(&self) -> Duration {
        (self.window / STEPS).max(Duration::from_millis(10))
    }

    /// Takes one, unless the last is of a moment ago, and answers what came in the window that ends now.
    pub(crate) fn take(&mut self, now: Instant, sums: Sums) -> Sums {
        if self.taken.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= self.step()) {
            self.taken.push_back((now, sums));
        }
        // The newest of those before the window stays: the window begins with it.
        while self.taken.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) >= self.window) {
            self.taken.pop_front();
        }
        sums.since(self.taken.front().map_or(sums, |(_, first)| *first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_the_window_does_not_count() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let sums = |calls, faults| Sums { calls, faults, good: calls - faults };
        let mut samples = Samples::new(10 * second, begin, sums(0, 0));
        assert_eq!(samples.take(begin + second, sums(100, 0)), sums(100, 0));
        assert_eq!(samples.take(begin + 9 * second, sums(110, 10)), sums(110, 10));
        assert_eq!(samples.take(begin + 12 * second, sums(120, 20)), sums(20, 20));
        assert!((sums(20, 5).rate() - 0.25).abs() < 1e-9);
        assert!(sums(0, 0).rate() < 1e-9);
    }
}
