//! The barrier between a reader's name and its second look (L1): a fence of each reader, or one that the writer makes every
//! processor pass.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::os;

/// Whether readers may do without a fence. Turned on once the system has promised the barrier, off when it breaks that, and for as
/// long as a writer has [`Fenced`] them.
static UNFENCED: AtomicBool = AtomicBool::new(false);

/// Why they may or may not. Who holds this is the only one to change [`UNFENCED`].
static PROMISE: Mutex<Promise> = Mutex::new(Promise { given: false, broken: false, fencing: 0 });

struct Promise {
    given: bool,
    // From then on readers fence, also where another thread is let call it still.
    broken: bool,
    // Writers that have readers fence for a while.
    fencing: usize,
}

impl Promise {
    fn lock() -> MutexGuard<'static, Self> {
        PROMISE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `Release`: who goes in without a fence sees what writers did while there was one.
    fn tell(&self) {
        UNFENCED.store(self.given && !self.broken && self.fencing == 0, Ordering::Release);
    }

    /// There is no such barrier, or a filter was put over the call while the host ran. From now on readers fence; what those
    /// before left in the store buffers of their processors is written in nanoseconds.
    #[cold]
    fn break_it(&mut self) {
        if !std::mem::replace(&mut self.broken, true) && self.given {
            self.tell();
            // No other writer looks for names before that is waited for.
            let until = Instant::now() + Duration::from_millis(10);
            while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            {
                // It may end before its time.
                std::thread::park_timeout(left);
            }
            fence(Ordering::SeqCst);
        }
    }
}

/// Lets readers do without a fence where the system can make the writer pay for it.
pub(crate) fn prepare() {
    let mut promise = Promise::lock();
    match os::barrier_everywhere() {
        Ok(()) => {
            promise.given = true;
            promise.tell();
        }
        Err(_) => promise.break_it(),
    }
}

/// `Acquire`, with [`Promise::tell`].
#[inline]
pub(super) fn is_unfenced() -> bool {
    UNFENCED.load(Ordering::Acquire)
}

/// Between a name and the second look of whoever has named. Whether that has to fence is asked after the name: see [`Fenced`].
#[inline]
pub(super) fn light_barrier() {
    compiler_fence(Ordering::SeqCst);
    if is_unfenced() {
        compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}

/// Between an exchange and the first look at the names of whoever has exchanged.
pub(super) fn heavy_barrier() {
    fence(Ordering::SeqCst);
    // Also where readers fence: one that was on its way when they were told to may not have.
    if os::barrier_everywhere().is_err() {
        Promise::lock().break_it();
    }
}

/// As when the system refuses the barrier from now on.
#[cfg(test)]
pub(super) fn break_promise() {
    Promise::lock().break_it();
}

/// Readers fence for as long as this is there (L7): whoever has it exchanges and looks for names without having every processor pass a
/// barrier, which takes some 50 µs. For who has callers wait meanwhile.
#[derive(Debug)]
pub(crate) struct Fenced(());

impl Fenced {
    /// Has readers fence, and every processor pass a barrier once.
    pub(crate) fn begin() -> Self {
        let mut promise = Promise::lock();
        promise.fencing += 1;
        // Else that was done, under this lock.
        if promise.fencing == 1 {
            promise.tell();
            fence(Ordering::SeqCst);
            if os::barrier_everywhere().is_err() {
                promise.break_it();
            }
        }
        Self(())
    }

    /// Between an exchange and the first look at the names, in place of [`heavy_barrier`].
    #[allow(clippy::unused_self, reason = "it is what has the readers fence")]
    pub(super) fn barrier(&self) {
        fence(Ordering::SeqCst);
    }
}

impl Drop for Fenced {
    fn drop(&mut self) {
        let mut promise = Promise::lock();
        promise.fencing -= 1;
        promise.tell();
    }
}
