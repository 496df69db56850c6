//! Messages for a command: each is handed over as it comes.

use std::ops::ControlFlow;

use tokio::time::timeout;

use super::{Client, ClientError, done, runtime};
use crate::bus::MessageView;
use crate::control::frame;
use crate::control::protocol::{Request, Response};

impl Client {
    /// Subscribes by a [`Request::Subscribe`], says so, and hands messages to `each`, which says when it has had enough.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn messages(
        &self,
        request: &Request,
        subscribed: impl FnOnce(),
        mut each: impl FnMut(MessageView, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let silent = || ClientError::Silent { limit: self.limit };
        runtime()?.block_on(async {
            let begun = timeout(self.limit, async {
                let stream = self.send(request, &[]).await?;
                let (response, _) = frame::read(&mut &stream).await?;
                done(response).map(|_| stream)
            });
            let stream = begun.await.unwrap_or_else(|_| Err(silent()))?;
            subscribed();
            let (mut from, until) = (&stream, self.until());
            loop {
                match self.next(until, frame::read(&mut from)).await? {
                    (Response::Message(view), body) => {
                        if each(view, &body).is_break() {
                            return Ok(());
                        }
                    }
                    (Response::Failed(failure), _) => return Err(failure.into()),
                    _ => return Ok(()),
                }
            }
        })
    }
}
