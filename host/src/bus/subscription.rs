//! A subscription: patterns, and the mailbox that what they take comes into.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::mailbox::{Mailbox, Room, Wake};
use super::topics::Mailed;
use super::{Bus, Message, Pattern, SubjectError, WhenFull};

/// Messages that wait for a subscription by default.
pub(crate) const ROOM: usize = 1024;

/// Bytes of these by default.
pub(crate) const BYTES: usize = 64 << 20;

/// More could not be meant: each message is some 200 bytes and what it carries.
const MOST: usize = 10_000_000;

/// How to subscribe.
#[derive(Debug, Clone)]
pub struct Subscribe {
    pub(super) name: Arc<str>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) answers: Vec<Pattern>,
    pub(super) queue: Option<Arc<str>>,
    pub(super) capacity: usize,
    pub(super) max_bytes: usize,
    pub(super) when_full: WhenFull,
}

impl Subscribe {
    /// By these patterns, as somebody of this name. A message that several of them take comes once.
    #[must_use]
    pub fn new(name: &str, patterns: Vec<Pattern>) -> Self {
        Self {
            name: name.into(),
            patterns,
            answers: Vec::new(),
            queue: None,
            capacity: ROOM,
            max_bytes: BYTES,
            when_full: WhenFull::default(),
        }
    }

    /// Also gets requests of these topics, each to be answered by [`Message::reply`]. Of all who answer a topic, one is asked.
    #[must_use]
    pub fn answers(self, patterns: Vec<Pattern>) -> Self {
        Self { answers: patterns, ..self }
    }

    /// As a member of a queue group: of each message one member gets it.
    #[must_use]
    pub fn queue(self, group: &str) -> Self {
        Self { queue: Some(group.into()), ..self }
    }

    /// How many messages may wait; 1,024 by default.
    #[must_use]
    pub fn capacity(self, messages: usize) -> Self {
        Self { capacity: messages.clamp(1, MOST), ..self }
    }

    /// How many bytes of messages may wait; 64 MiB by default. One message that is larger is taken where none waits.
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self { max_bytes: bytes, ..self }
    }

    /// What happens to one more.
    #[must_use]
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { when_full, ..self }
    }
}

impl Subscribe {
    /// Whether its queue group, if it has one, can be meant.
    pub(crate) fn check(&self) -> Result<(), SubscribeError> {
        let is_name =
            |group: &str| !group.is_empty() && !group.contains(|c: char| c.is_whitespace() || c.is_control());
        match self.queue.as_deref() {
            Some(group) if !is_name(group) => Err(SubscribeError::Group { group: group.to_owned() }),
            _ => Ok(()),
        }
    }
}

/// A subscription that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// A pattern is none.
    #[error(transparent)]
    Pattern(#[from] SubjectError),
    /// A queue group's name is none.
    #[error("failed to join the queue group `{group}`: a name has a character at least, and no blanks")]
    Group {
        /// What was given for it.
        group: String,
    },
    /// The host ends.
    #[error("failed to subscribe: the host is being stopped")]
    Stopping,
}

/// A subscription as the bus knows it.
pub(crate) struct Subscriber {
    pub(super) id: u64,
    pub(super) name: Arc<str>,
    pub(super) patterns: Vec<Pattern>,
    pub(super) answers: Vec<Pattern>,
    pub(super) group: Option<Arc<str>>,
    pub(crate) mailbox: Arc<Mailbox>,
}

impl Subscriber {
    pub(super) fn new(id: u64, subscribe: Subscribe, wake: Option<Arc<dyn Wake>>) -> Self {
        let Subscribe { name, patterns, answers, queue: group, capacity, max_bytes, when_full } = subscribe;
        let room = Room { messages: capacity, bytes: max_bytes };
        Self { id, name, patterns, answers, group, mailbox: Arc::new(Mailbox::new(room, when_full, wake)) }
    }

    /// The same subscription, by other patterns or in another group. What waits goes on waiting.
    pub(super) fn with(&self, patterns: Vec<Pattern>, answers: Vec<Pattern>, group: Option<&str>) -> Self {
        let (name, mailbox) = (Arc::clone(&self.name), Arc::clone(&self.mailbox));
        Self { id: self.id, name, patterns, answers, group: group.map(Into::into), mailbox }
    }

