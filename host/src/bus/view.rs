//! A message for the outside, without its bytes.

use serde::{Deserialize, Serialize};

use super::{Message, MessageId};

/// What `hotbay subscribe` tells of a message, beside its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct MessageView {
    /// Its name.
    pub id: MessageId,
    /// What it is about.
    pub topic: String,
    /// Who published it.
    pub sender: String,
    /// When, microseconds since 1970.
    pub unix_us: u64,
    /// What stands beside the bytes: names and values, in their order.
    pub headers: Vec<(String, String)>,
    /// The messages that it follows from, the first one first.
    pub causes: Vec<MessageId>,
    /// Messages before it that this subscription missed, in all: they came faster than they were taken.
    #[serde(default)]
    pub dropped: u64,
}

impl MessageView {
    /// Of a message, where so many were missed before.
    #[must_use]
    pub fn new(message: &Message, dropped: u64) -> Self {
        let header = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        Self {
            id: message.id(),
            topic: message.topic().to_owned(),
            sender: message.sender().to_owned(),
            unix_us: message.unix_us(),
            headers: message.headers().iter().map(header).collect(),
            causes: message.causes().to_vec(),
            dropped,
        }
    }
}
