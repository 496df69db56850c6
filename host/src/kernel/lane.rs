//! A lane: the threads of one generation. Life-cycle callbacks and requests run on it, so that what a plugin keeps per
//! thread ends with the generation, and a callback that hangs costs its lane a thread and nobody else one. In a swap one thread of the
//! lane that is left runs callbacks of both generations (`swap/relay`).
//!
//! Requests wait in one mailbox, and one thread serves them in their order, or several do. A callback of the host's does not
//! wait behind them: while a thread is busy it gets one of its own.

mod begun;
mod entry;
mod job;
mod join;
mod spares;
mod waiting;

use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

pub(crate) use begun::Begun;
pub(crate) use entry::note_entry;
pub(crate) use job::{GivenUp, Job, Life};
use job::{awaited, work_guarded};
pub(crate) use join::join_all;
pub(crate) use spares::Spares;

use super::settle::settle;
use crate::os;

/// Threads of a lane that may hang, or end late, at once. A plugin that goes on like that must not eat the host's threads.
const LEFT_BEHIND: usize = 16;

/// How much a generation's lane takes at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Threads that serve requests.
    pub(crate) lanes: usize,
    /// Requests that may wait before new ones are turned away.
    pub(crate) mailbox: usize,
}

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
    /// Take requests, one in each seat.
    seated: Vec<JoinHandle<()>>,
    /// Ran or run one callback, or were taken over from.
    others: Vec<JoinHandle<()>>,
}

struct Shared {
    // The load of the generation that the lane belongs to.
    own: u64,
    mailbox: usize,
    queue: Mutex<Queue>,
    changed: Condvar,
    // Loads of other generations that the lane's threads went into: by calls of its plugin, or in a swap.
    entered: Mutex<BTreeSet<u64>>,
}

struct Queue {
    jobs: VecDeque<Arc<dyn Job>>,
    seats: Vec<Seat>,
    // Threads that wait for a job.
    idle: usize,
    turned_away: u64,
    closed: bool,
}

#[derive(Debug, Clone, Default)]
struct Seat {
    // Which thread sits there: raised when a fresh one takes over.
    turn: u64,
    busy: bool,
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
    /// Opens the lane of a load, on threads that have begun already as far as there are such.
    pub(crate) fn open(name: &str, own: u64, room: Room, spares: &Spares) -> io::Result<Arc<Self>> {
        let lanes = room.lanes.max(1);
        let queue = Queue {
            // As many as may wait, and messages that are brought: a request allocates nothing.
            jobs: VecDeque::with_capacity(room.mailbox + 1),
            seats: vec![Seat::default(); lanes],
            idle: 0,
            turned_away: 0,
            closed: false,
        };
        let shared = Arc::new(Shared {
            own,
            mailbox: room.mailbox,
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            entered: Mutex::default(),
        });
        let lane =
            Self { name: name.to_owned(), shared, threads: Mutex::default(), renewing: Mutex::default() };
        for seat in 0..lanes {
            let work = lane.own(move |shared| work_from(shared, seat, 0));
            let thread = spares.spawn(&lane.name, work)?;
            lane.threads().seated.push(thread);
        }
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
        self.begin(job, undo)?.done(deadline)
    }

