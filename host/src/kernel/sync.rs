//! What the gate and the tally are made of. The loom model of the swap takes in the same two files beside loom's own.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};

/// Processors that may be spent on looking for what comes at once, so that one is left for whoever is to bring it.
pub(crate) fn spare_processors() -> usize {
    // It is asked once: the system tells it by reading files.
    static SPARE: std::sync::OnceLock<usize> = std::sync::OnceLock::new();
    *SPARE.get_or_init(|| std::thread::available_parallelism().map_or(0, |all| all.get() - 1))
}
