//! What waits for a lane, for who looks.

use super::Lane;

/// What waits for a lane, and how much may.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Waiting {
    /// Jobs that wait for a thread.
    pub(crate) jobs: usize,
    /// Requests that may wait.
    pub(crate) room: usize,
    /// Requests that were turned away since more may not.
    pub(crate) turned_away: u64,
}

impl Lane {
    /// What waits for it.
    pub(crate) fn waiting(&self) -> Waiting {
        let queue = self.shared.lock();
        Waiting { jobs: queue.jobs.len(), room: self.shared.mailbox, turned_away: queue.turned_away }
    }
}
