//! How long whoever asked still waits, and whether it has given up: what a thread knows of the request that it handles.
//!
//! It is set by who brings a request, through a lane or a mailbox, and read by who waits for something: what comes out of a request has
//! no more time than is left. A call on its caller's own thread sets nothing: it goes on in what its thread knows.

use std::any::Any;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Tells whoever works on a request that nobody waits for it any more. Clones are one.
///
/// A request that still waits is taken out; one that runs can ask [`is_cancelled`](Self::is_cancelled), a plugin by its context.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<Inside>);

#[derive(Debug, Default)]
struct Inside {
    is_cancelled: AtomicBool,
    // Threads that wait for what would be done for nobody.
    waiting: Mutex<Vec<Thread>>,
}

impl Cancel {
    /// One that nobody has cancelled.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives up, for good.
    pub fn cancel(&self) {
        self.0.is_cancelled.store(true, Ordering::SeqCst);
        self.waiting().iter().for_each(Thread::unpark);
    }

    /// Whether somebody gave up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_cancelled.load(Ordering::SeqCst)
    }

    /// Gives up when what this answers is dropped: to be kept in a future, or beside a connection.
    #[must_use]
    pub fn on_drop(&self) -> CancelOnDrop {
        CancelOnDrop(self.clone())
    }

    /// Has this thread unparked by [`Cancel::cancel`] for as long as the answer lives. It looks whether that was before.
    pub(crate) fn wakes_me(&self) -> WakesMe<'_> {
        self.waiting().push(thread::current());
        WakesMe(self)
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often who waits for something else as well looks whether somebody gave up: that does not wake it.
const LOOK: Duration = Duration::from_millis(20);

/// How long to wait at once of what is `left`, where somebody may give up meanwhile; `None` for ever.
pub(crate) fn step(left: Option<Duration>, cancel: Option<&Cancel>) -> Option<Duration> {
    left.into_iter().chain(cancel.map(|_| LOOK)).min()
}

/// Waits so long; whether nobody gave up before.
pub(crate) fn pause(time: Duration, cancel: Option<&Cancel>) -> bool {
    let begun = Instant::now();
    let _wakes = cancel.map(Cancel::wakes_me);
    while !cancel.is_some_and(Cancel::is_cancelled) {
        let left = time.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return true;
        }
        thread::park_timeout(left);
    }
    false
}

/// Cancels when it is dropped, see [`Cancel::on_drop`].
#[derive(Debug)]
pub struct CancelOnDrop(Cancel);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

#[derive(Debug)]
pub(crate) struct WakesMe<'a>(&'a Cancel);

impl Drop for WakesMe<'_> {
    fn drop(&mut self) {
        let mut waiting = self.0.waiting();
        let own = thread::current().id();
        if let Some(at) = waiting.iter().position(|thread| thread.id() == own) {
            waiting.swap_remove(at);
        }
    }
}

/// What goes along with a request to who answers it; the bus does not look at it (`kernel/chain` does).
pub(crate) type Along = Arc<dyn Any + Send + Sync>;

/// Until when who asked waits, whether it has given up, and what goes along.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limit {
    /// `None`: for ever.
    pub(crate) until: Option<Instant>,
    pub(crate) cancel: Option<Cancel>,
    pub(crate) along: Option<Along>,
}

thread_local! {
    static LIMIT: RefCell<Limit> = const { RefCell::new(Limit { until: None, cancel: None, along: None }) };
}

/// Touches what a thread keeps here, which it need not do later.
pub(super) fn settle() {
    let _ = LIMIT.try_with(|_| ());
}

/// Runs `body`, which handles a request, on this thread.
pub(crate) fn within<R>(limit: Limit, body: impl FnOnce() -> R) -> R {
    struct Before(Limit);
    impl Drop for Before {
        fn drop(&mut self) {
            let _ = LIMIT.try_with(|limit| limit.replace(std::mem::take(&mut self.0)));
        }
    }
    let _before = Before(LIMIT.try_with(|here| here.replace(limit)).unwrap_or_default());
    body()
}

/// What this thread knows of the request that it handles.
pub(crate) fn limit() -> Limit {
    LIMIT.try_with(|limit| limit.borrow().clone()).unwrap_or_default()
}

/// Until when who asked waits.
pub(crate) fn until() -> Option<Instant> {
    LIMIT.try_with(|limit| limit.borrow().until).ok().flatten()
}

/// How long that is.
pub(crate) fn remaining() -> Option<Duration> {
    until().map(|until| until.saturating_duration_since(Instant::now()))
}

/// Whether it has given up.
pub(crate) fn is_cancelled() -> bool {
    let Limit { until, cancel, .. } = limit();
    cancel.is_some_and(|cancel| cancel.is_cancelled()) || until.is_some_and(|until| Instant::now() >= until)
}

/// The end of a wait of this length that begins now: not after the end of what this thread is given. `None` for ever, as where a length is
/// more than a clock can hold.
pub(crate) fn end_of(wait: Duration) -> Option<Instant> {
    let own = Instant::now().checked_add(wait);
    match (own, until()) {
        (Some(own), Some(given)) => Some(own.min(given)),
        (own, given) => own.or(given),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn what_comes_out_of_a_request_has_no_more_time_than_that() {
        assert_eq!((until(), remaining(), is_cancelled()), (None, None, false));
        let end = Instant::now() + LONG;
        within(Limit { until: Some(end), ..Limit::default() }, || {
            assert_eq!((until(), end_of(LONG * 2), end_of(Duration::MAX)), (Some(end), Some(end), Some(end)));
            assert!(end_of(Duration::ZERO) < Some(end) && remaining() <= Some(LONG));
            within(Limit::default(), || assert_eq!(until(), None));
            assert_eq!(until(), Some(end), "what was before is there again");
        });
        assert_eq!((until(), end_of(Duration::MAX)), (None, None));
    }

    #[test]
    fn a_pause_ends_when_somebody_gives_up() {
        let cancel = Cancel::new();
        assert!(pause(Duration::from_millis(1), Some(&cancel)) && pause(Duration::from_millis(1), None));
        thread::scope(|scope| {
            let paused = scope.spawn(|| pause(LONG, Some(&cancel)));
            cancel.cancel();
            assert!(!paused.join().unwrap());
        });
        assert!(!pause(LONG, Some(&cancel)));
    }

    #[test]
    fn who_waits_for_somebody_that_has_gone_is_woken() {
        let cancel = Cancel::new();
        let guard = cancel.on_drop();
        let waits = {
            let cancel = cancel.clone();
            thread::spawn(move || {
                let _wakes = cancel.wakes_me();
                while !cancel.is_cancelled() {
                    thread::park_timeout(LONG);
                }
            })
        };
        drop(guard);
        waits.join().unwrap();
        within(Limit { cancel: Some(cancel.clone()), ..Limit::default() }, || assert!(is_cancelled()));
        assert!(cancel.waiting().is_empty());
    }
}
