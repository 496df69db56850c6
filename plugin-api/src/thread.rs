//! Threads of a plugin's own, which its host starts and waits for.

use std::time::Duration;

use crate::abi::{Started, Status};
use crate::{Context, Error, Result};

/// Tells a thread of the plugin's own that it is to end.
#[derive(Clone, Copy)]
pub struct StopToken {
    thread: Started,
}

/// A thread of the plugin's own in hand. The thread goes on when this is dropped.
#[derive(Clone, Copy)]
pub struct Thread {
    thread: Started,
}

impl Context {
    /// Starts a thread: the way that keeps an unload provable. The host starts it, so it knows of it: when the plugin stops, it tells
    /// the thread to end by its [`StopToken`], calls [`Plugin::stop`](crate::Plugin::stop), and then waits for the thread, within the
    /// deadline of `stop`. One that has not ended by then is named where it is told why the old code stays in memory.
    ///
    /// The thread may do what the plugin may; what is asked of other services on it is answered on it. It ends with an error or a panic
    /// as well: that is logged and counted, and the plugin goes on.
    ///
    /// Called: between `start` and the begin of `stop`, on any thread; `name` is what is told of it, 1 to 64 bytes. `start` is the place: in
    /// a swap the new version starts its own.
    ///
    /// # Errors
    /// The plugin is not started, it has too many threads, the system gives none, or the host is older and gives none: then begin
    /// one by `std::thread`, and join it in `stop`.
    pub fn spawn<F>(&self, name: &str, body: F) -> Result<Thread>
    where
        F: FnOnce(StopToken) -> Result<()> + Send + 'static,
    {
        match self.link().spawn(name, |thread| body(StopToken { thread })) {
            Ok(Some(thread)) => Ok(Thread { thread }),
            Ok(None) => Err(Error::with_status(
                Status::REFUSED,
                format_args!("start thread `{name}`: this host is older, and starts none"),
            )),
            Err((status, text)) => Err(Error::with_status(status, text)),
        }
    }
}

impl StopToken {
    /// Whether the thread is to end.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.thread.is_stopping()
    }

    /// Waits until the thread is to end, `time` at most; whether it is. A loop that does something now and then is
    /// `while !stop.wait(period) { … }`.
    #[must_use]
    pub fn wait(&self, time: Duration) -> bool {
        self.thread.wait(micros(time))
    }
}

impl Thread {
    /// Tells it to end. Does not wait.
    pub fn stop(&self) {
        self.thread.stop();
    }

    /// Waits until it has ended, `time` at most; whether it has.
    #[must_use]
    pub fn join(&self, time: Duration) -> bool {
        self.thread.join(micros(time))
    }
}

pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl std::fmt::Debug for StopToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StopToken").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Thread {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Thread").finish_non_exhaustive()
    }
}
