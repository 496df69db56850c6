//! A lane: the threads of one generation. Life-cycle callbacks and requests run on it, so that what a plugin keeps per
//! thread ends with the generation, and a callback that hangs costs its lane a thread and nobody else one.
//!
//! One thread serves requests in their order. A callback of the host's does not wait behind them: while the thread is
//! busy it gets one of its own.

mod job;
mod join;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use job::{Job, awaited, work_guarded};
use join::join_all;

/// Requests that may wait in a lane before new ones are turned away: at 1 ms each, a second's worth.
const MAILBOX: usize = 1024;

/// Threads of a lane that may hang, or end late, at once. A plugin that goes on like that must not eat the host's threads.
const LEFT_BEHIND: usize = 16;

/// The lane of one generation.
#[derive(Debug)]
pub(crate) struct Lane {
    name: String,
    shared: Arc<Shared>,
    threads: Mutex<Threads>,
    // Two unloads at once must not take the same thread for the old one.
    renewing: Mutex<()>,
}

#[derive(Debug, Default)]
struct Threads {
    /// Takes requests.
    current: Option<JoinHandle<()>>,
    /// Ran or run one callback, or were taken over from.
    others: Vec<JoinHandle<()>>,
}

struct Shared {
    // The load of the generation that the lane belongs to.
    own: u64,
    queue: Mutex<Queue>,
    changed: Condvar,
    // Loads of other generations that the lane's threads went into, by calls of its plugin.
    entered: Mutex<BTreeSet<u64>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Box<dyn Job>>,
    // Which thread of the lane takes jobs: raised when a fresh one takes over.
    turn: u64,
    busy: bool,
    closed: bool,
}

/// Why a job was not done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LaneError {
    /// It did not end in time. If it began, its thread is left behind and a fresh one takes over.
    TimedOut,
    /// Too many jobs wait, or too many threads hang.
    Full,
    /// The lane is closed.
    Closed,
}

impl Lane {
    /// Opens the lane of a load.
    pub(crate) fn open(name: &str, own: u64) -> io::Result<Arc<Self>> {
        let shared = Arc::new(Shared {
            own,
            queue: Mutex::default(),
            changed: Condvar::new(),
            entered: Mutex::default(),
        });
        let lane =
            Self { name: name.to_owned(), shared, threads: Mutex::default(), renewing: Mutex::default() };
        lane.threads().current = Some(lane.spawn(work_from(0))?);
        Ok(Arc::new(lane))
    }

