//! Request/reply by topic: one of those who answer is asked, and its answer comes back.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::deadline::{self, Cancel, Limit};
use super::mailbox::Took;
use super::publish::why_not;
use super::question::{Answer, Asked, Left, Question};
use super::{Bus, Message, Outgoing, PublishError, SubjectError, Subscriber};
use crate::error::nearest_first;

/// A request that was not answered as asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// Its topic is none.
    #[error(transparent)]
    Topic(#[from] SubjectError),
    /// Messages answer each other in a circle, or the sender may not ask now.
    #[error(transparent)]
    Refused(PublishError),
    /// Nobody answers that topic.
    #[error("failed to ask `{topic}`: nobody answers it; {}", answered(.known))]
    NobodyAnswers {
        /// The topic.
        topic: String,
        /// What is answered: patterns, the nearest ones first.
        known: Vec<String>,
    },
    /// Nobody who answers it takes a request now.
    #[error("failed to ask `{topic}`: the mailbox of `{name}` {why}")]
    NotTaken {
        /// The topic.
        topic: String,
        /// Who was to answer; one of several.
        name: String,
        /// Why.
        why: &'static str,
    },
    /// Who was asked says no.
    #[error("{text}")]
    Failed {
        /// Who.
        name: String,
        /// Its words.
        text: String,
    },
    /// Who was asked panicked.
    #[error("failed to answer `{topic}`: `{name}` panicked: {text}")]
    Panicked {
        /// The topic.
        topic: String,
        /// Who.
        name: String,
        /// Message and place.
        text: String,
    },
    /// The deadline passed.
    #[error("failed to answer `{topic}` within {} ms: {doing}", deadline.as_millis())]
    TimedOut {
        /// The topic.
        topic: String,
        /// How long was waited.
        deadline: Duration,
        /// Where it was then.
        doing: String,
    },
    /// Who was asked let go of the request: it was stopped, or had to make room.
    #[error(
        "failed to get an answer of `{topic}`: `{name}` dropped the request; it was stopped, or had no room for it"
    )]
    Dropped {
        /// The topic.
        topic: String,
        /// Who.
        name: String,
    },
    /// Whoever asked has gone meanwhile.
    #[error("failed to answer `{topic}`: who asked has given up")]
    Cancelled {
        /// The topic.
        topic: String,
    },
}

fn answered(known: &[String]) -> String {
    if known.is_empty() {
        "nothing is answered".to_owned()
    } else {
        format!("answered are: {}", known.join(", "))
    }
}

impl From<PublishError> for RequestError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Topic(error) => Self::Topic(error),
            error => Self::Refused(error),
        }
    }
}

impl Bus {
    /// Asks by topic, and waits: `deadline` at most, no longer than who asked this thread waits, and not when somebody cancels.
    pub(crate) fn request(
        &self,
        sender: &Arc<str>,
        topic: &str,
        outgoing: Outgoing<'_>,
        deadline: Duration,
        cancel: Option<&Cancel>,
    ) -> Result<Vec<u8>, RequestError> {
        let limit = deadline::limit();
        let until = deadline::end_of(deadline);
        let given = until.map_or(deadline, |until| until.saturating_duration_since(Instant::now()));
        let question = Question::new(until, limit.along.clone());
        let asked = Some(Asked(Arc::clone(&question)));
        let (message, mut found) = self.envelope(sender, topic, outgoing, asked)?;
        let cancel = cancel.or(limit.cancel.as_ref());
        let (member, took) = loop {
            let Some(group) = found.route.answering() else { return Err(self.nobody(topic)) };
            // Who waits for room hears of its end as well.
            let (member, took) =
                deadline::within(Limit { until, cancel: cancel.cloned(), ..Limit::default() }, || {
                    group.carry(&message, true, || until)
                });
            let again = if took == Took::Closed { self.find_again(&found) } else { None };
            match again {
                Some(again) => found = again,
                None => break (Arc::clone(member), took),
            }
        };
        let (topic, name) = (topic.to_owned(), || member.name.to_string());
        match took {
            Took::Taken => {}
            Took::Closed => return Err(self.nobody(&topic)),
            Took::Full if cancel.is_some_and(Cancel::is_cancelled) => {
                return Err(RequestError::Cancelled { topic });
            }
            Took::Full | Took::Resting => {
                return Err(RequestError::NotTaken { topic, name: name(), why: why_not(took) });
            }
        }
        let wait = Wait { until, given, cancel };
        match wait.answer(&question, message, &member) {
            Ok(Answer::Reply(reply)) => Ok(reply),
            Ok(Answer::Failed(text)) => Err(RequestError::Failed { name: name(), text }),
            Ok(Answer::Panicked(text)) => Err(RequestError::Panicked { topic, name: name(), text }),
            Ok(Answer::Dropped) => Err(RequestError::Dropped { topic, name: name() }),
            Err(error) => Err(error),
        }
    }

    fn nobody(&self, topic: &str) -> RequestError {
        let known = {
            let inside = self.inside();
            inside
                .subscribers
                .iter()
                .flat_map(|subscriber| &subscriber.answers)
                .map(ToString::to_string)
                .collect()
        };
        let mut known: Vec<String> = nearest_first(topic, known);
        known.dedup();
        RequestError::NobodyAnswers { topic: topic.to_owned(), known }
    }
}

/// How long somebody waits.
struct Wait<'a> {
    until: Option<Instant>,
    given: Duration,
    cancel: Option<&'a Cancel>,
}

impl Wait<'_> {
    /// The answer; or it is given up, and taken out where it still waits.
    fn answer(
        &self,
        question: &Question,
        message: Message,
        member: &Subscriber,
    ) -> Result<Answer, RequestError> {
        let _wakes = self.cancel.map(Cancel::wakes_me);
        let topic = message.topic().to_owned();
        let place = Arc::downgrade(&message.0);
        // From here on who has it is who answers: when that one lets go of it, this is told.
        drop(message);
        loop {
            if let Some(answer) = question.taken() {
                return Ok(answer);
            }
            let left = self.until.map(|until| until.saturating_duration_since(Instant::now()));
            let is_over = left.is_some_and(|left| left.is_zero());
            let is_cancelled = self.cancel.is_some_and(Cancel::is_cancelled);
            if !is_over && !is_cancelled {
                left.map_or_else(thread::park, thread::park_timeout);
                continue;
            }
            let doing = if question.has_begun() { "is still at it" } else { "has not come to it" };
            match question.give_up() {
                Left::Answered => continue,
                Left::Waiting => member.mailbox.withdraw(&place),
                Left::Begun => {}
            }
            return Err(if is_over {
                let doing = format!("`{}` {doing}", member.name);
                RequestError::TimedOut { topic, deadline: self.given, doing }
            } else {
                RequestError::Cancelled { topic }
            });
        }
    }
}

#[cfg(test)]
mod tests;
