//! Waiting for threads to end.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::os;

/// Threads that did not end in time.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) count: usize,
    /// Those whose body runs still. Of the others a thread-local's destructor does not end.
    pub(crate) running: Vec<JoinHandle<()>>,
}

/// Waits for threads to end for real, destructors of their thread-locals included. On a thread of its own, since such a
/// destructor is the plugin's, and may never end.
pub(crate) fn join_all(threads: Vec<JoinHandle<()>>, deadline: Duration) -> Left {
    if threads.is_empty() {
        return Left { count: 0, running: threads };
    }
    let left = Arc::new((AtomicUsize::new(threads.len()), Mutex::new(threads)));
    let (send, receive) = mpsc::channel::<()>();
    let joined = Arc::clone(&left);
    let joining = os::spawn("join", move || {
        let (count, running) = &*joined;
        let mut step = Duration::from_micros(20);
        // The sender is dropped at the end; the count of references tells that nobody waits any longer.
        let _send = send;
        while count.load(Ordering::Relaxed) > 0 && Arc::strong_count(&joined) > 1 {
            let ended = lock(running).extract_if(.., |thread| thread.is_finished()).next();
            match ended {
                Some(thread) => {
                    // Its body is over; this waits for the destructors.
                    let _ = thread.join();
                    count.fetch_sub(1, Ordering::AcqRel);
                    step = Duration::from_micros(20);
                }
                None => {
                    thread::park_timeout(step);
                    step = (step * 2).min(Duration::from_millis(1));
                }
            }
        }
    });
    if joining.is_ok() {
        // Nothing is sent: it ends with the thread, or with the time.
        let _ = receive.recv_timeout(deadline);
    }
    let (count, running) = &*left;
    let running = std::mem::take(&mut *lock(running));
    Left { count: count.load(Ordering::Acquire), running }
}

fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
