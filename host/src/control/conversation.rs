//! One client, from its request to the last of what it is answered.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

use interprocess::local_socket::tokio::Stream;
use serde_json::Value;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, watch};
use tokio::task::{self, JoinHandle};
use tokio::time::{sleep, timeout};

mod lines;
pub(super) mod messages;
mod stream;

use super::answer::{Answer, Answered, CLIENT};
use super::body;
use super::exit::Exit;
use super::frame::{self, FrameError};
use super::protocol::{Failure, Request, Response};
use super::server::FOLLOWERS;
use super::shares::Shares;
use crate::bus::Cancel;
use crate::error::Code;
use crate::kernel::view::Event;

/// A client that does not send its request, or does not take what it asked for, for this long is gone.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer that is not there so long after the host has stopped does not come any more.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How soon a thread that waits for events notices that its client is gone.
const NOTICE: Duration = Duration::from_millis(250);

/// Events on their way to one client. A slow one holds up nobody: they then wait in the kernel's queue for it.
const EVENTS_IN_FLIGHT: usize = 64;

/// Where the server is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Clients are let in.
    Open,
    /// No more; the host is being stopped.
    Closing,
    /// The host has stopped.
    Stopped,
}

/// As many clients as may be at what takes long.
#[derive(Debug, Clone)]
pub(super) struct Places {
    pub(super) followers: Arc<Semaphore>,
    pub(super) calls: Arc<Shares>,
}

/// Why somebody is not let in to wait for a plugin.
pub(super) fn busy() -> Failure {
    let message = "failed to begin: as many requests as may be are being answered; ask again later";
    Failure::new(Exit::Refused, Code::HttpBusy, message)
}

/// A client that was let in.
#[derive(Debug)]
pub(super) struct Conversation {
    stream: Stream,
    stage: watch::Receiver<Stage>,
    places: Places,
}

impl Conversation {
    pub(super) fn new(stream: Stream, stage: watch::Receiver<Stage>, places: Places) -> Self {
        Self { stream, stage, places }
    }

    /// One request and its answer. How the conversation fails is the client's to notice.
    pub(super) async fn hold(self, answer: impl Answer) {
        let mut from = &self.stream;
        let read = tokio::select! {
            read = timeout(PATIENCE, frame::read::<Request>(&mut from)) => read,
            // It can ask for nothing any more.
            () = self.stopped() => return,
        };
        let told = match read {
            Err(_) | Ok(Err(FrameError::Ended(_))) => Ok(()),
            Ok(Err(error)) => {
                let message = format!("failed to read the request: {error}");
                self.respond(Err(Failure::new(Exit::Failed, Code::NotUnderstood, message))).await
            }
            Ok(Ok((request, body))) => match self.place_to_follow(&request) {
                Err(failure) => self.respond(Err(failure)).await,
                Ok(_place) => self.answer(answer, request, body).await,
            },
        };
        drop(told);
    }

