//! Timers: what is done later, or again and again.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::abi::{RawTimes, SetTimer, Status};
use crate::thread::micros;
use crate::{Context, Error, Outgoing, Result};

/// A timer in hand. It goes on when this is dropped, and ends when the plugin stops.
#[derive(Clone, Copy)]
pub struct Timer {
    timer: SetTimer,
}

/// Each may be called between `start` and the begin of `stop`, on any thread; `start` is the place. All timers end when the plugin
/// stops: in a swap the new version sets its own.
///
/// A tick runs as a message does: on a lane of the plugin, beside calls, one at a time for each timer, and in a swap either on the old
/// version before it is drained, or not at all. One that takes longer than its period costs the ticks that it missed: they are not
/// made up for.
impl Context {
    /// Has `body` called once on a lane of the plugin, after this time.
    ///
    /// `body` is what the plugin says: an error is logged and counted, and so is a panic.
    ///
    /// # Errors
    /// The plugin is not started, it has too many timers, or the host is older and has none.
    pub fn after<F>(&self, delay: Duration, body: F) -> Result<Timer>
    where
        F: FnOnce() -> Result<()> + Send + 'static,
    {
        let once = Mutex::new(Some(body));
        let take = move || once.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ticks = Box::new(move || take().map_or(Ok(()), |body| body()));
        set(self.link().call_at(RawTimes { after: micros(delay), every: 0 }, ticks))
    }

    /// Has `body` called on a lane of the plugin again and again, for the first time after one period. 1 ms is the shortest.
    ///
    /// # Errors
    /// As [`after`](Context::after); or the period is too short.
    pub fn every<F>(&self, period: Duration, body: F) -> Result<Timer>
    where
        F: Fn() -> Result<()> + Send + Sync + 'static,
    {
        set(self.link().call_at(again(period), Box::new(body)))
    }

    /// Has a message published after this time, as [`send`](Context::send) would: the host keeps it, and it is lost when the plugin
    /// stops before.
    ///
    /// # Errors
    /// As [`after`](Context::after); or the topic is none.
    pub fn publish_after(&self, delay: Duration, outgoing: &Outgoing<'_>) -> Result<Timer> {
        set(self.link().publish_at(RawTimes { after: micros(delay), every: 0 }, outgoing))
    }

    /// Has a message published again and again, for the first time after one period. 1 ms is the shortest.
    ///
    /// # Errors
    /// As [`publish_after`](Context::publish_after); or the period is too short.
    pub fn publish_every(&self, period: Duration, outgoing: &Outgoing<'_>) -> Result<Timer> {
        set(self.link().publish_at(again(period), outgoing))
    }
}

impl Timer {
    /// Ends the timer; whether it had not ended by itself. A tick that has begun goes on.
    #[allow(clippy::must_use_candidate, reason = "most who cancel do not ask")]
    pub fn cancel(&self) -> bool {
        self.timer.cancel()
    }
}

fn again(period: Duration) -> RawTimes {
    // 0 would be once: the host says that it is too short.
    let every = micros(period).max(1);
    RawTimes { after: every, every }
}

fn set(asked: Result<Option<SetTimer>, (Status, String)>) -> Result<Timer> {
    match asked {
        Ok(Some(timer)) => Ok(Timer { timer }),
        Ok(None) => Err(Error::with_status(Status::REFUSED, "set a timer: this host is older, and has none")),
        Err((status, text)) => Err(Error::with_status(status, text)),
    }
}

impl std::fmt::Debug for Timer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timer").finish_non_exhaustive()
    }
}
