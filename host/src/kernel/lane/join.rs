//! Waiting for threads to end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::os;

/// Waits for threads to end for real, destructors of their thread-locals included; how many did not in time. On a thread
/// of its own, since such a destructor is the plugin's, and may never end.
pub(super) fn join_all(threads: Vec<JoinHandle<()>>, deadline: Duration) -> usize {
    if threads.is_empty() {
        return 0;
    }
    let left = Arc::new(AtomicUsize::new(threads.len()));
    let (send, receive) = mpsc::channel::<()>();
    let counting = Arc::clone(&left);
    let joining = os::spawn("join", move || {
        let mut running = threads;
        let mut step = Duration::from_micros(20);
        // The sender is dropped at the end; the count tells that nobody waits any longer.
        let _send = send;
        while !running.is_empty() && Arc::strong_count(&counting) > 1 {
            for thread in running.extract_if(.., |thread| thread.is_finished()) {
                // Its body is over; this waits for the destructors.
                let _ = thread.join();
                counting.fetch_sub(1, Ordering::AcqRel);
                step = Duration::from_micros(20);
            }
            if !running.is_empty() {
                thread::park_timeout(step);
                step = (step * 2).min(Duration::from_millis(1));
            }
        }
    });
    if joining.is_ok() {
        // Nothing is sent: it ends with the thread, or with the time.
        let _ = receive.recv_timeout(deadline);
    }
    left.load(Ordering::Acquire)
}
