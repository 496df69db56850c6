//! The barrier between a reader's name and its second look (L1): a fence of each reader, or one that the writer makes every
//! processor pass.

use std::sync::atomic::{AtomicBool, Ordering, compiler_fence, fence};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::os;

/// Whether readers may do without a fence. Turned on once the system has promised the barrier, off when it breaks that.
static UNFENCED: AtomicBool = AtomicBool::new(false);

/// Whether it did: from then on readers fence, also where another thread is let call it still.
static BROKEN: Mutex<bool> = Mutex::new(false);

/// Lets readers do without a fence where the system can make the writer pay for it.
pub(crate) fn prepare() {
    match os::barrier_everywhere() {
        Ok(()) => {
            let broken = BROKEN.lock().unwrap_or_else(PoisonError::into_inner);
            if !*broken {
                UNFENCED.store(true, Ordering::SeqCst);
            }
        }
        Err(_) => fence_readers(),
    }
}

#[inline]
pub(super) fn is_unfenced() -> bool {
    UNFENCED.load(Ordering::Relaxed)
}

/// Between a name and the second look of whoever has named.
#[inline]
pub(super) fn light_barrier() {
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
        fence_readers();
    }
}

/// There is no such barrier, or a filter was put over the call while the host ran. From now on readers fence; what those
/// before left in the store buffers of their processors is written in nanoseconds.
#[cold]
fn fence_readers() {
    // No other writer looks for names before that is waited for.
    let mut broken = BROKEN.lock().unwrap_or_else(PoisonError::into_inner);
    *broken = true;
    if UNFENCED.swap(false, Ordering::SeqCst) {
        let until = Instant::now() + Duration::from_millis(10);
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            // It may end before its time.
            std::thread::park_timeout(left);
        }
        fence(Ordering::SeqCst);
    }
}
