//! Threads that are no lane's and went into a generation inline: what its plugin keeps per thread stays on them, and holds
//! its library, until they end.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::os::{self, Thread};

/// By load. A load is forgotten when its library is gone.
static CALLERS: Mutex<BTreeMap<u64, BTreeSet<Thread>>> = Mutex::new(BTreeMap::new());

thread_local! {
    static MINE: RefCell<Mine> = const { RefCell::new(Mine { loads: Vec::new() }) };
}

/// The loads that this thread is noted for: none of them holds it once it has ended.
struct Mine {
    loads: Vec<u64>,
}

impl Drop for Mine {
    fn drop(&mut self) {
        let (mut callers, id) = (callers(), os::current_id());
        for load in &self.loads {
            if let Some(threads) = callers.get_mut(load) {
                threads.retain(|thread| thread.id != id);
            }
        }
    }
}

/// Notes that this thread goes into a load. Off the path of most calls: `Generation::note_entry` asks first whether it was
/// one of the last that this thread went into.
#[cold]
pub(crate) fn note(load: u64) {
    // A thread that is ending, and calls from a destructor, is not noted.
    let _ = MINE.try_with(|mine| {
        let mut mine = mine.borrow_mut();
        if mine.loads.contains(&load) {
            return;
        }
        let mut callers = callers();
        mine.loads.retain(|load| callers.contains_key(load));
        mine.loads.push(load);
        let name = std::thread::current().name().unwrap_or_default().to_owned();
        callers.entry(load).or_default().insert(Thread { id: os::current_id(), name });
    });
}

/// The threads that went into a load and have not ended.
pub(crate) fn of(load: u64) -> Vec<Thread> {
    callers().get(&load).into_iter().flatten().cloned().collect()
}

/// A load is gone: nobody holds anything of it.
pub(crate) fn forget(load: u64) {
    callers().remove(&load);
}

fn callers() -> MutexGuard<'static, BTreeMap<u64, BTreeSet<Thread>>> {
    CALLERS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caller_is_known_until_its_thread_ends_or_its_load_is_gone() {
        // Loads that no other test of this process has.
        let (first, second) = (u64::MAX, u64::MAX - 1);
        let ids = |load| of(load).into_iter().map(|thread| thread.id).collect::<Vec<_>>();
        note(first);
        note(first);
        assert_eq!(ids(first), [os::current_id()]);
        std::thread::spawn(move || {
            note(second);
            note(first);
            assert_eq!(of(second).len(), 1);
            assert_eq!(of(first).len(), 2);
        })
        .join()
        .expect("it asserts");
        assert_eq!((ids(first), ids(second)), (vec![os::current_id()], vec![]));
        forget(first);
        assert_eq!(of(first), []);
        forget(second);
    }
}
