//! Waiting for what gives no sign: looking, in growing steps.

use std::time::{Duration, Instant};

/// Looks until `look` finds, `deadline` at most. The first pause is short, for what is about to come; each is twice the one
/// before, up to the longest, for what takes its time.
pub(crate) fn look_until<T>(
    deadline: Duration,
    first: Duration,
    longest: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> Option<T> {
    let begun = Instant::now();
    let mut pause = first;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if begun.elapsed() >= deadline {
            return None;
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(longest);
    }
}
