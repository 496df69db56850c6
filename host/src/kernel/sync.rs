//! What the gate and the tally are made of. The loom model of the swap takes in the same two files beside loom's own.

pub(crate) use std::sync::{Condvar, Mutex, MutexGuard, atomic};