    /// What it takes, and what it answers.
    pub(super) fn all(&self) -> impl Iterator<Item = &Pattern> {
        self.patterns.iter().chain(&self.answers)
    }

    /// Another mailbox's room and rule for this one.
    pub(crate) fn set_room(&self, messages: usize, bytes: usize, when_full: WhenFull) {
        self.mailbox.set(Room { messages, bytes }, when_full);
    }

    pub(crate) fn patterns(&self) -> &[Pattern] {
        &self.patterns
    }

    pub(crate) fn answers(&self) -> &[Pattern] {
        &self.answers
    }

    pub(crate) fn queue(&self) -> Option<&str> {
        self.group.as_deref()
    }

    pub(super) fn mailed(&self) -> Mailed {
        let (counts, (room, when_full)) = (self.mailbox.counts(), self.mailbox.rules());
        Mailed {
            name: self.name.to_string(),
            queue: self.group.as_deref().map(ToOwned::to_owned),
            answers: false,
            depth: counts.depth,
            capacity: room.messages,
            bytes: counts.bytes,
            max_bytes: room.bytes,
            when_full,
            accepted: counts.accepted,
            dropped: counts.dropped,
            refused: counts.refused,
        }
    }
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("name", &self.name)
            .field("patterns", &self.patterns)
            .finish_non_exhaustive()
    }
}

/// Why there is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Receive {
    /// None came in time.
    #[error("no message came in time")]
    TimedOut,
    /// The host has ended, and all that waited was taken.
    #[error("the host has ended")]
    Ended,
}

/// Messages for an embedding program. Dropped, it ends.
///
/// Its mailbox is bounded, so it is to be emptied by a thread that waits for nothing that publishes. Several threads may take
/// from it; each message is taken once.
pub struct Subscription {
    bus: Arc<Bus>,
    pub(super) subscriber: Arc<Subscriber>,
}

impl Bus {
    /// Subscribes, for who takes messages himself.
    pub(crate) fn subscribe(self: &Arc<Self>, subscribe: Subscribe) -> Subscription {
        let subscriber = self.add(subscribe, None);
        Subscription { bus: Arc::clone(self), subscriber }
    }
}

impl Subscription {
    /// The next message; waits for it, `deadline` at most.
    ///
    /// # Errors
    /// [`Receive`]
    pub fn receive(&self, deadline: Duration) -> Result<Message, Receive> {
        let until = Instant::now().checked_add(deadline);
        let mut taken = VecDeque::new();
        loop {
            // One at a time: what were taken and not received would make room for others too early.
            self.wait(1, &mut taken, until)?;
            let message = taken.pop_front().ok_or(Receive::TimedOut)?;
            if begins(&message) {
                return Ok(message);
            }
        }
    }

    /// All that is there, in the place of what `into` holds; waits for the first one, `deadline` at most. For who takes many: a lock
    /// is taken once for all of them.
    ///
    /// # Errors
    /// [`Receive`]; `into` is then empty.
    pub fn receive_all(&self, into: &mut VecDeque<Message>, deadline: Duration) -> Result<(), Receive> {
        let until = Instant::now().checked_add(deadline);
        loop {
            into.clear();
            self.wait(usize::MAX, into, until)?;
            // Who answers nothing got no request.
            if !self.subscriber.answers.is_empty() {
                into.retain(begins);
            }
            if !into.is_empty() {
                return Ok(());
            }
        }
    }

    /// Messages that wait, and what became of others.
    #[must_use]
    pub fn mailed(&self) -> Mailed {
        self.subscriber.mailed()
    }

    fn wait(&self, most: usize, into: &mut VecDeque<Message>, until: Option<Instant>) -> Result<(), Receive> {
        match self.subscriber.mailbox.wait(most, into, until) {
            None => Err(Receive::Ended),
            Some(0) => Err(Receive::TimedOut),
            Some(_) => Ok(()),
        }
    }
}

/// A request that nobody waits for any longer is nobody's.
fn begins(message: &Message) -> bool {
    message.question().is_none_or(super::question::Question::begin)
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.bus.remove(&self.subscriber);
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").field("subscriber", &self.subscriber).finish_non_exhaustive()
    }
}
