//! The envelope: who says what about which topic, when, and because of what. Made once, and shared by all who get it.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::question::{Asked, Question};

/// A message's name: no two messages have the same, also of two runs or two hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema), schemars(with = "String"))]
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

impl FromStr for MessageId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('-').and_then(|(run, number)| {
            Some(Self { run: u64::from_str_radix(run, 16).ok()?, number: number.parse().ok()? })
        });
        parts.ok_or_else(|| format!("`{text}` is no message's id"))
    }
}

/// As its text: numbers of this size are not safe in JSON.
impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What stands beside the bytes of a message: names and values, in their order. A name may stand more than once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<[Pair]>>);

/// Name and value.
type Pair = (Box<str>, Box<str>);

impl Headers {
    /// These.
    #[must_use]
    pub fn new<'a>(headers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let all: Arc<[_]> = headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        Self((!all.is_empty()).then_some(all))
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// All, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|all| all.iter()).map(|(name, value)| (&**name, &**value))
    }
}

/// A message: an envelope that is shared. Cheap to clone.
#[derive(Clone)]
pub struct Message(pub(super) Arc<Envelope>);

/// What a message is made of.
pub(super) struct Envelope {
    pub(super) id: MessageId,
    pub(super) unix_us: u64,
    pub(super) sender: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) headers: Headers,
    pub(super) causes: Option<Arc<[MessageId]>>,
    pub(super) payload: Payload,
    pub(super) asked: Option<Asked>,
}

/// Bytes that fit stand in the envelope itself: then a message is one piece of memory.
#[derive(Clone)]
pub(super) enum Payload {
    Short { len: u8, bytes: [u8; SHORT] },
    Long(Arc<[u8]>),
}

const SHORT: usize = 64;

impl From<&[u8]> for Payload {
    fn from(payload: &[u8]) -> Self {
        if payload.len() > SHORT {
            return Self::Long(payload.into());
        }
        let mut bytes = [0; SHORT];
        bytes[..payload.len()].copy_from_slice(payload);
        #[allow(clippy::cast_possible_truncation, reason = "it was just compared")]
        Self::Short { len: payload.len() as u8, bytes }
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short { len, bytes } => &bytes[..usize::from(*len)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl Message {
    pub(super) fn new(envelope: Envelope) -> Self {
        Self(Arc::new(envelope))
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> MessageId {
        self.0.id
    }

    /// When it was published, microseconds since 1970. For people: nothing is ordered by it.
    #[must_use]
    pub fn unix_us(&self) -> u64 {
        self.0.unix_us
    }

    /// Who published it: a service, or what an embedding program or a client calls itself.
    #[must_use]
    pub fn sender(&self) -> &str {
        &self.0.sender
    }

    /// What it is about.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.0.topic
    }

    /// What stands beside the bytes.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The messages that it follows from, the first one first: it was published while the last of them was handled.
    #[must_use]
    pub fn causes(&self) -> &[MessageId] {
        self.0.causes.as_deref().unwrap_or_default()
    }

    /// The bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.0.payload
    }

    /// What makes it a request.
    pub(crate) fn question(&self) -> Option<&Question> {
        self.0.asked.as_ref().map(|asked| &*asked.0)
    }

    /// What it takes of a mailbox's room, bytes: what was given, not the envelope.
    pub(crate) fn weight(&self) -> usize {
        let headers = self.headers().iter().map(|(name, value)| name.len() + value.len());
        self.payload().len() + headers.sum::<usize>()
    }

    /// Whether both are the same envelope, not a copy.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("id", &format_args!("{}", self.id()))
            .field("sender", &self.sender())
            .field("topic", &self.topic())
            .field("bytes", &self.payload().len())
            .finish_non_exhaustive()
    }
}

/// Microseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_length_are_what_they_were() {
        for len in [0, 1, SHORT - 1, SHORT, SHORT + 1, 4096] {
            let bytes: Vec<u8> = (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect();
            assert_eq!(&*Payload::from(&bytes[..]), &bytes[..], "{len}");
        }
    }

    #[test]
    fn headers_keep_their_order_and_a_name_may_stand_twice() {
        let headers = Headers::new([("trace", "1"), ("to", "a"), ("to", "b")]);
        assert_eq!((headers.get("to"), headers.get("from")), (Some("a"), None));
        assert_eq!(headers.iter().collect::<Vec<_>>(), [("trace", "1"), ("to", "a"), ("to", "b")]);
        assert_eq!(Headers::new([]), Headers::default());
    }
}
