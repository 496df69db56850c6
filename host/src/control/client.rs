//! The side of the command line: blocking, with a time limit on everything.

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::timeout;

use super::endpoint::Endpoint;
use super::exit::Exit;
use super::frame::{self, FrameError, MAX_BODY};
use super::protocol::{Failure, Request, Response};
use crate::kernel::view::Event;

/// The host keeps the deadline and says what it was at when it passed. This much later we do not wait for its word any
/// more.
const GRACE: Duration = Duration::from_secs(2);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// Nobody listens.
    #[error("failed to reach a host at `{}`: start one with `hotbay run`, or name its home with `--home`", home.display())]
    Unreachable {
        /// The home folder.
        home: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The host ended, or is of another version.
    #[error("failed to hear the host's answer")]
    Broken(#[from] FrameError),
    /// The host is there and says nothing.
    #[error("failed to get an answer within {} ms", limit.as_millis())]
    Silent {
        /// How long was waited.
        limit: Duration,
    },
    /// The host says why not.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// The client's own system does not play along.
    #[error("failed to prepare the connection")]
    Own(#[source] io::Error),
}

impl ClientError {
    /// The exit code of a command that ends with this.
    #[must_use]
    pub fn exit(&self) -> Exit {
        match self {
            ClientError::Unreachable { .. } | ClientError::Broken(FrameError::Ended(_)) => Exit::Unreachable,
            ClientError::Broken(_) | ClientError::Own(_) => Exit::Failed,
            ClientError::Silent { .. } => Exit::TimedOut,
            ClientError::Failed(failure) => failure.exit,
        }
    }
}

/// Speaks to the host of one home folder; each request is a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    home: PathBuf,
    limit: Duration,
}

impl Client {
    /// A client of the host that runs on `home`. The host is given `deadline` for what it is asked.
    #[must_use]
    pub fn new(home: &Path, deadline: Duration) -> Self {
        Self { home: home.to_owned(), limit: deadline.saturating_add(GRACE) }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ClientError> {
        let (value, _) = self.exchange(request, &[])?;
        Ok(serde_json::from_value(value).map_err(FrameError::from)?)
    }

    /// Asks with `body` beside the request, and waits for the body of the answer.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn pass(&self, request: &Request, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        if body.len() > MAX_BODY {
            let message = format!("failed to send the request: it has more than {MAX_BODY} bytes");
            return Err(Failure::new(Exit::Refused, message).into());
        }
        Ok(self.exchange(request, body)?.1)
    }

    /// Hands events to `each`, which says when it has had enough.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn events(
        &self,
        past: usize,
        follow: bool,
        mut each: impl FnMut(Event) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let silent = || ClientError::Silent { limit: self.limit };
        runtime()?.block_on(async {
            let request = Request::Events { past, follow };
            let stream =
                timeout(self.limit, self.send(&request, &[])).await.unwrap_or_else(|_| Err(silent()))?;
            let mut from = &stream;
            loop {
                // What is past is there; what is to come may take days.
                let limit = if follow { Duration::MAX } else { self.limit };
                let read = timeout(limit, frame::read(&mut from)).await;
                match read.map_err(|_| silent())??.0 {
                    Response::Event(event) => {
                        if each(event).is_break() {
                            return Ok(());
                        }
                    }
                    Response::Failed(failure) => return Err(failure.into()),
                    Response::End | Response::Done(_) => return Ok(()),
                }
            }
        })
    }

    fn exchange(&self, request: &Request, body: &[u8]) -> Result<(Value, Vec<u8>), ClientError> {
        let answer = async {
            let stream = self.send(request, body).await?;
            let (response, body) = frame::read(&mut &stream).await?;
            match response {
                Response::Done(value) => Ok((value, body)),
                Response::Failed(failure) => Err(failure.into()),
                Response::Event(_) | Response::End => {
                    let error = <serde_json::Error as serde::de::Error>::custom("events were not asked for");
                    Err(FrameError::Json(error).into())
                }
            }
        };
        let silent = ClientError::Silent { limit: self.limit };
        runtime()?.block_on(async { timeout(self.limit, answer).await.unwrap_or(Err(silent)) })
    }

    async fn send(&self, request: &Request, body: &[u8]) -> Result<Stream, ClientError> {
        let unreachable = |source| ClientError::Unreachable { home: self.home.clone(), source };
        let stream = Endpoint::find(&self.home).map_err(unreachable)?.connect().await.map_err(unreachable)?;
        frame::write(&mut &stream, request, body).await.map_err(FrameError::from)?;
        Ok(stream)
    }
}

fn runtime() -> Result<Runtime, ClientError> {
    Builder::new_current_thread().enable_all().build().map_err(ClientError::Own)
}
