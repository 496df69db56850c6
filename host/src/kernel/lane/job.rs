//! A job of a lane, and whoever waits for it: its answer is taken by exactly one.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::LaneError;

// The life of a job, so that its answer is taken by exactly one: whoever waits, or the undoing.
const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const DONE: u8 = 2;
const GIVEN_UP: u8 = 3;

/// A job in two steps, so that the lane is free for the next one before whoever waited goes on.
pub(super) trait Job: Send {
    fn work(&mut self);
    /// Hands over what was done.
    fn deliver(self: Box<Self>);
}

struct Awaited<T, F, U> {
    life: Arc<AtomicU8>,
    work: Option<F>,
    undo: U,
    done: Option<T>,
    send: mpsc::SyncSender<T>,
}

impl<T: Send, F: FnOnce() -> T + Send, U: FnOnce(T) + Send> Job for Awaited<T, F, U> {
    fn work(&mut self) {
        if goes(&self.life, WAITING, BEGUN)
            && let Some(work) = self.work.take()
        {
            self.done = Some(work());
        }
    }

    fn deliver(self: Box<Self>) {
        let Self { life, undo, done, send, .. } = *self;
        match done {
            Some(done) if goes(&life, BEGUN, DONE) => drop(send.send(done)),
            Some(done) => undo(done),
            None => {}
        }
    }
}

fn goes(life: &AtomicU8, from: u8, to: u8) -> bool {
    life.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
}

/// Whoever waits for a job.
pub(super) struct Wait<T> {
    life: Arc<AtomicU8>,
    receive: mpsc::Receiver<T>,
}

pub(super) fn awaited<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
    undo: impl FnOnce(T) + Send + 'static,
) -> (Wait<T>, Box<dyn Job>) {
    let (send, receive) = mpsc::sync_channel(1);
    let life = Arc::new(AtomicU8::new(WAITING));
    let job = Awaited { life: Arc::clone(&life), work: Some(work), undo, done: None, send };
    (Wait { life, receive }, Box::new(job))
}

impl<T> Wait<T> {
    /// Waits; `hangs` is called when the job began and does not end in time.
    pub(super) fn done(self, deadline: Duration, hangs: impl FnOnce()) -> Result<T, LaneError> {
        match self.receive.recv_timeout(deadline) {
            Ok(done) => return Ok(done),
            Err(mpsc::RecvTimeoutError::Disconnected) => return Err(LaneError::Closed),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
        if goes(&self.life, WAITING, GIVEN_UP) {
            return Err(LaneError::TimedOut);
        }
        if goes(&self.life, BEGUN, GIVEN_UP) {
            hangs();
            return Err(LaneError::TimedOut);
        }
        // It was done at the last moment.
        self.receive.recv().map_err(|_| LaneError::Closed)
    }
}

/// Plugins' panics end in their own thunks: one that comes here is ours. The lane lives on; whoever waits is told that
/// nobody will answer.
pub(super) fn work_guarded(job: &mut dyn Job) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| job.work())) {
        tracing::error!(panic = words(&*panic), "a job of a lane panicked: this is a defect of the host");
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("")
}
