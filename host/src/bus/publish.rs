//! Publishing: an envelope is made, and put into the mailboxes that its topic leads to.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cause::{LONGEST_CHAIN, causes};
use super::deadline::end_of;
use super::envelope::{Envelope, now};
use super::lately::{self, Found};
use super::mailbox::Took;
use super::question::Asked;
use super::route::{Carried, Route};
use super::trace::along;
use super::{Bus, Headers, KERNEL, Message, MessageId, PATIENCE, SubjectError, WhenFull};

/// What is to be published, beside its topic.
#[derive(Debug, Clone, Default)]
pub struct Outgoing<'a> {
    /// The bytes.
    pub payload: &'a [u8],
    /// What stands beside them.
    pub headers: Headers,
    /// The message that it follows from. Without one, the message that this thread is handling, if it is.
    pub cause: Option<&'a Message>,
}

impl<'a> From<&'a [u8]> for Outgoing<'a> {
    fn from(payload: &'a [u8]) -> Self {
        Self { payload, ..Self::default() }
    }
}

/// A message that was published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Published {
    /// Its name.
    pub id: MessageId,
    /// Mailboxes that took it: one of each subscription, and one of each queue group.
    pub taken: usize,
    /// Mailboxes that did not, since they were full, or their service is stopped.
    pub refused: usize,
}

/// A message that was not published as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// Its topic is none.
    #[error(transparent)]
    Topic(#[from] SubjectError),
    /// Messages answer each other in a circle.
    #[error(
        "failed to publish to `{topic}`: {LONGEST_CHAIN} messages led to this one, each published while the one before was handled; \
         they answer each other in a circle"
    )]
    TooManyHops {
        /// The topic.
        topic: String,
    },
    /// Of a message that was to be confirmed: not all mailboxes took it. Those that did have it.
    #[error("failed to have the message taken by all: {}; {taken} took it", told(.refused))]
    NotTaken {
        /// Mailboxes that took it.
        taken: usize,
        /// Those that did not.
        refused: Vec<NotTaken>,
    },
    /// What begins with `hotbay.` the kernel alone publishes.
    #[error(
        "failed to publish to `{topic}`: what begins with `hotbay.` is told by the kernel alone; begin with another word"
    )]
    Reserved {
        /// The topic.
        topic: String,
    },
    /// The sender may not publish now.
    #[error("failed to publish to `{topic}`: {text}")]
    Refused {
        /// The topic.
        topic: String,
        /// Why.
        text: String,
    },
}

/// A mailbox that did not take a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotTaken {
    /// Whose it is.
    pub name: String,
    /// Why.
    pub why: &'static str,
    /// Whether it was waited for until the deadline, and had no room still. The others take nothing now, however long one waits.
    pub waited: bool,
}

fn told(refused: &[NotTaken]) -> String {
    let each = refused.iter().map(|NotTaken { name, why, .. }| format!("the mailbox of `{name}` {why}"));
    each.collect::<Vec<_>>().join(", ")
}

/// How long a sender waits, and whether it is told who did not take the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Fire and forget: it waits for room for a moment where a mailbox says so.
    Forget,
    /// The same, and it waits for nobody.
    Offer,
    /// Taken by every mailbox within this time, or an error.
    Confirm(Duration),
}

impl Bus {
    /// Publishes.
    pub(crate) fn publish(
        &self,
        sender: &Arc<str>,
        topic: &str,
        outgoing: Outgoing<'_>,
        manner: Manner,
    ) -> Result<Published, PublishError> {
        let (message, found) = self.envelope(sender, topic, outgoing, None)?;
        let id = message.id();
        let outwards = self.is_attached.load(Ordering::Acquire).then(|| message.clone());
        let carried = self.carry(message, found, manner);
        if let Some(message) = outwards {
            for transport in &*self.transports.read().unwrap_or_else(PoisonError::into_inner) {
                transport.carry(&message);
            }
        }
        conclude(id, carried, manner)
    }

