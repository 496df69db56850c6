//! Lines of the log for a command.

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::time::timeout;

use super::{Client, ClientError, runtime};
use crate::control::frame;
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
        let silent = || ClientError::Silent { limit: self.limit };
        runtime()?.block_on(async {
            let request = Request::Logs { past, follow, service };
            let stream =
                timeout(self.limit, self.send(&request, &[])).await.unwrap_or_else(|_| Err(silent()))?;
            let mut from = &stream;
            loop {
                // What is past is there; what is to come may take days.
                let limit = if follow { Duration::MAX } else { self.limit };
                let read = timeout(limit, frame::read(&mut from)).await;
                let heard = match read.map_err(|_| silent())??.0 {
                    Response::Line(line) => Heard::Line(line),
                    Response::Missed(count) => Heard::Missed(count),
                    Response::Failed(failure) => return Err(failure.into()),
                    _ => return Ok(()),
                };
                if each(heard).is_break() {
                    return Ok(());
                }
            }
        })
    }
}
