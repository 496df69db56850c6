//! A lane: the thread of one generation. Life-cycle callbacks and requests run on it, so that what a plugin keeps per
//! thread ends with the generation, and a callback that hangs costs its lane and nobody else's thread.

use std::any::Any;
use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::{self, JoinHandle};
use std::time::Duration;

type Job = Box<dyn FnOnce() + Send>;

/// Requests that may wait in a lane before new ones are turned away: at 1 ms each, a second's worth.
const MAILBOX: usize = 1024;

/// The lane of one generation.
#[derive(Debug)]
pub(crate) struct Lane {
    name: String,
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
    // Loads of other generations that this lane's thread went into, by calls of its plugin.
    entered: Mutex<BTreeSet<u64>>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    // Which thread of the lane takes jobs: raised when a fresh one takes over.
    turn: u64,
    closed: bool,
}

/// Why a job was not done.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LaneError {
    /// It did not end in time. Its thread is left behind; a fresh one takes over.
    TimedOut,
    /// Too many jobs wait.
    Full,
    /// The lane is closed, or no thread can be had.
    Closed,
}

impl Lane {
    pub(crate) fn open(name: &str) -> io::Result<Arc<Self>> {
        let lane =
            Arc::new(Self { name: name.to_owned(), shared: Arc::default(), threads: Mutex::default() });
        lane.spawn(0)?;
        Ok(lane)
    }

    /// Runs a callback of the host's on the lane and waits for it. It is never turned away.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LaneError> {
        self.run_within(usize::MAX, deadline, job)
    }

    /// Runs a caller's request on the lane and waits for it, unless too many wait already.
    pub(crate) fn request<T: Send + 'static>(
        &self,
        deadline: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LaneError> {
        self.run_within(MAILBOX, deadline, job)
    }

    fn run_within<T: Send + 'static>(
        &self,
        room: usize,
        deadline: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LaneError> {
        let (send, receive) = mpsc::sync_channel(1);
        let begun = Arc::new(AtomicBool::new(false));
        let given_up = Arc::new(AtomicBool::new(false));
        let (begun_there, given_up_there) = (Arc::clone(&begun), Arc::clone(&given_up));
        let job: Job = Box::new(move || {
            begun_there.store(true, Ordering::SeqCst);
            if !given_up_there.load(Ordering::SeqCst) {
                let _ = send.send(job());
            }
        });
        self.submit(room, job)?;
        match receive.recv_timeout(deadline) {
            Ok(done) => Ok(done),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(LaneError::Closed),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                given_up.store(true, Ordering::SeqCst);
                if begun.load(Ordering::SeqCst) {
                    // What hangs is this job: let the ones behind it go on elsewhere.
                    self.take_over();
                }
                Err(LaneError::TimedOut)
            }
        }
    }

    fn submit(&self, room: usize, job: Job) -> Result<(), LaneError> {
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(LaneError::Closed);
        }
        if queue.jobs.len() >= room {
            return Err(LaneError::Full);
        }
        queue.jobs.push_back(job);
        drop(queue);
        self.shared.changed.notify_one();
        Ok(())
    }

    /// Whether a thread of this lane went into that load, and has not been renewed since.
    pub(crate) fn has_entered(&self, load: u64) -> bool {
        self.shared.entered.lock().unwrap_or_else(PoisonError::into_inner).contains(&load)
    }

    /// Gives the lane a fresh thread; the one before ends after its job, and with it what other plugins keep on it. False
    /// when it did not end in time.
    pub(crate) fn renew(&self, deadline: Duration) -> bool {
        self.take_over();
        let old: Vec<_> = {
            let mut threads = self.lock_threads();
            let fresh = threads.len().saturating_sub(1);
            threads.drain(..fresh).collect()
        };
        match join_all(old, deadline) {
            Ok(()) => {
                self.shared.entered.lock().unwrap_or_else(PoisonError::into_inner).clear();
                true
            }
            Err(left) => {
                // They stay first in line for the next attempt.
                self.lock_threads().splice(0..0, left);
                false
            }
        }
    }

    /// Ends the lane: jobs that wait are done, then its threads end and are waited for. How many did not end in time.
    pub(crate) fn close(&self, deadline: Duration) -> usize {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        let threads: Vec<_> = self.lock_threads().drain(..).collect();
        join_all(threads, deadline).map_or_else(|left| left.len(), |()| 0)
    }

    fn take_over(&self) {
        let turn = {
            let mut queue = self.shared.lock();
            queue.turn += 1;
            queue.turn
        };
        self.shared.changed.notify_all();
        if let Err(e) = self.spawn(turn) {
            tracing::error!(lane = self.name, error = %e, "failed to start a fresh thread for the lane");
        }
    }

    fn spawn(&self, turn: u64) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = thread::Builder::new().name(self.name.clone()).spawn(move || work(&shared, turn))?;
        self.lock_threads().push(thread);
        Ok(())
    }

    fn lock_threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

