//! Who may look into this process: its memory holds keys, and state in the clear.

#[cfg(any(target_os = "linux", target_os = "android"))]
use std::sync::{Mutex, PoisonError};

/// One thread at a time looks, so that none finds the process closed by another's end.
#[cfg(any(target_os = "linux", target_os = "android"))]
static LOOKS: Mutex<()> = Mutex::new(());

/// Has nobody but root look into this process: no debugger, no profiler, no other program of the same user.
///
/// Linux alone: macOS wants a right or root for that, of whoever asks; on Windows the user's own programs may, and what keeps one out there
/// (another access list of the process) keeps out who may end it as well.
#[cfg(feature = "cli")]
pub(crate) fn keep_private() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::process::{DumpableBehavior::NotDumpable, set_dumpable_behavior};
        if let Err(error) = set_dumpable_behavior(NotDumpable) {
            tracing::warn!(%error, "failed to close this process: other programs of this user may read its memory, which holds the key that seals state");
        }
    }
}

/// Lets this process itself look at what the system then shows to root alone: its own memory, and where its threads wait. For
/// that moment others of the same user may as well.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn while_open<T>(look: impl FnOnce() -> T) -> T {
    let _alone = LOOKS.lock().unwrap_or_else(PoisonError::into_inner);
    let _closed = Opened::if_closed();
    look()
}

/// Closes the process again when it is dropped.
#[cfg(any(target_os = "linux", target_os = "android"))]
struct Opened(rustix::process::DumpableBehavior);

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Opened {
    fn if_closed() -> Option<Self> {
        use rustix::process::{DumpableBehavior::Dumpable, dumpable_behavior, set_dumpable_behavior};
        let before = dumpable_behavior().ok().filter(|before| *before != Dumpable)?;
        set_dumpable_behavior(Dumpable).ok().map(|()| Self(before))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
impl Drop for Opened {
    fn drop(&mut self) {
        let _ = rustix::process::set_dumpable_behavior(self.0);
    }
}
