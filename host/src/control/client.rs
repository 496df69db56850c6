//! The side of the command line: blocking, with a time limit on everything.

use std::io::{self, Read};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{Instant, timeout, timeout_at};
use zeroize::Zeroizing;

mod lines;
mod messages;
mod stream;

pub use lines::Heard;

use super::endpoint::Endpoint;
use super::exit::Exit;
use super::frame::{self, FrameError, MAX_BODY};
use super::protocol::{Failure, Request, Response};
use crate::error::Code;
use crate::kernel::view::Event;

/// The host keeps the deadline and says what it was at when it passed. This much later we do not wait for its word any
/// more.
const GRACE: Duration = Duration::from_secs(2);

/// So many bytes come to a slow disk in a second.
const DISK: u64 = 16 << 20;

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
    /// What was followed was to last no longer.
    #[error("failed to follow any longer than {} ms, as was asked for", after.as_millis())]
    Over {
        /// How long it lasted.
        after: Duration,
    },
    /// The host says why not.
    #[error(transparent)]
    Failed(#[from] Failure),
    /// What is to be sent cannot be read.
    #[error("failed to read what is to be sent")]
    Source(#[source] io::Error),
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
            ClientError::Broken(_) | ClientError::Own(_) | ClientError::Source(_) => Exit::Failed,
            ClientError::Silent { .. } | ClientError::Over { .. } => Exit::TimedOut,
            ClientError::Failed(failure) => failure.exit,
        }
    }

    /// What kind of trouble it is: `HB1211`. `None` where the host told none.
    #[must_use]
    pub fn code(&self) -> Option<String> {
        let code = match self {
            ClientError::Unreachable { .. } | ClientError::Broken(FrameError::Ended(_)) => Code::Unreachable,
            ClientError::Broken(FrameError::TooLong { .. }) => Code::TooLongToSend,
            ClientError::Broken(FrameError::Json(_)) => Code::NotUnderstood,
            ClientError::Silent { .. } => Code::Silent,
            ClientError::Over { .. } => Code::TooFewCame,
            ClientError::Failed(failure) => return failure.code.clone(),
            ClientError::Source(_) => Code::NotRead,
            ClientError::Own(_) => Code::OwnSide,
        };
        Some(code.to_string())
    }
}

/// Speaks to the host of one home folder; each request is a connection of its own.
#[derive(Debug, Clone)]
pub struct Client {
    home: PathBuf,
    limit: Duration,
    lasting: Option<Duration>,
}

impl Client {
    /// A client of the host that runs on `home`. The host is given `deadline` for what it is asked.
    #[must_use]
    pub fn new(home: &Path, deadline: Duration) -> Self {
        Self { home: home.to_owned(), limit: deadline.saturating_add(GRACE), lasting: None }
    }

    /// The same, for whom what is followed lasts so long, and then ends with [`ClientError::Over`]. Without, it may take days.
    #[must_use]
    pub fn lasting(self, lasting: Option<Duration>) -> Self {
        Self { lasting, ..self }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn ask<T: DeserializeOwned>(&self, request: &Request) -> Result<T, ClientError> {
        self.ask_with(request, &[])
    }

    /// The same with `body` beside the request.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn ask_with<T: DeserializeOwned>(&self, request: &Request, body: &[u8]) -> Result<T, ClientError> {
        let (value, _) = self.exchange(request, body)?;
        Ok(serde_json::from_value(value).map_err(FrameError::from)?)
    }