thread_local! {
    // The lane that this thread belongs to.
    static MINE: RefCell<Option<Arc<Shared>>> = const { RefCell::new(None) };
}

/// Notes that this thread goes into another generation, when it is a lane's: such a lane is renewed before that
/// generation unloads.
pub(crate) fn note_entry(load: u64) {
    MINE.with_borrow(|mine| {
        if let Some(shared) = mine {
            shared.entered.lock().unwrap_or_else(PoisonError::into_inner).insert(load);
        }
    });
}

/// Whether this thread belongs to a lane.
pub(crate) fn is_lane() -> bool {
    MINE.with_borrow(Option::is_some)
}

fn work(shared: &Arc<Shared>, turn: u64) {
    MINE.set(Some(Arc::clone(shared)));
    loop {
        let mut queue = shared.lock();
        let job = loop {
            if queue.turn != turn {
                return;
            }
            if let Some(job) = queue.jobs.pop_front() {
                break job;
            }
            if queue.closed {
                return;
            }
            queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        };
        drop(queue);
        // Plugins' panics end in their own thunks: this one would be ours. The lane lives on; whoever waits is told
        // that nobody will answer.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(job)) {
            tracing::error!(panic = words(&*panic), "a job of a lane panicked: this is a defect of the host");
        }
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("")
}

/// Waits for threads to end for real, destructors of their thread-locals included. Those that did not are given back.
fn join_all(threads: Vec<JoinHandle<()>>, deadline: Duration) -> Result<(), Vec<JoinHandle<()>>> {
    let begun = std::time::Instant::now();
    let mut step = Duration::from_micros(20);
    let mut left = threads;
    loop {
        let (ended, running): (Vec<_>, Vec<_>) = left.into_iter().partition(JoinHandle::is_finished);
        for thread in ended {
            // The body is over; this waits for its thread-locals' destructors, which belong to the plugin.
            let _ = thread.join();
        }
        if running.is_empty() {
            return Ok(());
        }
        if begun.elapsed() >= deadline {
            return Err(running);
        }
        left = running;
        thread::park_timeout(step);
        step = (step * 2).min(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linked::{LONG, SHORT};

    #[test]
    fn a_job_that_hangs_costs_its_thread_and_the_next_one_is_done_by_a_fresh_one() {
        let lane = Lane::open("lane").unwrap();
        let (release, hung) = mpsc::channel::<()>();
        let first = lane.run(LONG, || thread::current().id()).unwrap();
        assert_eq!(lane.run(SHORT, move || hung.recv()).unwrap_err(), LaneError::TimedOut);
        let second = lane.run(LONG, || thread::current().id()).unwrap();
        assert_ne!(first, second);
        // The thread that hung is still waited for.
        assert_eq!(lane.close(SHORT), 1);
        drop(release);
    }

    #[test]
    fn a_job_that_was_given_up_before_it_began_is_never_done() {
        let lane = Lane::open("lane").unwrap();
        let (go, wait) = mpsc::channel::<()>();
        let (began, is_there) = mpsc::channel();
        thread::scope(|scope| {
            let busy = scope.spawn(|| {
                lane.run(LONG, move || {
                    began.send(()).unwrap();
                    wait.recv()
                })
            });
            is_there.recv().unwrap();
            let done = Arc::new(AtomicBool::new(false));
            let there = Arc::clone(&done);
            let given_up = lane.run(SHORT, move || there.store(true, Ordering::SeqCst));
            assert_eq!(given_up, Err(LaneError::TimedOut));
            go.send(()).unwrap();
            assert_eq!(busy.join().unwrap(), Ok(Ok(())));
            assert_eq!(lane.run(LONG, || ()), Ok(()));
            assert!(!done.load(Ordering::SeqCst));
        });
    }

    #[test]
    fn a_panic_of_a_job_leaves_the_lane_working() {
        let lane = Lane::open("lane").unwrap();
        assert_eq!(lane.run(LONG, || panic!("a defect")), Err::<(), _>(LaneError::Closed));
        assert_eq!(lane.run(LONG, || 7), Ok(7));
    }

    #[test]
    fn a_renewed_lane_has_let_go_of_its_thread_locals() {
        struct Told(mpsc::Sender<()>);
        impl Drop for Told {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        thread_local!(static HELD: RefCell<Option<Told>> = const { RefCell::new(None) });
        let lane = Lane::open("lane").unwrap();
        let (told, tell) = mpsc::channel();
        lane.run(LONG, move || HELD.set(Some(Told(told)))).unwrap();
        assert!(tell.try_recv().is_err());
        assert!(lane.renew(LONG));
        assert_eq!(tell.try_recv(), Ok(()));
        assert_eq!(lane.close(LONG), 0);
    }

    #[test]
    fn a_closed_lane_does_what_waits_and_takes_no_more() {
        let lane = Lane::open("lane").unwrap();
        let done = lane.run(LONG, || 1);
        assert_eq!(lane.close(LONG), 0);
        assert_eq!((done, lane.run(LONG, || 2)), (Ok(1), Err(LaneError::Closed)));
    }
}
