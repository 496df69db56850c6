//! Work spread over threads: chunks do not depend on each other.

use std::sync::{Mutex, PoisonError};
use std::thread;

/// A state of fewer bytes stays on its thread: to start another one takes as long as it would save.
const FROM: usize = 2 << 20;

/// What a thread must get to be worth its start.
const SHARE: usize = 1 << 20;

/// More are waiting for the memory.
const MOST: usize = 8;

/// How many threads are good for so many bytes, on this machine.
pub(crate) fn threads(bytes: usize) -> usize {
    if bytes < FROM {
        return 1;
    }
    // Asked each time, and about the thread that asks: what it may use can change.
    let there = thread::available_parallelism().map_or(1, usize::from);
    (bytes / SHARE).min(there).min(MOST)
}

/// Does `work` to each item, on as many threads as there are to be had, of which the caller's is one. Items are taken in
/// their order.
pub(crate) fn spread<I>(items: I, threads: usize, work: impl Fn(I::Item) + Sync)
where
    I: Iterator + Send,
{
    if threads <= 1 {
        return items.for_each(work);
    }
    let items = Mutex::new(items);
    let run = || {
        loop {
            // A statement of its own: the lock is not held while the work is done.
            let next = items.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some(item) = next else { break };
            work(item);
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // A thread that the system does not give leaves more for the others.
            if thread::Builder::new().name("hotbay-seal".to_owned()).spawn_scoped(scope, run).is_err() {
                break;
            }
        }
        run();
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_item_is_worked_on_once_by_any_number_of_threads() {
        for threads in [1, 2, 3, 20] {
            let done = Mutex::new(Vec::new());
            spread(0..1000, threads, |item| done.lock().unwrap().push(item));
            let mut done = done.into_inner().unwrap();
            done.sort_unstable();
            assert_eq!(done, (0..1000).collect::<Vec<_>>(), "{threads}");
        }
    }

    #[test]
    fn a_small_state_stays_on_its_thread() {
        assert_eq!([0, 1, FROM - 1].map(threads), [1; 3]);
        let large = threads(usize::MAX);
        assert!((1..=MOST).contains(&large), "{large}");
    }
}
