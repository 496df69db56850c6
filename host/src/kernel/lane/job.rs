//! A job of a lane, and whoever waits for it: its answer is taken by exactly one.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use super::LaneError;
use crate::kernel::patience::receive_soon;

/// What a lane does for somebody who waits. In two steps, so that the lane is free for the next one before whoever waited
/// goes on.
pub(crate) trait Job: Send + Sync {
    fn life(&self) -> &Life;
    /// Called once at most, when the life has begun.
    fn work(&self);
    /// Hands over what was done.
    fn deliver(&self);
}

/// The life of a job, so that its answer is taken by exactly one: whoever waits, or the undoing.
#[derive(Debug, Default)]
pub(crate) struct Life {
    stage: AtomicU8,
    // Which thread of the lane began it; written before `stage` says so.
    seat: AtomicUsize,
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const DONE: u8 = 2;
const GIVEN_UP: u8 = 3;

/// What somebody who does not wait any longer leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum GivenUp {
    /// It will never begin.
    Waiting,
    /// A thread of the lane is in it.
    Begun { seat: usize },
    /// It was done at the last moment.
    Done,
}

impl Life {
    /// Begins, unless nobody waits any longer.
    pub(crate) fn begin(&self, seat: usize) -> bool {
        self.seat.store(seat, Ordering::Relaxed);
        self.goes(WAITING, BEGUN)
    }

    /// Ends; false when nobody waits any longer.
    pub(crate) fn end(&self) -> bool {
        self.goes(BEGUN, DONE)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.stage.load(Ordering::Acquire) == DONE
    }

    pub(crate) fn give_up(&self) -> GivenUp {
        if self.goes(WAITING, GIVEN_UP) {
            GivenUp::Waiting
        } else if self.goes(BEGUN, GIVEN_UP) {
            GivenUp::Begun { seat: self.seat.load(Ordering::Relaxed) }
        } else {
            GivenUp::Done
        }
    }

    /// Gives it up unless it has begun; whether it was given up. Then it will never begin.
    pub(crate) fn give_up_waiting(&self) -> bool {
        self.goes(WAITING, GIVEN_UP)
    }

    /// Lets it be lived once more, by whoever it belongs to alone.
    pub(crate) fn renew(&self) {
        self.stage.store(WAITING, Ordering::Release);
    }

    fn goes(&self, from: u8, to: u8) -> bool {
        self.stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A job that is done once, with the sender of its answer.
struct Awaited<T, F, U> {
    life: Life,
    steps: Mutex<Steps<T, F, U>>,
}

struct Steps<T, F, U> {
    work: Option<F>,
    undo: Option<U>,
    done: Option<T>,
    send: Option<mpsc::SyncSender<T>>,
}

impl<T: Send, F: FnOnce() -> T + Send, U: FnOnce(T) + Send> Job for Awaited<T, F, U> {
    fn life(&self) -> &Life {
        &self.life
    }

    fn work(&self) {
        let Some(work) = self.lock().work.take() else { return };
        // Not under the lock: it may panic.
        let done = work();
        self.lock().done = Some(done);
    }

    fn deliver(&self) {
        let taken = {
            let Steps { undo, done, send, .. } = &mut *self.lock();
            (done.take(), send.take(), undo.take())
        };
        // Else it panicked: whoever waits is told by the end of the channel.
        if let (Some(done), Some(send), Some(undo)) = taken {
            if self.life.end() {
                // Before the answer is sent: whoever gets it may want to be the last that holds what this holds.
                drop(undo);
                drop(send.send(done));
            } else {
                undo(done);
            }
        }
    }
}

impl<T, F, U> Awaited<T, F, U> {
    fn lock(&self) -> std::sync::MutexGuard<'_, Steps<T, F, U>> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever waits for a job.
pub(super) struct Wait<T> {
    job: Arc<dyn Job>,
    receive: mpsc::Receiver<T>,
}

pub(super) fn awaited<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    undo: impl FnOnce(T) + Send + 'static,
) -> (Wait<T>, Arc<dyn Job>) {
    let (send, receive) = mpsc::sync_channel(1);
    let steps = Steps { work: Some(work), undo: Some(undo), done: None, send: Some(send) };
    let job: Arc<dyn Job> = Arc::new(Awaited { life: Life::default(), steps: Mutex::new(steps) });
    (Wait { job: Arc::clone(&job), receive }, job)
}

impl<T> Wait<T> {
    /// Waits for so long, and gives nothing up.
    pub(super) fn within(&self, time: Duration) -> Result<T, mpsc::RecvTimeoutError> {
        receive_soon(&self.receive, time)
    }

    /// Waits; `hangs` is called with its seat when the job began and does not end in time.
    pub(super) fn done(self, deadline: Duration, hangs: impl FnOnce(usize)) -> Result<T, LaneError> {
        match self.within(deadline) {
            Ok(done) => return Ok(done),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(LaneError::Closed),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        match self.job.life().give_up() {
            GivenUp::Waiting => Err(LaneError::TimedOut),
            GivenUp::Begun { seat } => {
                hangs(seat);
                Err(LaneError::TimedOut)
            }
            GivenUp::Done => self.receive.recv().map_err(|_| LaneError::Closed),
        }
    }
}

/// Does a job whose time has come, unless nobody waits for it any longer. Plugins' panics end in their own thunks: one that
/// comes here is ours. The lane lives on; whoever waits is told that nobody will answer.
pub(super) fn work_guarded(job: &dyn Job, seat: usize) -> bool {
    if !job.life().begin(seat) {
        return false;
    }
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.work())) {
        tracing::error!(panic = words(&*panic), "a job of a lane panicked: this is a defect of the host");
    }
    true
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("")
}
