//! The history: one line of JSON per thing that happened in the host's process, and what the checker says of it.

use hotbay::kernel::view::Receipt;
use serde::{Deserialize, Serialize};

/// Something that happened. Times are microseconds on the host's clock.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// A client is about to send a message: its key, and its number (1, 2, 3 … per key).
    Sent(u32, u64),
    /// It was answered: key, number, from when to when it was under way, and what the plugin said.
    Answered(u32, u64, Span, Seen),
    /// It was not: key, number, from when to when, why.
    Failed(u32, u64, Span, String),
    /// A message is about to be published: its key, and its number.
    Mailed(u32, u64),
    /// The service's mailbox did not take it: key, number, why.
    Refused(u32, u64, String),
    /// The plugin published that it applied it: key, number, and what it said.
    Heard(u32, u64, Seen),
    /// The plugin's file is being replaced: when.
    Replaced(u64),
    /// A swap has ended: when, and its receipt.
    Swapped(u64, Box<Receipt>),
    /// The clients have ended: the plugin's state by a last call, and the generation that answered it.
    Final {
        /// Which generation answered.
        generation: u64,
        /// How often the state went from one version to the other.
        handovers: u64,
        /// What is kept of each key.
        entries: Vec<(u32, Entry)>,
    },
}

/// From one moment to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Span(pub(crate) u64, pub(crate) u64);

/// A reply of the plugin: the number that was applied before, how many were applied since the beginning, all of them
/// folded into one number, and how often the state was handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen(pub(crate) u64, pub(crate) u64, pub(crate) u64, pub(crate) u64);

/// What the plugin keeps of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) last: u64,
    pub(crate) applied: u64,
    pub(crate) trail: u64,
}

/// What the checker says while it reads, and at the end.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Said {
    /// The first client was answered.
    Begun,
    /// A swap has ended.
    Swapped(Box<Receipt>),
    /// The history has ended.
    Verdict(Box<Verdict>),
}

/// What a history is found to be.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    /// Messages that were sent.
    pub(crate) requests: u64,
    /// Answered with an error.
    pub(crate) failed: u64,
    /// Never answered, or answered and not in the state afterwards.
    pub(crate) lost: u64,
    /// Answered twice, or applied twice.
    pub(crate) duplicated: u64,
    /// Applied in another order than sent, or by a generation that had been replaced.
    pub(crate) reordered: u64,
    /// Of messages that were published to a topic.
    #[serde(default)]
    pub(crate) messages: Messages,
    /// Whether the history ends with the plugin's state.
    pub(crate) whole: bool,
    /// From the first message to the last answer, microseconds.
    pub(crate) lasted_us: u64,
    /// How long requests took that were under way in a swap.
    pub(crate) pause_us: Quantiles,
    /// From the file's rename to the first answer of the new generation.
    pub(crate) swap_us: Quantiles,
    /// What was wrong, in words; the first ones.
    pub(crate) complaints: Vec<String>,
}

/// What became of messages that were published. Faults are counted as those of requests are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Messages {
    /// Messages that were published.
    pub(crate) sent: u64,
    /// Of these, such as the mailbox did not take; their publisher was told.
    pub(crate) refused: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
}

/// A distribution in short.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Quantiles {
    pub(crate) p50: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}
