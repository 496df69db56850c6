//! The one place that pauses, and how often what is repeated is. A test never sleeps and hopes: it says what it waits for.

use std::time::{Duration, Instant};

/// How long something may take that should be there at once. Long, since a test machine may be busy, with others on it: no
/// test that passes waits for it. On Windows longer: under wine, each of some hundred processes of a test takes its time to start.
pub const PATIENCE: Duration = Duration::from_secs(if cfg!(windows) { 90 } else { 60 });

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// How often a test repeats what it repeats: `short`, or `full` where `HOTBAY_TEST_ROUNDS=full` says that there is time.
#[must_use]
pub fn rounds(short: u64, full: u64) -> u64 {
    if std::env::var_os("HOTBAY_TEST_ROUNDS").is_some_and(|value| value == "full") { full } else { short }
}

/// Looks again and again until there is something to see, and fails after [`PATIENCE`].
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// The same with a deadline of one's own.
#[track_caller]
pub fn within<T>(deadline: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(began.elapsed() < deadline, "waited {deadline:?} in vain: {what}");
        std::thread::sleep(PAUSE);
    }
}

/// Looks for a while and fails if the thing happens. What is asserted is an absence, so this takes its whole time: keep
/// it to some multiple of the host's settings.
#[track_caller]
pub fn never_within(time: Duration, what: &str, mut look: impl FnMut() -> bool) {
    let began = Instant::now();
    while began.elapsed() < time {
        assert!(!look(), "this must not happen: {what}");
        std::thread::sleep(PAUSE);
    }
}