    /// Asks with `body` beside the request, and waits for the body of the answer.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn pass(&self, request: &Request, body: &[u8]) -> Result<Vec<u8>, ClientError> {
        Ok(self.exchange(request, body)?.1)
    }

    /// Asks with all that `source` reads behind the request, and waits for the answer, which may come before the end.
    ///
    /// # Errors
    /// [`ClientError`]
    pub fn stream<T: DeserializeOwned>(
        &self,
        request: &Request,
        source: &mut dyn Read,
    ) -> Result<T, ClientError> {
        let silent = |limit| ClientError::Silent { limit };
        let value = runtime()?.block_on(async {
            let sent = timeout(self.limit, self.send(request, &[])).await;
            let stream = sent.map_err(|_| silent(self.limit))??;
            let (mut from, mut into) = (&stream, &stream);
            let mut answer = pin!(frame::read::<Response>(&mut from));
            let mut piece = Zeroizing::new(vec![0; frame::MAX_PIECE]);
            let mut sent = 0_u64;
            loop {
                let len = match source.read(&mut piece) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    read => read.map_err(ClientError::Source)?,
                };
                tokio::select! {
                    biased;
                    early = &mut answer => return done(early?.0),
                    taken = timeout(self.limit, frame::write_piece(&mut into, &piece[..len])) => {
                        // Who does not listen any more has said why.
                        if taken.map_err(|_| silent(self.limit))?.is_err() {
                            break;
                        }
                    }
                }
                sent += len as u64;
                if len == 0 {
                    break;
                }
            }
            // All of it has to come to the disk.
            let limit = self.limit.saturating_add(Duration::from_secs(sent / DISK));
            done(timeout(limit, answer).await.map_err(|_| silent(limit))??.0)
        })?;
        Ok(serde_json::from_value(value).map_err(FrameError::from)?)
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
        self.follow(&Request::Events { past, follow }, follow, |heard| match heard {
            Response::Event(event) => each(event),
            _ => ControlFlow::Break(()),
        })
    }

    /// Hands what comes after a request to `each`, which says when it has had enough. Where nothing is followed it comes in time.
    fn follow(
        &self,
        request: &Request,
        follow: bool,
        mut each: impl FnMut(Response) -> ControlFlow<()>,
    ) -> Result<(), ClientError> {
        let silent = || ClientError::Silent { limit: self.limit };
        runtime()?.block_on(async {
            let stream =
                timeout(self.limit, self.send(request, &[])).await.unwrap_or_else(|_| Err(silent()))?;
            let (mut from, until) = (&stream, self.until());
            loop {
                let read = frame::read(&mut from);
                let heard = match follow {
                    true => self.next(until, read).await?,
                    // What is past is there.
                    false => timeout(self.limit, read).await.map_err(|_| silent())??,
                };
                match heard.0 {
                    Response::Failed(failure) => return Err(failure.into()),
                    heard => {
                        if each(heard).is_break() {
                            return Ok(());
                        }
                    }
                }
            }
        })
    }

    /// Until when what is followed from now on lasts.
    fn until(&self) -> Option<Instant> {
        self.lasting.and_then(|lasting| Instant::now().checked_add(lasting))
    }

    /// What comes next of it.
    async fn next<T>(
        &self,
        until: Option<Instant>,
        read: impl Future<Output = Result<T, FrameError>>,
    ) -> Result<T, ClientError> {
        let Some(until) = until else { return Ok(read.await?) };
        let over = |_| ClientError::Over { after: self.lasting.unwrap_or_default() };
        Ok(timeout_at(until, read).await.map_err(over)??)
    }

    fn exchange(&self, request: &Request, body: &[u8]) -> Result<(Value, Vec<u8>), ClientError> {
        if body.len() > MAX_BODY {
            let message = format!("failed to send the request: it has more than {MAX_BODY} bytes");
            return Err(Failure::new(Exit::Refused, Code::TooLongToSend, message).into());
        }
        let answer = async {
            let stream = self.send(request, body).await?;
            let (response, body) = frame::read(&mut &stream).await?;
            done(response).map(|value| (value, body))
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

fn done(response: Response) -> Result<Value, ClientError> {
    match response {
        Response::Done(value) => Ok(value),
        Response::Failed(failure) => Err(failure.into()),
        Response::Event(_)
        | Response::Line(_)
        | Response::Missed(_)
        | Response::Message(_)
        | Response::Item
        | Response::Credit
        | Response::End => {
            let error = <serde_json::Error as serde::de::Error>::custom("events were not asked for");
            Err(FrameError::Json(error).into())
        }
    }
}

fn runtime() -> Result<Runtime, ClientError> {
    Builder::new_current_thread().enable_all().build().map_err(ClientError::Own)
}
