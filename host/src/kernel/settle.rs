//! What a thread of the host touches when it begins, so that it need not later.
//!
//! On glibc a thread notes the destructor of each thread-local when it first touches that, under the lock of the system's
//! loader. A plugin whose initialiser or destructor hangs keeps that lock for ever, and whoever touches something new then
//! waits as long. Threads that have touched all that they use go on.

use std::sync::mpsc;
use std::time::Duration;

use super::lease;
#[cfg(feature = "cli")]
use super::registry::Registry;
use crate::bus;
#[cfg(feature = "cli")]
use crate::call;

/// Of the line that each thread logs when it begins. Nobody is to read it: what a log keeps per thread is there after it.
pub(crate) const TARGET: &str = "hotbay::thread";

/// So short that nobody misses it, and long enough for a channel to begin to wait.
const MOMENT: Duration = Duration::from_millis(1);

/// For each thread that runs a plugin or logs.
pub(crate) fn settle() {
    lease::settle();
    bus::settle();
    tracing::trace!(target: TARGET, "begun");
}

/// The same for threads that wait for others' answers.
pub(crate) fn settle_to_wait() {
    settle();
    let (_sender, receiver) = mpsc::channel::<()>();
    let _ = receiver.recv_timeout(MOMENT);
}

/// The same for threads that also ask services.
#[cfg(feature = "cli")]
pub(crate) fn settle_to_ask() {
    settle_to_wait();
    // The names, as a thread last saw them; those of no host are replaced at the first look.
    let _ = Registry::default().slot("");
    call::settle();
}
