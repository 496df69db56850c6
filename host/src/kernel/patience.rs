//! Waiting for what gives no sign: looking, in growing steps.

use std::time::{Duration, Instant};

/// For so long nobody pauses who looks: a pause takes as long, and where the system rounds it, many times that.
const AT_ONCE: Duration = Duration::from_micros(10);

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
        let waited = begun.elapsed();
        if waited >= deadline {
            return None;
        }
        if waited < AT_ONCE {
            std::hint::spin_loop();
            continue;
        }
        std::thread::park_timeout(pause);
        pause = (pause * 2).min(longest);
    }
}