    /// An envelope, and where its topic leads to now, where it is noted.
    pub(super) fn envelope(
        &self,
        sender: &Arc<str>,
        topic: &str,
        outgoing: Outgoing<'_>,
        asked: Option<Asked>,
    ) -> Result<(Message, Found), PublishError> {
        if self.is_closed() {
            let text = "the host is being stopped".to_owned();
            return Err(PublishError::Refused { topic: topic.to_owned(), text });
        }
        let causes = causes(outgoing.cause);
        if causes.as_ref().is_some_and(|chain| chain.len() > LONGEST_CHAIN) {
            return Err(PublishError::TooManyHops { topic: topic.to_owned() });
        }
        let found = self.find(topic)?;
        let known = &found.topic;
        if known.is_kernels && **sender != *KERNEL {
            return Err(PublishError::Reserved { topic: topic.to_owned() });
        }
        let message = Message::new(Envelope {
            id: self.next_id(),
            unix_us: now(),
            sender: Arc::clone(sender),
            topic: Arc::clone(&known.name),
            headers: along(outgoing.headers),
            causes,
            payload: outgoing.payload.into(),
            asked,
        });
        known.note(message.unix_us());
        Ok((message, found))
    }

    /// Takes in a message of another bus, as it is: its mailboxes get it, and no transport does.
    #[allow(dead_code, reason = "the seam for what carries messages between hosts")]
    pub(crate) fn take_in(&self, message: &Message) -> Result<Published, PublishError> {
        let found = self.find(message.topic())?;
        found.topic.note(now());
        let carried = self.carry(message.clone(), found, Manner::Forget);
        conclude(message.id(), carried, Manner::Forget)
    }

    /// Carries a message to where its topic was found to lead to. A group of which all have gone since is looked for again.
    fn carry(&self, message: Message, mut found: Found, manner: Manner) -> Carried {
        let until = || {
            let patience = match manner {
                Manner::Forget => PATIENCE,
                Manner::Offer => Duration::ZERO,
                Manner::Confirm(deadline) => deadline,
            };
            // No longer than who asked for what this thread does.
            end_of(patience)
        };
        let confirmed = matches!(manner, Manner::Confirm(_));
        let mut carried = found.route.carry(message, confirmed, until);
        while !carried.gone.is_empty() {
            match self.find_again(&found) {
                Some(again) => found = again,
                None => carried.give_up(),
            }
            for gone in std::mem::take(&mut carried.gone) {
                found.route.carry_again(gone, confirmed, until, &mut carried);
            }
        }
        lately::keep(found);
        carried
    }

    /// Where a topic leads to now, if anybody has come or gone since it was found.
    pub(super) fn find_again(&self, found: &Found) -> Option<Found> {
        if self.version.load(Ordering::Acquire) == found.version {
            return None;
        }
        self.find(&found.topic.name).ok()
    }

    /// A topic, and where it leads to now.
    fn find(&self, topic: &str) -> Result<Found, SubjectError> {
        let (run, version) = (self.run, self.version.load(Ordering::Acquire));
        if let Some(found) = lately::take(run, version, topic) {
            return Ok(found);
        }
        let known = self.topics.get(topic)?;
        let route = known.route(version, || {
            // Taken together: what the index says is then of this version, or of a later one.
            let inside = self.inside();
            let route = Route::new(inside.index.find(topic), inside.answering.find(topic));
            (self.version.load(Ordering::Acquire), route)
        });
        Ok(Found { run, version, topic: known, route })
    }
}

/// Why a mailbox did not take a message.
pub(super) fn why_not(took: Took) -> &'static str {
    match took {
        Took::Resting => "takes nothing: its service is stopped",
        Took::Closed => "takes nothing: it has just been given up",
        Took::Full | Took::Taken => "is full",
    }
}

fn conclude(id: MessageId, carried: Carried, manner: Manner) -> Result<Published, PublishError> {
    let Carried { taken, refused, .. } = carried;
    if matches!(manner, Manner::Confirm(_)) && !refused.is_empty() {
        let refused = refused.into_iter().map(|(subscriber, took)| NotTaken {
            name: subscriber.name.to_string(),
            why: why_not(took),
            waited: took == Took::Full && subscriber.mailbox.rules().1 == WhenFull::Block,
        });
        return Err(PublishError::NotTaken { taken, refused: refused.collect() });
    }
    Ok(Published { id, taken, refused: refused.len() })
}
