//! The host's side: one task per connection, none of which can disturb another.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use interprocess::local_socket::tokio::{Listener, Stream, prelude::*};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, mpsc};
use tokio::task;
use tokio::time::{sleep, timeout};

use super::answer::Answer;
use super::endpoint::Endpoint;
use super::exit::Exit;
use super::frame::{self, FrameError, MAX_BODY};
use super::protocol::{Failure, Request, Response};
use crate::Host;
use crate::kernel::view::Event;

/// As many as are served at once; more wait to be accepted. Each may hold a thread and a file descriptor, of which
/// systems give a process 256 (macOS) or 1,024, and the plugins want theirs.
const CONNECTIONS: usize = 64;

/// A client that does not send its request, or does not take what it asked for, for this long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// How soon a thread that waits for events notices that its client is gone.
const NOTICE: Duration = Duration::from_millis(250);

/// Events on their way to one client. A slow one holds up nobody: they then wait in the kernel's queue for it.
const EVENTS_IN_FLIGHT: usize = 64;

/// A host's control endpoint, listening.
#[derive(Debug)]
pub struct Server {
    // Before the endpoint, which cleans up after it.
    listener: Listener,
    _endpoint: Endpoint,
}

impl Server {
    /// Listens at the endpoint of `home`. The caller holds the lock on `home`, so what is there is left from a host
    /// that died. To be called within a tokio runtime.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(home: &Path) -> io::Result<Server> {
        let endpoint = Endpoint::make(home)?;
        Ok(Server { listener: endpoint.listen()?, _endpoint: endpoint })
    }

    /// Serves until it is dropped, at any await. Commands that have been begun are then finished, unanswered.
    pub async fn serve(self, host: Host) {
        self.serve_with(host).await;
    }

    pub(super) async fn serve_with(self, answer: impl Answer) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut connections = task::JoinSet::new();
        loop {
            while connections.try_join_next().is_some() {}
            // The semaphore is never closed.
            let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
            match self.listener.accept().await {
                Ok(stream) => {
                    let answer = answer.clone();
                    connections.spawn(async move {
                        converse(&stream, answer).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors, as a rule: it passes, and trying without a pause would not help.
                    tracing::warn!(%error, "failed to accept a control connection");
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// One request and its answer. How the conversation fails is the client's to notice.
async fn converse(stream: &Stream, answer: impl Answer) {
    let mut from = stream;
    let request = match timeout(PATIENCE, frame::read::<Request>(&mut from)).await {
        Ok(Ok((request, body))) => Ok((request, body)),
        Err(_) | Ok(Err(FrameError::Ended(_))) => return,
        Ok(Err(error)) => Err(Failure::new(Exit::Failed, format!("failed to read the request: {error}"))),
    };
    match request {
        Ok((Request::Events { past, follow }, _)) => {
            let _ = tell(stream, answer, past, follow).await;
        }
        Ok((request, body)) => {
            let done = task::spawn_blocking(move || answer.answer(request, body)).await;
            let done = done
                .unwrap_or_else(|_| Err(Failure::new(Exit::Failed, "failed to answer: the host panicked")));
            let _ = respond(stream, done).await;
        }
        Err(failure) => {
            let _ = respond(stream, Err(failure)).await;
        }
    }
}

async fn respond(stream: &Stream, done: Result<(Value, Vec<u8>), Failure>) -> io::Result<()> {
    let (response, body) = match done {
        Ok((_, body)) if body.len() > MAX_BODY => {
            let message =
                format!("failed to send the reply: it has {} bytes, {MAX_BODY} are allowed", body.len());
            (Response::Failed(Failure::new(Exit::Failed, message)), Vec::new())
        }
        Ok((value, body)) => (Response::Done(value), body),
        Err(failure) => (Response::Failed(failure), Vec::new()),
    };
    send(stream, &response, &body).await
}

async fn send(mut stream: &Stream, response: &Response, body: &[u8]) -> io::Result<()> {
    timeout(PATIENCE, frame::write(&mut stream, response, body)).await?
}

/// Sends events until there are no more or the client is gone.
async fn tell(stream: &Stream, answer: impl Answer, past: usize, follow: bool) -> io::Result<()> {
    let (sender, mut events) = mpsc::channel(EVENTS_IN_FLIGHT);
    task::spawn_blocking(move || forward(&answer, past, follow, &sender));
    let mut from = stream;
    let mut nothing = [0; 1];
    loop {
        tokio::select! {
            event = events.recv() => match event {
                Some(event) => send(stream, &Response::Event(event), &[]).await?,
                None => return send(stream, &Response::End, &[]).await,
            },
            // The client has no more to say: whatever comes is its end.
            _ = from.read(&mut nothing) => return Ok(()),
        }
    }
}

/// Runs on a thread of its own, which ends when the receiver is dropped.
fn forward(answer: &impl Answer, past: usize, follow: bool, sender: &mpsc::Sender<Event>) {
    let events = answer.events(past);
    if !follow {
        for event in events.try_iter() {
            if sender.blocking_send(event).is_err() {
                return;
            }
        }
        return;
    }
    while !sender.is_closed() {
        match events.recv_timeout(NOTICE) {
            Ok(event) => {
                if sender.blocking_send(event).is_err() {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}
