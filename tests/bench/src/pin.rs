//! Threads that stay on their processor.

/// Pins this thread to the `index`-th of the processors that the process may use. False where that cannot be done.
#[cfg(target_os = "linux")]
pub(crate) fn to(index: usize) -> bool {
    among(index..index + 1)
}

/// Lets this thread, and those that it starts, use these of the processors that the process may use. False where that cannot
/// be done.
#[cfg(target_os = "linux")]
pub(crate) fn among(indices: std::ops::Range<usize>) -> bool {
    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
    let count = u32::try_from(indices.len()).unwrap_or(u32::MAX);
    let Some(processors) = allowed().get(indices) else { return false };
    let mut only = CpuSet::new();
    processors.iter().for_each(|processor| only.set(*processor));
    sched_setaffinity(None, &only).is_ok() && sched_getaffinity(None).is_ok_and(|set| set.count() == count)
}

/// Of the process, whatever this thread is pinned to by now.
#[cfg(target_os = "linux")]
fn allowed() -> &'static [usize] {
    static ALLOWED: std::sync::OnceLock<Vec<usize>> = std::sync::OnceLock::new();
    ALLOWED.get_or_init(|| {
        let set = rustix::thread::sched_getaffinity(None).unwrap_or_default();
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|processor| set.is_set(*processor)).collect()
    })
}

/// Whether threads can be pinned here. To be asked before any thread is.
#[cfg(target_os = "linux")]
pub(crate) fn works() -> bool {
    !allowed().is_empty()
}

// Windows: and macOS: the figures of a bench are taken on Linux; elsewhere the scheduler chooses, and the table says so.
#[cfg(not(target_os = "linux"))]
pub(crate) fn to(_: usize) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn among(_: std::ops::Range<usize>) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn works() -> bool {
    false
}
