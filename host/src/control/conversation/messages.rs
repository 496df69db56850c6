//! Messages to one client, from its subscription to its end.

use std::io;
use std::pin::pin;

use tokio::io::AsyncReadExt as _;
use tokio::sync::mpsc;
use tokio::task;

use super::{Conversation, NOTICE};
use crate::bus::{Message, MessageView, Receive, Subscribe, SubscribeError, Subscription, WhenFull};
use crate::control::answer::Answer;
use crate::control::exit::Exit;
use crate::control::protocol::{Failure, Response};
use crate::error::Coded as _;

/// Messages on their way to one client. A slow one holds up nobody: they then wait in its mailbox, whose oldest are dropped.
const IN_FLIGHT: usize = 64;

impl Conversation {
    /// Sends messages until the host has stopped or the client is gone.
    pub(super) async fn bring(&self, answer: impl Answer, subscribe: Subscribe) -> io::Result<()> {
        let subscription = match answer.subscribe(subscribe) {
            Ok(subscription) => subscription,
            Err(error) => return self.respond(Err(error.into())).await,
        };
        // Who hears this misses nothing from here on.
        self.respond(Ok((serde_json::Value::Null, Vec::new()))).await?;
        let (sender, mut messages) = mpsc::channel(IN_FLIGHT);
        task::spawn_blocking(move || forward(&subscription, &sender));
        let mut from = &self.stream;
        let mut nothing = [0; 1];
        let mut overdue = pin!(self.overdue());
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some((view, message)) => {
                        let message: Message = message;
                        self.send(&Response::Message(view), message.payload()).await?;
                    }
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

/// What a client asks for; it never makes a sender wait.
pub(in crate::control) fn subscribe(
    name: &str,
    patterns: Vec<crate::bus::Pattern>,
    queue: Option<&str>,
    capacity: usize,
) -> Subscribe {
    let subscribe = Subscribe::new(name, patterns).capacity(capacity).when_full(WhenFull::DropOldest);
    match queue {
        Some(queue) => subscribe.queue(queue),
        None => subscribe,
    }
}

/// Runs on a thread of its own, which ends when the receiver is dropped.
pub(in crate::control) fn forward(
    subscription: &Subscription,
    sender: &mpsc::Sender<(MessageView, Message)>,
) {
    while !sender.is_closed() {
        match subscription.receive(NOTICE) {
            Ok(message) => {
                let view = MessageView::new(&message, subscription.mailed().dropped);
                if sender.blocking_send((view, message)).is_err() {
                    return;
                }
            }
            Err(Receive::TimedOut) => {}
            Err(Receive::Ended) => return,
        }
    }
}

impl From<SubscribeError> for Failure {
    fn from(error: SubscribeError) -> Self {
        let exit = match error {
            SubscribeError::Pattern(_) => Exit::Usage,
            SubscribeError::Stopping => Exit::Refused,
        };
        Self::new(exit, error.code(), error.to_string())
    }
}
