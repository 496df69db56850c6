//! A callback on its way through a lane, for who sees to its end.

use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use super::job::Wait;
use super::{Lane, LaneError};

/// A callback that was begun.
pub(crate) struct Begun<'a, T> {
    pub(super) lane: &'a Lane,
    pub(super) wait: Wait<T>,
    pub(super) beside: bool,
}

impl<T> Begun<'_, T> {
    /// Waits for its end, and gives it up when that does not come in time.
    pub(crate) fn done(self, deadline: Duration) -> Result<T, LaneError> {
        let Self { lane, wait, beside } = self;
        wait.done(deadline, |seat| {
            if !beside {
                lane.take_over(seat);
            }
        })
    }

    /// Waits for its end for so long, and gives nothing up.
    pub(crate) fn ends_within(&self, time: Duration) -> Result<T, RecvTimeoutError> {
        self.wait.within(time)
    }

    /// Gives it up. The thread that is in it, and does not come back, is `heir`'s from here on: it is inside of that one's plugin.
    pub(crate) fn give_up(self, heir: &Lane) {
        let Self { lane, wait, beside } = self;
        let _ = wait.done(Duration::ZERO, |seat| {
            if !beside {
                lane.take_over_for(seat, heir);
            }
        });
    }
}
