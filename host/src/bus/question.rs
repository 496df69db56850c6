//! A question: what makes a message a request. Somebody waits for its answer, which is taken once.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Instant;

use super::Message;
use super::deadline::{Along, Cancel, Limit};

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Vec<u8>),
    /// Who was asked says no.
    Failed(String),
    /// It panicked.
    Panicked(String),
    /// It let go of the request without an answer.
    Dropped,
}

#[derive(Debug)]
pub(crate) struct Question {
    until: Option<Instant>,
    cancel: Cancel,
    along: Option<Along>,
    asker: Thread,
    stage: AtomicU8,
    answer: Mutex<Option<Answer>>,
}

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const ANSWERED: u8 = 2;
const GIVEN_UP: u8 = 3;

/// What somebody who does not wait any longer leaves behind.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// It waits in a mailbox, and will never begin.
    Waiting,
    /// Somebody is at it.
    Begun,
    /// It was answered at the last moment.
    Answered,
}

impl Question {
    /// Of this thread, which waits until then, with what goes along.
    pub(super) fn new(until: Option<Instant>, along: Option<Along>) -> Arc<Self> {
        Arc::new(Self {
            until,
            cancel: Cancel::new(),
            along,
            asker: thread::current(),
            stage: AtomicU8::new(WAITING),
            answer: Mutex::default(),
        })
    }

    /// Somebody is at it, unless nobody waits any longer.
    pub(crate) fn begin(&self) -> bool {
        self.goes(WAITING, BEGUN)
    }

    /// What who answers it may know.
    pub(crate) fn limit(&self) -> Limit {
        Limit { until: self.until, cancel: Some(self.cancel.clone()), along: self.along.clone() }
    }

    /// Answers it; false when it was answered before, or nobody waits any longer.
    pub(crate) fn answer(&self, answer: Answer) -> bool {
        // The answer is there before the stage says so; who looks at the stage first finds it.
        let mut place = self.answer.lock().unwrap_or_else(PoisonError::into_inner);
        if !(self.goes(BEGUN, ANSWERED) || self.goes(WAITING, ANSWERED)) {
            return false;
        }
        *place = Some(answer);
        drop(place);
        self.asker.unpark();
        true
    }

    pub(super) fn taken(&self) -> Option<Answer> {
        if self.stage.load(Ordering::Acquire) != ANSWERED {
            return None;
        }
        self.answer.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    pub(super) fn has_begun(&self) -> bool {
        self.stage.load(Ordering::Acquire) != WAITING
    }

    pub(super) fn give_up(&self) -> Left {
        if self.goes(WAITING, GIVEN_UP) {
            Left::Waiting
        } else if self.goes(BEGUN, GIVEN_UP) {
            self.cancel.cancel();
            Left::Begun
        } else {
            Left::Answered
        }
    }

    fn goes(&self, from: u8, to: u8) -> bool {
        self.stage.compare_exchange(from, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

/// A question in its envelope. Who lets go of that without an answer has answered so.
#[derive(Debug)]
pub(super) struct Asked(pub(super) Arc<Question>);

impl Drop for Asked {
    fn drop(&mut self) {
        self.0.answer(Answer::Dropped);
    }
}

/// What an embedding program does with a request that it received.
impl Message {
    /// Whether somebody waits for an answer, or did when it was received.
    #[must_use]
    pub fn is_request(&self) -> bool {
        self.question().is_some()
    }

    /// Answers a request. Whether somebody gets it: it is the first answer, and who asked still waits.
    pub fn reply(&self, reply: &[u8]) -> bool {
        self.question().is_some_and(|question| question.answer(Answer::Reply(reply.to_vec())))
    }

    /// Answers a request with an error; `words` are shown as they are.
    pub fn fail(&self, words: &str) -> bool {
        self.question().is_some_and(|question| question.answer(Answer::Failed(words.to_owned())))
    }

    /// Whether who asked has given up.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.question().is_some_and(|question| {
            question.cancel.is_cancelled() || question.until.is_some_and(|until| Instant::now() >= until)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_once_and_not_when_nobody_waits_any_longer() {
        let question = Question::new(None, None);
        assert!(question.begin() && !question.begin());
        assert!(question.answer(Answer::Reply(b"7".to_vec())) && !question.answer(Answer::Dropped));
        assert_eq!(question.give_up(), Left::Answered);
        assert!(matches!(question.taken(), Some(Answer::Reply(reply)) if reply == b"7"));

        let waits = Question::new(None, None);
        assert_eq!(waits.give_up(), Left::Waiting);
        assert!(!waits.begin() && !waits.answer(Answer::Dropped) && waits.taken().is_none());

        let runs = Question::new(None, None);
        assert!(runs.begin());
        assert_eq!(runs.give_up(), Left::Begun);
        assert!(runs.limit().cancel.unwrap().is_cancelled() && !runs.answer(Answer::Dropped));
    }
}
