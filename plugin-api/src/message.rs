//! Messages: what a plugin publishes, and what it gets by the topics that it declares.

use std::fmt;
use std::time::Duration;

use crate::abi::RawMessage;
use crate::{Error, Result};

/// A message's name: no two messages have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId {
    /// Drawn at random when a host starts.
    pub run: u64,
    /// Counts the messages of that run.
    pub number: u64,
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.run, self.number)
    }
}

/// A message that the plugin gets, lent for the length of [`Plugin::on_message`](crate::Plugin::on_message).
#[derive(Clone, Copy)]
pub struct Message<'a> {
    raw: &'a RawMessage<'a>,
}

impl<'a> Message<'a> {
    pub(crate) fn new(raw: &'a RawMessage<'a>) -> Self {
        Self { raw }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.raw.id.into()
    }

    /// When it was published, microseconds since 1970.
    #[must_use]
    pub fn unix_us(&self) -> u64 {
        self.raw.unix_us
    }

    /// Who published it: a service, or what a client or an embedding program calls itself.
    #[must_use]
    pub fn sender(&self) -> &'a str {
        self.raw.sender.as_str()
    }

    /// What it is about: `orders.created`, where `orders.*` was declared.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.raw.topic.as_str()
    }

    /// The bytes as they came.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.raw.payload.as_slice()
    }

    /// The bytes as text.
    ///
    /// # Errors
    /// They are not UTF-8.
    pub fn text(&self) -> Result<&'a str> {
        std::str::from_utf8(self.bytes())
            .map_err(|e| Error::msg(format_args!("read the message as text: {e}")))
    }

    /// The bytes as JSON.
    ///
    /// # Errors
    /// They are not JSON, or not of this shape.
    pub fn json<T: serde::Deserialize<'a>>(&self) -> Result<T> {
        serde_json::from_slice(self.bytes())
            .map_err(|e| Error::msg(format_args!("read the message as JSON: {e}")))
    }

    /// The first header of this name.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&'a str> {
        self.headers().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// What stands beside the bytes: names and values.
    pub fn headers(&self) -> impl Iterator<Item = (&'a str, &'a str)> + use<'a> {
        self.raw.headers.as_slice().iter().map(|header| (header.name.as_str(), header.value.as_str()))
    }

    /// The messages that it follows from, the first one first: it was published while the last of them was handled.
    pub fn causes(&self) -> impl Iterator<Item = MessageId> + use<'a> {
        self.raw.causes.as_slice().iter().map(|id| (*id).into())
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &self.id())
            .field("topic", &self.topic())
            .field("sender", &self.sender())
            .field("bytes", &self.bytes().len())
            .finish_non_exhaustive()
    }
}

/// A message to publish by [`Context::send`](crate::Context::send).
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    pub(crate) topic: &'a str,
    pub(crate) payload: &'a [u8],
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) confirmed: Option<Duration>,
}

impl<'a> Outgoing<'a> {
    /// These bytes to that topic.
    #[must_use]
    pub fn new(topic: &'a str, payload: &'a [u8]) -> Self {
        Self { topic, payload, headers: Vec::new(), confirmed: None }
    }

    /// With this beside the bytes.
    #[must_use]
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// To be taken by every mailbox within this time, else publishing is an error that says which ones did not. It waits in the
    /// mailboxes then: that they were emptied is said by nobody.
    #[must_use]
    pub fn confirmed(self, within: Duration) -> Self {
        Self { confirmed: Some(within), ..self }
    }
}

/// What became of a message that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Its name.
    pub id: MessageId,
    /// Mailboxes that took it. None is no error: nobody subscribed.
    pub taken: u64,
    /// Mailboxes that did not: they were full, or their service is stopped.
    pub refused: u64,
}