    /// A place for who follows something, where that is asked for.
    fn place_to_follow(&self, request: &Request) -> Result<Option<SemaphorePermit<'_>>, Failure> {
        let what = match request {
            Request::Events { follow: true, .. } => "follow the events",
            Request::Logs { follow: true, .. } => "follow the log",
            Request::Subscribe { .. } => "subscribe",
            Request::Stream { .. } => "open a stream",
            _ => return Ok(None),
        };
        self.places.followers.try_acquire().map(Some).map_err(|_| {
            let message = format!("failed to {what}: {FOLLOWERS} clients follow something already");
            Failure::new(Exit::Refused, Code::TooManyFollowers, message)
        })
    }

    async fn answer(&self, answer: impl Answer, request: Request, body: Vec<u8>) -> io::Result<()> {
        match request {
            Request::Events { past, follow } => self.tell(answer, past, follow).await,
            Request::Logs { past, follow, service } => self.tell_lines(answer, past, follow, service).await,
            Request::Subscribe { patterns, queue, capacity } => {
                self.bring(answer, messages::subscribe(CLIENT, patterns, queue.as_deref(), capacity)).await
            }
            Request::Stream { .. } => self.stream(answer, request, body).await,
            Request::Import { .. } => {
                let done = self.take(answer, request).await;
                self.respond(done).await
            }
            request => {
                let place = request.waits_for().map(|service| self.places.calls.place_now(service));
                let done = match place {
                    Some(None) => Err(busy()),
                    _ => self.ask(answer, request, body).await,
                };
                drop(place);
                self.respond(done).await
            }
        }
    }

    async fn ask(
        &self,
        answer: impl Answer,
        request: Request,
        body: Vec<u8>,
    ) -> Result<(Value, Vec<u8>), Failure> {
        let gone = Cancel::new();
        let on_drop = gone.on_drop();
        let mut done = task::spawn_blocking(move || answer.answer(request, body, &gone));
        let mut from = &self.stream;
        let mut nothing = [0; 1];
        tokio::select! {
            biased;
            done = self.answered(&mut done) => done,
            // The client has no more to say: whatever comes is its end. Nobody hears this.
            _ = from.read(&mut nothing) => {
                drop(on_drop);
                Err(Failure::new(Exit::TimedOut, Code::CallCancelled, "failed to answer: the client has gone"))
            }
        }
    }

    /// The same to what follows the request in pieces, while it comes. What is answered before its end is told at once.
    async fn take(&self, answer: impl Answer, request: Request) -> Result<(Value, Vec<u8>), Failure> {
        let (feed, mut body) = body::channel();
        let mut done = task::spawn_blocking(move || answer.take(request, &mut body));
        let mut from = &self.stream;
        tokio::select! {
            done = self.answered(&mut done) => return done,
            () = feed.take(&mut from, PATIENCE) => {}
        }
        self.answered(&mut done).await
    }

    async fn answered(&self, done: &mut JoinHandle<Answered>) -> Answered {
        tokio::select! {
            done = done => done.unwrap_or_else(|_| {
                Err(Failure::new(Exit::Failed, Code::Defect, "failed to answer: the host panicked"))
            }),
            () = self.overdue() => {
                let message = "failed to get an answer before the host ended";
                Err(Failure::new(Exit::TimedOut, Code::Stopping, message))
            }
        }
    }

    async fn respond(&self, done: Result<(Value, Vec<u8>), Failure>) -> io::Result<()> {
        let (response, body) = match done {
            Ok((value, body)) => (Response::Done(value), body),
            Err(failure) => (Response::Failed(failure), Vec::new()),
        };
        match self.send(&response, &body).await {
            // Too long, which is seen before the first byte is sent.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                let message = format!("failed to send the answer: {error}");
                let failure = Failure::new(Exit::Failed, Code::TooLongToSend, message);
                self.send(&Response::Failed(failure), &[]).await
            }
            sent => sent,
        }
    }

    async fn send(&self, response: &Response, body: &[u8]) -> io::Result<()> {
        let mut into = &self.stream;
        timeout(PATIENCE, frame::write(&mut into, response, body)).await?
    }

    /// Sends events until there are no more or the client is gone.
    async fn tell(&self, answer: impl Answer, past: usize, follow: bool) -> io::Result<()> {
        let (sender, mut events) = mpsc::channel(EVENTS_IN_FLIGHT);
        task::spawn_blocking(move || forward(&answer, past, follow, &sender));
        let mut from = &self.stream;
        let mut nothing = [0; 1];
        let mut overdue = pin!(self.overdue());
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Some(event) => self.send(&Response::Event(event), &[]).await?,
                    None => break,
                },
                // The client has no more to say: whatever comes is its end.
                _ = from.read(&mut nothing) => return Ok(()),
                // It began to listen when nobody spoke any more.
                () = &mut overdue => break,
            }
        }
        if follow && *self.stage.borrow() == Stage::Open {
            // The host goes on; to end as if it had ended would hide what was missed.
            let message =
                "failed to follow the events: they came faster than they were taken; some were missed";
            return self.respond(Err(Failure::new(Exit::Failed, Code::EventsMissed, message))).await;
        }
        self.send(&Response::End, &[]).await
    }

    /// Waits until the host has stopped.
    async fn stopped(&self) {
        // An error says that the server is gone, and then the host is too.
        let _ = self.stage.clone().wait_for(|stage| *stage == Stage::Stopped).await;
    }

    /// Waits until the host has stopped so long ago that no answer is to be expected.
    async fn overdue(&self) {
        self.stopped().await;
        sleep(LAST_WORDS).await;
    }
}

/// Runs on a thread of its own, which ends when the receiver is dropped.
pub(super) fn forward(answer: &impl Answer, past: usize, follow: bool, sender: &mpsc::Sender<Event>) {
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
