//! Messages to one client, from its subscription to its end.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use tokio::io::AsyncReadExt as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task;

use super::{Conversation, NOTICE};
use crate::bus::{Message, MessageView, Receive, Subscribe, SubscribeError, Subscription, WhenFull};
use crate::control::answer::Answer;
use crate::control::exit::Exit;
use crate::control::protocol::{Failure, Response};
use crate::error::Coded as _;

/// Messages on their way to one client, and bytes of these: one that is larger goes alone. A slow client holds up nobody: they then wait in
/// its mailbox, whose oldest are dropped.
const IN_FLIGHT: usize = 64;
const BYTES_IN_FLIGHT: usize = 1 << 20;

/// A message on its way, with its part of the room.
pub(in crate::control) struct Underway {
    pub(in crate::control) view: MessageView,
    pub(in crate::control) message: Message,
    _room: OwnedSemaphorePermit,
}

/// The end that messages go in by.
pub(in crate::control) struct Way {
    sender: mpsc::Sender<Underway>,
    room: Arc<Semaphore>,
    runtime: Handle,
}

/// The way to one client. To be called within a runtime.
pub(in crate::control) fn way() -> (Way, mpsc::Receiver<Underway>) {
    let (sender, receiver) = mpsc::channel(IN_FLIGHT);
    (Way { sender, room: Arc::new(Semaphore::new(BYTES_IN_FLIGHT)), runtime: Handle::current() }, receiver)
}

impl Way {
    /// Sends a message as soon as there is room; `false` where nobody is there any more. It blocks.
    fn send(&self, view: MessageView, message: Message) -> bool {
        let bytes = message.weight().min(BYTES_IN_FLIGHT);
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        // Who goes away takes along what is on the way to him, and makes room by that.
        let room = self.runtime.block_on(Arc::clone(&self.room).acquire_many_owned(bytes));
        // It is never closed.
        let Ok(room) = room else { return false };
        self.sender.blocking_send(Underway { view, message, _room: room }).is_ok()
    }
}

impl Conversation {
    /// Sends messages until the host has stopped or the client is gone.
    pub(super) async fn bring(&self, answer: impl Answer, subscribe: Subscribe) -> io::Result<()> {
        let subscription = match answer.subscribe(subscribe) {
            Ok(subscription) => subscription,
            Err(error) => return self.respond(Err(error.into())).await,
        };
        // Who hears this misses nothing from here on.
        self.respond(Ok((serde_json::Value::Null, Vec::new()))).await?;
        let (way, mut messages) = way();
        task::spawn_blocking(move || forward(&subscription, &way));
        let mut from = &self.stream;
        let mut nothing = [0; 1];
        let mut overdue = pin!(self.overdue());
        loop {
            tokio::select! {
                message = messages.recv() => match message {
                    Some(Underway { view, message, _room }) => {
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
pub(in crate::control) fn forward(subscription: &Subscription, way: &Way) {
    while !way.sender.is_closed() {
        match subscription.receive(NOTICE) {
            Ok(message) => {
                let view = MessageView::new(&message, subscription.mailed().dropped);
                if !way.send(view, message) {
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
            SubscribeError::Pattern(_) | SubscribeError::Group { .. } => Exit::Usage,
            SubscribeError::Stopping => Exit::Refused,
        };
        Self::new(exit, error.code(), error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Bus, Manner};

    #[tokio::test(flavor = "multi_thread")]
    async fn no_more_bytes_are_on_their_way_to_a_client_than_may_be_and_one_that_is_larger_goes_alone() {
        let bus = Arc::new(Bus::default());
        let subscription = bus.subscribe(subscribe("slow", vec!["a".parse().unwrap()], None, 100));
        for bytes in [BYTES_IN_FLIGHT / 2, BYTES_IN_FLIGHT / 2, 3 * BYTES_IN_FLIGHT, 4] {
            bus.publish(&"test".into(), "a", vec![0; bytes].as_slice().into(), Manner::Forget).unwrap();
        }
        let (way, mut messages) = way();
        let room = Arc::clone(&way.room);
        let forwarding = task::spawn_blocking(move || {
            for _ in 0..4 {
                let message = subscription.receive(NOTICE).unwrap();
                assert!(way.send(MessageView::new(&message, 0), message));
            }
        });
        let (first, second) = (messages.recv().await.unwrap(), messages.recv().await.unwrap());
        assert_eq!(room.available_permits(), 0);
        drop((first, second));
        let large = messages.recv().await.unwrap();
        assert!(room.available_permits() == 0 && messages.is_empty(), "it has all of the room");
        drop(large);
        assert_eq!(messages.recv().await.unwrap().message.payload().len(), 4);
        forwarding.await.unwrap();
    }
}
