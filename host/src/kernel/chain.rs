//! The chain of calls behind a request by topic: what its asker is inside of while it waits. Who answers goes in there past a closed gate,
//! as the asker itself would: else who closed it waits for the asker, the asker for the answer, and who answers at the gate.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::lease;
use super::slot::SlotState;
use crate::bus::{self, Along, Limit};

/// One asker's part of it.
#[derive(Debug)]
struct Link {
    // Emptied when it does not wait any more: it may leave then.
    inside: Mutex<Vec<Arc<SlotState>>>,
    // That of the request that it answers itself.
    behind: Option<Along>,
}

impl Link {
    fn inside(&self) -> MutexGuard<'_, Vec<Arc<SlotState>>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs `ask`, in which this thread waits for another one's answer.
pub(crate) fn lend<R>(ask: impl FnOnce() -> R) -> R {
    struct Lent(Arc<Link>);
    impl Drop for Lent {
        fn drop(&mut self) {
            // Not under the lock: a state may hold the last of a generation.
            let inside = std::mem::take(&mut *self.0.inside());
            drop(inside);
        }
    }
    let (inside, limit) = (lease::inside(), bus::limit());
    if inside.is_empty() {
        // With what this thread has from who asked it, if somebody did.
        return ask();
    }
    let link = Arc::new(Link { inside: Mutex::new(inside), behind: limit.along.clone() });
    let _lent = Lent(Arc::clone(&link));
    bus::within(Limit { along: Some(link), ..limit }, ask)
}

/// The innermost state that `wanted` wants of those that are waited in for what this thread does. Counted: draining waits for it.
pub(super) fn find(wanted: impl Fn(&SlotState) -> bool) -> Option<Arc<SlotState>> {
    let mut along = bus::limit().along?;
    loop {
        let link = along.downcast_ref::<Link>()?;
        let found = link.inside().iter().rev().find(|state| wanted(state)).cloned();
        if found.is_some() {
            return found;
        }
        along = link.behind.clone()?;
    }
}

#[cfg(test)]
mod tests;
