//! Cancelling: who asked says that it does not want the answer any more.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};

/// What a request is called off by, from any thread; cheap to clone. One that waits for its turn is then taken back, and the plugin
/// never sees it. One that has begun runs to its end, its deadline at most: nothing can end a plugin's function from outside.
#[derive(Debug, Clone, Default)]
pub struct Cancel {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    cancelled: AtomicBool,
    waits: Mutex<Option<Thread>>,
}

impl Cancel {
    /// Calls it off. Does not wait.
    pub fn cancel(&self) {
        self.inner.cancelled.store(true, Ordering::Release);
        if let Some(thread) = &*self.inner.waits.lock().unwrap_or_else(PoisonError::into_inner) {
            thread.unpark();
        }
    }

    /// Whether it was called off.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.inner.cancelled.load(Ordering::Acquire)
    }

    /// This thread is woken when it is called off, as long as the value lives.
    pub(super) fn wakes_me(&self) -> Woken<'_> {
        self.note(Some(thread::current()));
        Woken(self)
    }

    fn note(&self, thread: Option<Thread>) {
        *self.inner.waits.lock().unwrap_or_else(PoisonError::into_inner) = thread;
    }
}

pub(super) struct Woken<'a>(&'a Cancel);

impl Drop for Woken<'_> {
    fn drop(&mut self) {
        self.0.note(None);
    }
}
