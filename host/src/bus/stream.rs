//! Streams: items both ways between who opened one and who handles it, each way in its order and with no more on it than its window.
//!
//! What an item on a way takes of the window is given back when it is received: a sender that has no more waits, so that the slower
//! side sets the pace. A way ends when its sender finishes it; the stream ends once, for both sides, and [`End`] says how. What was sent to
//! the opener before that is received first.
//!
//! A handler can be told to let go, because another takes its place. The opener hears of it when the handler has let go, and may have the next
//! one [attached](Opener::attach): both ways are as they were, nothing on them is lost, and the next handler is told how far it is.

mod both;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use both::Both;

use super::deadline;
use super::{Cancel, Limit};

/// Items that may be on a way.
const ITEMS: usize = 64;
/// Bytes of these. An item that is longer is on its way alone.
const BYTES: usize = 1 << 20;
/// More than this is no item.
pub(crate) const LONGEST_ITEM: usize = 16 << 20;

/// What is on a way at most.
#[derive(Debug, Clone, Copy)]
struct Window {
    items: usize,
    bytes: usize,
}

/// Whose end of a stream. A way is that of who sends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Opener,
    Handler,
}

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    /// Who handled it is done.
    Finished,
    /// The same, with an error of these words.
    Failed(String),
    /// Who handled it panicked, with these words.
    Panicked(String),
    /// Who opened it has gone, or who handled it went without a word.
    Cancelled,
    /// Who handled it let go of it, for another to go on.
    Moved,
    /// Its time is over.
    Late,
}

/// Why an item was not sent, or none received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stuck {
    /// The stream has ended, or the sender has finished its way.
    Ended(End),
    /// The wait was over. The stream goes on.
    TimedOut,
    /// Who this thread works for has given up. The stream goes on.
    GivenUp,
    /// The item is longer than one may be.
    TooLong,
}

/// What an earlier handler left to the one that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resumed {
    /// What it left last; empty where it left nothing.
    pub(crate) token: Vec<u8>,
    /// So many items were sent to the opener: it has received each of them, or will.
    pub(crate) sent: u64,
    /// So many of the opener's items were received.
    pub(crate) received: u64,
}

#[derive(Debug)]
struct Shared {
    both: Mutex<Both>,
    until: Option<Instant>,
}

/// The end of who opened the stream; dropping it cancels the stream.
#[derive(Debug)]
pub(crate) struct Opener {
    shared: Arc<Shared>,
}

/// The end of who handles the stream. Dropped without [`Handler::end`], it cancels the stream.
#[derive(Debug)]
pub(crate) struct Handler {
    shared: Arc<Shared>,
    number: u64,
    cancel: Cancel,
    resumed: Option<Resumed>,
}

/// Tells a handler to let go.
#[derive(Debug, Clone)]
pub(crate) struct Mover {
    shared: Arc<Shared>,
    number: u64,
}

impl Opener {
    /// A stream that nobody handles yet, and that ends at this time whatever comes.
    pub(crate) fn new(until: Option<Instant>) -> Self {
        Self::with(Window { items: ITEMS, bytes: BYTES }, until)
    }

    fn with(window: Window, until: Option<Instant>) -> Self {
        Self { shared: Arc::new(Shared { both: Mutex::new(Both::new(window)), until }) }
    }

    /// Has the next handler take the stream: the first one, or one after the handler before it has let go. `None` where the stream is not
    /// to be had: it ended otherwise, or somebody handles it.
    pub(crate) fn attach(&self) -> Option<Handler> {
        let cancel = Cancel::new();
        let (number, resumed) = self.shared.lock().attach(&cancel)?;
        Some(Handler { shared: Arc::clone(&self.shared), number, cancel, resumed })
    }

    /// Sends an item, waiting for room: `wait` at most, and no longer than who this thread works for waits.
    pub(crate) fn send(&self, item: &[u8], wait: Duration) -> Result<(), Stuck> {
        too_long(item)?;
        self.shared.wait(Side::Opener, wait, |both| both.send(Side::Opener, 0, item))
    }

    /// The next item, or `None` when there are no more. Waits as [`Opener::send`] does.
    pub(crate) fn receive(&self, wait: Duration) -> Result<Option<Vec<u8>>, Stuck> {
        self.shared.wait(Side::Opener, wait, |both| both.receive(Side::Opener, 0))
    }

    /// Waits until the stream has ended, and says how. Waits as [`Opener::send`] does.
    pub(crate) fn ended(&self, wait: Duration) -> Result<End, Stuck> {
        self.shared.wait(Side::Opener, wait, |both| both.ended().map(Ok))
    }

    /// Says that no more items come from here. Those on their way are received; items from the other side may come for long.
    pub(crate) fn finish(&self) {
        self.shared.lock().finish(Side::Opener, 0);
    }

