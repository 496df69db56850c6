//! A callback on its way through a lane, for who sees to its end.

use std::sync::mpsc::RecvTimeoutError;
use std::thread::ThreadId;
use std::time::Duration;

use super::job::Wait;
use super::{Lane, LaneError};

/// A callback that was begun.
pub(crate) struct Begun<'a, T> {
    pub(super) lane: &'a Lane,
    pub(super) wait: Wait<T>,
    // The thread that was begun for it.
    pub(super) beside: Option<ThreadId>,
}

impl<T> Begun<'_, T> {
    /// Waits for its end, and gives it up when that does not come in time.
    pub(crate) fn done(self, deadline: Duration) -> Result<T, LaneError> {
        let Self { lane, wait, beside } = self;
        wait.done(deadline, |seat| {
            if beside.is_none() {
                lane.take_over(seat);
            }
        })
    }

    /// Waits for its end for so long, and gives nothing up.
    pub(crate) fn ends_within(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        self.wait.within(time)
    }

    /// Gives it up. The thread that is in it is inside of `heir`'s plugin, and that lane's from here on: it may not come back.
    pub(crate) fn give_up_to(self, heir: &Lane) {
        let Self { lane, wait, beside } = self;
        let _ = wait.done(Duration::ZERO, |seat| {
            if let Some(thread) = beside.or_else(|| lane.relieve(seat)) {
                lane.give_away(thread, heir);
            }
        });
    }
}

impl Lane {
    /// A thread that was left behind is inside of the plugin of `heir`'s generation, and that one's from here on. What our own keeps there
    /// per thread is there as long.
    fn give_away(&self, thread: ThreadId, heir: &Self) {
        let given: Vec<_> =
            self.threads().others.extract_if(.., |other| other.thread().id() == thread).collect();
        heir.shared.entered().insert(self.shared.own);
        heir.threads().others.extend(given);
    }
}
