//! A stream for a command: items from a source go up, items that come are handed over.

use std::ops::ControlFlow;

use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

use super::{Client, ClientError, done, runtime};
use crate::control::frame;
use crate::control::protocol::{Request, Response, STREAM_CREDIT, Upward};

impl Client {
    /// Opens a stream by a [`Request::Stream`] with `body`, says so, sends what comes from `items` up to its end, and hands items to `each`,
    /// which says when it has had enough. While `each` is at one, no more are taken.
    ///
    /// # Errors
    /// [`ClientError`]; also what the stream ended with.
    pub fn items(
        &self,
        request: &Request,
        body: &[u8],
        mut items: mpsc::Receiver<Vec<u8>>,
        opened: impl FnOnce(),
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let silent = || ClientError::Silent { limit: self.limit };
        runtime()?.block_on(async {
            let begun = timeout(self.limit, async {
                let stream = self.send(request, body).await?;
                let (response, _) = frame::read(&mut &stream).await?;
                done(response).map(|_| stream)
            });
            let stream = begun.await.unwrap_or_else(|_| Err(silent()))?;
            opened();
            let credit = Semaphore::new(STREAM_CREDIT);
            let (mut from, mut into) = (&stream, &stream);
            let sending = async {
                while let Some(item) = items.recv().await {
                    let Ok(place) = credit.acquire().await else { break };
                    place.forget();
                    if frame::write(&mut into, &Upward::Item, &item).await.is_err() {
                        break;
                    }
                }
                let _ = frame::write(&mut into, &Upward::Finish, &[]).await;
                // Where that failed, the host has said why.
                std::future::pending::<()>().await;
            };
            let receiving = async {
                loop {
                    // What is to come may take days.
                    match frame::read(&mut from).await? {
                        (Response::Item, item) => {
                            if each(&item).is_break() {
                                return Ok(());
                            }
                        }
                        (Response::Credit, _) => credit.add_permits(1),
                        (Response::Failed(failure), _) => return Err(failure.into()),
                        _ => return Ok(()),
                    }
                }
            };
            tokio::select! {
                received = receiving => received,
                () = sending => Ok(()),
            }
        })
    }
}
