//! The clock: one thread for the timers of all plugins. Nothing of a plugin runs on it, and it waits for nobody: it gives each tick
//! its turn on a lane, and looks whether it came to an end.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::kernel::settle::settle;
use crate::os;

/// What a callback may take where nobody says how long.
const DEADLINE: Duration = Duration::from_secs(5);

/// What is done on the clock's thread when its time has come: shortly, and without waiting.
pub(super) type Due = Box<dyn FnOnce() + Send>;

/// One per host.
#[derive(Default)]
pub(crate) struct Clock {
    shared: Arc<Shared>,
    deadline: OnceLock<Duration>,
}

/// When something is due, and the how-manieth it is: no two are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    at: Instant,
    number: u64,
}

#[derive(Default)]
struct Shared {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Default)]
struct Inside {
    due: BTreeMap<At, Due>,
    count: u64,
    runs: bool,
    closed: bool,
}

impl Clock {
    /// How long a tick may take until a fresh thread takes its lane over.
    pub(crate) fn set_deadline(&self, deadline: Duration) {
        let _ = self.deadline.set(deadline);
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline.get().copied().unwrap_or(DEADLINE)
    }

    /// Has something of the kernel's own done at a time.
    pub(crate) fn at(&self, at: Instant, due: Box<dyn FnOnce() + Send>) -> io::Result<()> {
        self.set(at, due).map(drop)
    }

    /// Has something done at a time. Its thread begins with the first of these.
    pub(super) fn set(&self, at: Instant, due: Due) -> io::Result<At> {
        let mut inside = self.shared.lock();
        if !inside.runs {
            let shared = Arc::clone(&self.shared);
            os::spawn("hotbay-clock", move || {
                settle();
                shared.run();
            })?;
            inside.runs = true;
        }
        inside.count += 1;
        let key = At { at, number: inside.count };
        inside.due.insert(key, due);
        let is_first = inside.due.first_key_value().is_some_and(|(first, _)| *first == key);
        drop(inside);
        if is_first {
            self.shared.changed.notify_one();
        }
        Ok(key)
    }

    /// Ends its thread: nothing is due any more. What is pinned may hold it for as long as the process lives.
    pub(crate) fn close(&self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_one();
    }

    /// Forgets it, where its time has not come.
    pub(super) fn unset(&self, key: At) {
        let due = self.shared.lock().due.remove(&key);
        // Not under the lock: it may hold what is asked for it.
        drop(due);
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn run(&self) {
        let mut inside = self.lock();
        while !inside.closed {
            let now = Instant::now();
            let first = inside.due.first_key_value().map(|(key, _)| key.at);
            match first {
                Some(at) if at <= now => {
                    let due = inside.due.pop_first();
                    drop(inside);
                    if let Some((_, due)) = due {
                        due();
                    }
                    inside = self.lock();
                }
                Some(at) => {
                    let waited = self.changed.wait_timeout(inside, at - now);
                    inside = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                None => inside = self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").field("due", &self.shared.lock().due.len()).finish_non_exhaustive()
    }
}
