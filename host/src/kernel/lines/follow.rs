//! Whoever follows the log.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Line, Lines};

impl Lines {
    /// Follows the lines, from the last `past` ones on, of one service or of all.
    pub(crate) fn follow(&'static self, past: usize, service: Option<String>) -> Follower {
        let inside = self.lock();
        let of_it: Vec<u64> =
            inside.lines.iter().filter(|line| is_of(line, service.as_deref())).map(|l| l.sequence).collect();
        let first = of_it.len().saturating_sub(past);
        let next = of_it.get(first).copied().unwrap_or(inside.count + 1);
        Follower { lines: self, service, next }
    }

    /// Whether there is a line of this service among the last ones.
    pub(crate) fn has_of(&self, service: &str) -> bool {
        self.lock().lines.iter().any(|line| is_of(line, Some(service)))
    }
}

/// Who reads the log as it is written. It keeps nothing: what it does not take in time is gone from the last lines.
#[derive(Debug)]
pub(crate) struct Follower {
    lines: &'static Lines,
    service: Option<String>,
    next: u64,
}

impl Follower {
    /// The next lines, up to `most`, and how many were missed before them. None after `patience`.
    pub(crate) fn next(&mut self, most: usize, patience: Duration) -> (Vec<Line>, u64) {
        let until = Instant::now() + patience;
        let mut inside = self.lines.lock();
        loop {
            let oldest = inside.lines.front().map_or(inside.count + 1, |line| line.sequence);
            let missed = oldest.saturating_sub(self.next);
            self.next = self.next.max(oldest);
            let skipped = usize::try_from(self.next - oldest).unwrap_or(usize::MAX);
            let mut taken = Vec::new();
            for line in inside.lines.iter().skip(skipped) {
                if taken.len() == most {
                    break;
                }
                self.next = line.sequence + 1;
                if is_of(line, self.service.as_deref()) {
                    taken.push(line.clone());
                }
            }
            let left = until.saturating_duration_since(Instant::now());
            if !taken.is_empty() || missed > 0 || left.is_zero() {
                return (taken, missed);
            }
            inside.waiting += 1;
            inside = self.lines.more.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0;
            inside.waiting -= 1;
        }
    }
}

fn is_of(line: &Line, service: Option<&str>) -> bool {
    service.is_none_or(|service| line.service.as_deref() == Some(service))
}