    /// Ends the stream at once, for both sides.
    pub(crate) fn cancel(&self) {
        self.shared.lock().cancel();
    }

    /// Whether the handler let go of it for another to go on.
    pub(crate) fn is_moved(&self) -> bool {
        self.shared.lock().ended() == Some(End::Moved)
    }

    /// Until when it goes on.
    pub(crate) fn until(&self) -> Option<Instant> {
        self.shared.until
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl Handler {
    /// What an earlier handler left; `None` for the first one.
    pub(crate) fn resumed(&self) -> Option<&Resumed> {
        self.resumed.as_ref()
    }

    /// What the thread that handles it works within: cancelled when the opener has gone, or when it is to let go.
    pub(crate) fn limit(&self) -> Limit {
        Limit { until: self.shared.until, cancel: Some(self.cancel.clone()), along: None }
    }

    /// Tells this handler to let go.
    pub(crate) fn mover(&self) -> Mover {
        Mover { shared: Arc::clone(&self.shared), number: self.number }
    }

    /// As [`Opener::send`].
    pub(crate) fn send(&self, item: &[u8], wait: Duration) -> Result<(), Stuck> {
        too_long(item)?;
        self.shared.wait(Side::Handler, wait, |both| both.send(Side::Handler, self.number, item))
    }

    /// As [`Opener::receive`].
    pub(crate) fn receive(&self, wait: Duration) -> Result<Option<Vec<u8>>, Stuck> {
        self.shared.wait(Side::Handler, wait, |both| both.receive(Side::Handler, self.number))
    }

    /// As [`Opener::finish`].
    pub(crate) fn finish(&self) {
        self.shared.lock().finish(Side::Handler, self.number);
    }

    /// Leaves a word to the handler that goes on after this one, in place of the one before. Also while it is to let go.
    pub(crate) fn leave(&self, token: &[u8]) -> Result<(), Stuck> {
        too_long(token)?;
        self.shared.lock().leave(self.number, token).map_err(Stuck::Ended)
    }

    /// Waits until somebody [notifies](Handler::notify) or the stream ends. Waits as [`Opener::send`] does.
    pub(crate) fn noticed(&self, wait: Duration) -> Result<(), Stuck> {
        self.shared.wait(Side::Handler, wait, |both| both.noticed(self.number))
    }

    /// There is something to look at that is not on the stream: who waits for that, or will, is told once.
    pub(crate) fn notify(&self) {
        self.shared.lock().notify(self.number);
    }

    /// It is done, or failed: the stream ends by that. Where it was to let go, this says that it did, unless it panicked, or had
    /// finished its way.
    pub(crate) fn end(&self, end: End) {
        self.shared.lock().end(self.number, end);
    }
}

impl Drop for Handler {
    fn drop(&mut self) {
        self.end(End::Cancelled);
    }
}

impl Mover {
    /// Tells the handler to let go: whatever it does next with the stream says so.
    pub(crate) fn move_on(&self) {
        self.shared.lock().move_on(self.number);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Both> {
        self.both.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `poll` has something to say, which it is asked whenever something changed for this side.
    fn wait<R>(
        &self,
        side: Side,
        wait: Duration,
        mut poll: impl FnMut(&mut Both) -> Option<Result<R, Stuck>>,
    ) -> Result<R, Stuck> {
        let mut both = self.lock();
        self.look_at_time(&mut both);
        if let Some(done) = poll(&mut both) {
            return done;
        }
        let until = match (deadline::end_of(wait), self.until) {
            (Some(own), Some(given)) => Some(own.min(given)),
            (own, given) => own.or(given),
        };
        let cancel = deadline::limit().cancel;
        let _wakes = cancel.as_ref().map(Cancel::wakes_me);
        let place = both.wait_here(side);
        let waited = loop {
            if cancel.as_ref().is_some_and(Cancel::is_cancelled) {
                break Err(Stuck::GivenUp);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) && !self.look_at_time(&mut both) {
                break Err(Stuck::TimedOut);
            }
            if !left.is_some_and(|left| left.is_zero()) {
                drop(both);
                left.map_or_else(thread::park, thread::park_timeout);
                both = self.lock();
                self.look_at_time(&mut both);
            }
            if let Some(done) = poll(&mut both) {
                break done;
            }
        };
        both.leave_here(side, place);
        waited
    }

    /// Ends a stream whose time is over; whether it is.
    fn look_at_time(&self, both: &mut Both) -> bool {
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        if is_late {
            both.expire();
        }
        is_late
    }
}

fn too_long(item: &[u8]) -> Result<(), Stuck> {
    if item.len() > LONGEST_ITEM { Err(Stuck::TooLong) } else { Ok(()) }
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
