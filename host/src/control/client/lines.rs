//! Lines of the log for a command.

use std::ops::ControlFlow;

use super::{Client, ClientError};
use crate::control::protocol::{Request, Response};
use crate::kernel::lines::Line;

/// What a follower of the log hears.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Heard {
    /// A line.
    Line(Line),
    /// So many lines, of all services, are gone: they came faster than they were taken.
    Missed(u64),
}

impl Client {
    /// Hands lines of the log to `each`, which says when it has had enough: the last `past` ones, and with `follow` those to come; of one
    /// service, or of all and the host.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn lines(
        &self,
        past: usize,
        follow: bool,
        service: Option<String>,
        mut each: impl FnMut(Heard) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        self.follow(&Request::Logs { past, follow, service }, follow, |heard| match heard {
            Response::Line(line) => each(Heard::Line(line)),
            Response::Missed(count) => each(Heard::Missed(count)),
            _ => ControlFlow::Break(()),
        })
    }
}