    /// Begins a callback of the host's, and lets who asked see to its end.
    pub(crate) fn begin<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
        undo: impl FnOnce(T) + Send + 'static,
    ) -> Result<Begun<'_, T>, LaneError> {
        let (wait, job) = awaited(job, undo);
        let queue = self.shared.lock();
        if queue.closed {
            return Err(LaneError::Closed);
        }
        let beside = if queue.seats.iter().any(|seat| seat.busy) || !queue.jobs.is_empty() {
            drop(queue);
            Some(self.run_beside(job)?)
        } else {
            self.shared.add(queue, job);
            None
        };
        Ok(Begun { lane: self, wait, beside })
    }

    /// Lets a thread that has nothing to do run for a moment, so that the next job finds it awake.
    pub(crate) fn warm_up(&self, deadline: Duration) {
        let (wait, job) = awaited(|| (), drop);
        let queue = self.shared.lock();
        if queue.closed || queue.idle == 0 || !queue.jobs.is_empty() {
            return;
        }
        self.shared.add(queue, job);
        // Should a request keep it, that one is waited for where it must be.
        let _ = wait.done(deadline, |seat| _ = self.take_over(seat));
    }

    /// Gives a caller's request its turn, unless too many wait already. Its life tells what becomes of it; who gives it up
    /// when it has begun says so by [`Lane::take_over`]. `accepted` is run once it is sure to be taken, before it has its turn.
    pub(crate) fn request(&self, job: Arc<dyn Job>, accepted: impl FnOnce()) -> Result<(), LaneError> {
        let mut queue = self.shared.lock();
        if queue.closed {
            return Err(LaneError::Closed);
        }
        if queue.jobs.len() >= self.shared.mailbox {
            queue.turned_away += 1;
            return Err(LaneError::Full);
        }
        accepted();
        self.shared.add(queue, job);
        Ok(())
    }

    /// Gives a job of the host's its turn behind the requests that wait, however many those are. Such jobs are few: of each kind one
    /// at a time.
    pub(crate) fn post(&self, job: Arc<dyn Job>) -> Result<(), LaneError> {
        let queue = self.shared.lock();
        if queue.closed {
            return Err(LaneError::Closed);
        }
        self.shared.add(queue, job);
        Ok(())
    }

    /// Takes a request back that was given up while it waited: it makes room.
    pub(crate) fn withdraw(&self, job: &Arc<dyn Job>) {
        self.shared.lock().jobs.retain(|waiting| !Arc::ptr_eq(waiting, job));
    }

    fn run_beside(&self, job: Arc<dyn Job>) -> Result<ThreadId, LaneError> {
        let mut threads = self.threads();
        threads.reap();
        if threads.others.len() >= LEFT_BEHIND {
            return Err(LaneError::Full);
        }
        let beside = move |_: &Shared| {
            // It has no seat to be taken over in.
            if work_guarded(&*job, usize::MAX) {
                job.deliver();
            }
        };
        let thread = self.spawn(beside).map_err(|_| LaneError::Full)?;
        let id = thread.thread().id();
        threads.others.push(thread);
        Ok(id)
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
        let seats = self.shared.lock().seats.len();
        (0..seats).for_each(|seat| _ = self.take_over(seat));
        let old = std::mem::take(&mut self.threads().others);
        let left = join_all(old, deadline);
        if left.count > 0 {
            self.shared.entered().extend(entered);
        }
        // Closing waits for them again, and none are started without end beside them.
        self.threads().others.extend(left.running);
        left.count == 0
    }

    /// Ends the lane: requests that wait are done, then its threads end and are waited for. How many did not end in time.
    pub(crate) fn close(&self, deadline: Duration) -> usize {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        let threads = {
            let mut threads = self.threads();
            let Threads { seated, others } = &mut *threads;
            others.drain(..).chain(seated.drain(..)).collect()
        };
        join_all(threads, deadline).count
    }

    /// Lets a fresh thread take the jobs in this seat; the one that is busy ends after its own. Whether there is a fresh one.
    pub(crate) fn take_over(&self, seat: usize) -> bool {
        self.relieve(seat).is_some()
    }

    /// The same; the one that is busy.
    fn relieve(&self, seat: usize) -> Option<ThreadId> {
        let mut threads = self.threads();
        threads.reap();
        if threads.others.len() >= LEFT_BEHIND {
            tracing::warn!(lane = self.name, "{LEFT_BEHIND} threads hang in the plugin: no more are started");
            return None;
        }
        // None sits in a lane that was closed meanwhile.
        if seat >= threads.seated.len() {
            return None;
        }
        // Held until the fresh thread is there: should there be none to have, the old one goes on.
        let mut queue = self.shared.lock();
        let turn = queue.seats[seat].turn + 1;
        let busy = match self.spawn(move |shared| work_from(shared, seat, turn)) {
            Ok(fresh) => {
                queue.seats[seat] = Seat { turn, busy: false };
                let old = std::mem::replace(&mut threads.seated[seat], fresh);
                let busy = old.thread().id();
                threads.others.push(old);
                busy
            }
            Err(error) => {
                tracing::error!(lane = self.name, %error, "failed to start a fresh thread for the lane");
                return None;
            }
        };
        drop(queue);
        self.shared.changed.notify_all();
        Some(busy)
    }

    fn spawn(&self, body: impl FnOnce(&Shared) + Send + 'static) -> io::Result<JoinHandle<()>> {
        os::spawn(&self.name, self.own(body))
    }

    /// What a thread of this lane does.
    fn own(&self, body: impl FnOnce(&Shared) + Send + 'static) -> impl FnOnce() + Send + 'static {
        let shared = Arc::clone(&self.shared);
        move || {
            entry::belong_to(&shared);
            settle();
            body(&shared);
        }
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

    /// Adds a job and wakes a thread for it, when one waits.
    fn add(&self, mut queue: MutexGuard<'_, Queue>, job: Arc<dyn Job>) {
        queue.jobs.push_back(job);
        let wakes = queue.idle > 0;
        drop(queue);
        if wakes {
            self.changed.notify_one();
        }
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

/// The work of a lane's thread while it is its turn.
fn work_from(shared: &Shared, seat: usize, turn: u64) {
    let mut queue = shared.lock();
    while queue.seats[seat].turn == turn {
        let Some(job) = queue.jobs.pop_front() else {
            if queue.closed {
                return;
            }
            queue.idle += 1;
            queue = shared.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
            queue.idle -= 1;
            continue;
        };
        queue.seats[seat].busy = true;
        drop(queue);
        let worked = work_guarded(&*job, seat);
        queue = shared.lock();
        if queue.seats[seat].turn == turn {
            queue.seats[seat].busy = false;
        }
        drop(queue);
        if worked {
            job.deliver();
        }
        drop(job);
        queue = shared.lock();
    }
}

#[cfg(test)]
mod tests;
