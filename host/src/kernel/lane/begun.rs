//! A callback on its way through a lane, for who sees to its end.

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
}
