//! Lines of the log to one client.

use std::io;
use std::pin::pin;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::task;

use super::{Conversation, NOTICE};
use crate::control::answer::Answer;
use crate::control::protocol::{Request, Response};
use crate::kernel::lines::{Follower, LINES};

/// Lines on their way to one client. What it does not take waits among the last lines of the log, and goes from there when those are too
/// many.
const IN_FLIGHT: usize = 64;

impl Conversation {
    /// Sends lines: the last ones, and with `follow` those to come until the host has stopped or the client is gone.
    pub(super) async fn tell_lines(
        &self,
        answer: impl Answer,
        past: usize,
        follow: bool,
        service: Option<String>,
    ) -> io::Result<()> {
        if let Some(name) = service.clone().filter(|name| !LINES.has_of(name)) {
            // Nobody waits for lines of a service that is not there.
            if let Err(failure) = self.ask(answer, Request::Status { name }, Vec::new()).await {
                return self.respond(Err(failure)).await;
            }
        }
        let follower = LINES.follow(past, service);
        let (sender, mut responses) = mpsc::channel(IN_FLIGHT);
        task::spawn_blocking(move || forward(follower, past, follow, &sender));
        let mut from = &self.stream;
        let mut nothing = [0; 1];
        let mut overdue = pin!(self.overdue());
        loop {
            tokio::select! {
                response = responses.recv() => match response {
                    Some(response) => self.send(&response, &[]).await?,
                    None => break,
                },
                // The client has no more to say: whatever comes is its end.
                _ = from.read(&mut nothing) => return Ok(()),
                () = &mut overdue => break,
            }
        }
        self.send(&Response::End, &[]).await
    }
}

/// Runs on a thread of its own, which ends when the receiver is dropped.
fn forward(mut follower: Follower, past: usize, follow: bool, sender: &mpsc::Sender<Response>) {
    let patience = if follow { NOTICE } else { Duration::ZERO };
    let mut left = past;
    while !sender.is_closed() && (follow || left > 0) {
        let most = if follow { IN_FLIGHT } else { left.min(IN_FLIGHT) };
        let (lines, missed) = follower.next(most, patience);
        if !follow && lines.is_empty() {
            return;
        }
        left = left.saturating_sub(lines.len());
        let missed = (missed > 0).then_some(Response::Missed(missed));
        for response in missed.into_iter().chain(lines.into_iter().map(Response::Line)) {
            if sender.blocking_send(response).is_err() {
                return;
            }
        }
    }
}