    /// Runs a callback of the host's and waits for it; beside the requests when the lane is busy with them.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LaneError> {
        self.run_or_undo(deadline, job, drop)
    }

    /// The same; when it ends after its deadline, `undo` gets what nobody waits for any more.
    pub(crate) fn run_or_undo<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce() -> T + Send + 'static,
        undo: impl FnOnce(T) + Send + 'static,
    ) -> Result<T, LaneError> {
        let (wait, job) = awaited(job, undo);
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(LaneError::Closed);
        }
        let beside = queue.busy || !queue.jobs.is_empty();
        if beside {
            drop(queue);
            self.run_beside(job)?;
        } else {
            queue.jobs.push_back(job);
            drop(queue);
            self.shared.changed.notify_one();
        }
        wait.done(deadline, || {
            if !beside {
                self.take_over();
            }
        })
    }

    /// Runs a caller's request in its turn and waits for it, unless too many wait already.
    pub(crate) fn request<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LaneError> {
        let (wait, job) = awaited(job, drop);
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(LaneError::Closed);
        }
        if queue.jobs.len() >= MAILBOX {
            return Err(LaneError::Full);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.shared.changed.notify_one();
        wait.done(deadline, || self.take_over())
    }

    fn run_beside(&self, job: Box<dyn Job>) -> Result<(), LaneError> {
        let mut threads = self.threads();
        threads.reap();
        if threads.others.len() >= LEFT_BEHIND {
            return Err(LaneError::Full);
        }
        let beside = move |_: &Shared| {
            let mut job = job;
            work_guarded(&mut *job);
            job.deliver();
        };
        let thread = self.spawn(beside).map_err(|_| LaneError::Full)?;
        threads.others.push(thread);
        Ok(())
    }

    /// Whether a thread of this lane went into that load, and has not been renewed since.
    pub(crate) fn has_entered(&self, load: u64) -> bool {
        self.shared.entered().contains(&load)
    }

    /// Gives the lane fresh threads; those before end after their jobs, and with them what other plugins keep on them. False
    /// when one did not end in time.
    pub(crate) fn renew(&self, deadline: Duration) -> bool {
        let _alone = self.renewing.lock().unwrap_or_else(PoisonError::into_inner);
        // What the fresh thread goes into from now on is noted anew.
        let entered = std::mem::take(&mut *self.shared.entered());
        self.take_over();
        let old = std::mem::take(&mut self.threads().others);
        let renewed = join_all(old, deadline) == 0;
        if !renewed {
            self.shared.entered().extend(entered);
        }
        renewed
    }

    /// Ends the lane: requests that wait are done, then its threads end and are waited for. How many did not end in time.
    pub(crate) fn close(&self, deadline: Duration) -> usize {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        let threads = {
            let mut threads = self.threads();
            let Threads { current, others } = &mut *threads;
            others.drain(..).chain(current.take()).collect()
        };
        join_all(threads, deadline)
    }

    /// Lets a fresh thread take the jobs; the one that is busy ends after its own.
    fn take_over(&self) {
        let mut threads = self.threads();
        threads.reap();
        if threads.others.len() >= LEFT_BEHIND {
            tracing::warn!(
                lane = self.name,
                "{LEFT_BEHIND} threads hang in the plugin: no more are started for it"
            );
            return;
        }
        // Held until the fresh thread is there: should there be none to have, the old one goes on.
        let mut queue = self.shared.lock();
        match self.spawn(work_from(queue.turn + 1)) {
            Ok(fresh) => {
                queue.turn += 1;
                queue.busy = false;
                let old = threads.current.replace(fresh);
                threads.others.extend(old);
            }
            Err(error) => {
                tracing::error!(lane = self.name, %error, "failed to start a fresh thread for the lane")
            }
        }
        drop(queue);
        self.shared.changed.notify_all();
    }

    fn spawn(&self, body: impl FnOnce(&Shared) + Send + 'static) -> io::Result<JoinHandle<()>> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name(self.name.clone()).spawn(move || {
            MINE.set(Some(Arc::clone(&shared)));
            body(&shared);
        })
    }

    fn threads(&self) -> MutexGuard<'_, Threads> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // A lane that nobody closed must not keep its thread waiting for ever.
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

impl Threads {
    /// Forgets threads that have ended.
    fn reap(&mut self) {
        for ended in self.others.extract_if(.., |thread| thread.is_finished()) {
            // Its body is over. Its thread-locals' destructors are not waited for here: closing the library looks.
            drop(ended);
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entered(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.entered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("own", &self.own).finish_non_exhaustive()
    }
}

thread_local! {
    // The lane that this thread belongs to.
    static MINE: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
    // The load that was noted last: calls to the same service again and again note it once.
    static NOTED: Cell<u64> = const { Cell::new(0) };
}

/// Notes that this thread goes into a generation that is not its own, when it is a lane's: such a lane is renewed before
/// that generation unloads.
pub(crate) fn note_entry(load: u64) {
    if NOTED.replace(load) == load {
        return;
    }
    MINE.with_borrow(|mine| {
        if let Some(shared) = mine.as_ref().filter(|shared| shared.own != load) {
            shared.entered().insert(load);
        }
    });
}

/// Whether this thread belongs to a lane.
pub(crate) fn is_lane() -> bool {
    MINE.with_borrow(Option::is_some)
}

/// The work of a lane's thread while it is its turn.
fn work_from(turn: u64) -> impl FnOnce(&Shared) + Send + 'static {
    move |shared| {
        let mut queue = shared.lock();
        loop {
            if queue.turn != turn {
                return;
            }
            let Some(mut job) = queue.jobs.pop_front() else {
                if queue.closed {
                    return;
                }
                queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            queue.busy = true;
            drop(queue);
            work_guarded(&mut *job);
            queue = shared.lock();
            if queue.turn == turn {
                queue.busy = false;
            }
            drop(queue);
            job.deliver();
            queue = shared.lock();
        }
    }
}

#[cfg(test)]
mod tests;
