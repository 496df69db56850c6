//! A delivery: a job of a lane that brings some messages to the generation that the lane belongs to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Status;

use super::Inbox;
use crate::bus::{Answer, Message, Question, delivering, within};
use crate::kernel::generation::Generation;
use crate::kernel::lane::{Job, Life};
use crate::kernel::slot::Slot;

/// Messages that are brought before requests that wait get their turn, and how long that may take.
const TURN: usize = 64;
const LONG: Duration = Duration::from_millis(5);

/// Why a delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ended {
    /// Others are to have their turn; there may be more.
    Turn,
    /// There is nothing more to bring.
    Empty,
    /// The generation does not serve right now.
    Gate,
}

pub(super) struct Delivery {
    life: Life,
    inbox: Arc<Inbox>,
    slot: Arc<Slot>,
    load: u64,
    number: u64,
    ended: AtomicU8,
}

impl Delivery {
    pub(super) fn new(inbox: Arc<Inbox>, slot: Arc<Slot>, load: u64, number: u64) -> Arc<Self> {
        let ended = AtomicU8::new(Ended::Turn as u8);
        Arc::new(Self { life: Life::default(), inbox, slot, load, number, ended })
    }

    /// Brings one message, if the generation serves and there is one.
    fn step(&self) -> Option<Ended> {
        let mut ended = Some(Ended::Gate);
        let _ = self.slot.enter_unasked(|generation| {
            if generation.load != self.load {
                return;
            }
            ended = match self.inbox.next(self.number, &generation.handled) {
                Some(message) => {
                    bring(generation, &message);
                    None
                }
                None => Some(Ended::Empty),
            };
        });
        ended
    }
}

fn bring(generation: &Generation, message: &Message) {
    if let Some(question) = message.question() {
        return answer(generation, message, question);
    }
    let answer = delivering(message, || generation.plugin.deliver(message));
    let failed = end(generation, &answer);
    // One that fails each time must not flood the log.
    if let Err((_, error)) = answer
        && failed.is_power_of_two()
    {
        let (plugin, generation, topic) = (&generation.name, generation.number, message.topic());
        tracing::warn!(%plugin, generation, topic, error, failed, "a message was not handled");
    }
}

/// A message was handled: it is counted, and the loop is told of one that failed. How many did so far.
fn end(generation: &Generation, answer: &crate::ffi::Answer) -> u64 {
    let failed = generation.handled.end(answer.is_err());
    if let Err((status, _)) = answer {
        generation.alarm.fault(*status == Status::PANICKED);
    }
    failed
}

/// A request: who asked hears what comes of it.
fn answer(generation: &Generation, message: &Message, question: &Question) {
    let mut reply = Vec::new();
    let answered =
        within(question.limit(), || delivering(message, || generation.plugin.answer(message, &mut reply)));
    // Counted before it is told: who asked may look then.
    end(generation, &answered);
    question.answer(match answered {
        Ok(()) => Answer::Reply(reply),
        Err((Status::PANICKED, text)) => Answer::Panicked(text),
        Err((_, text)) => Answer::Failed(text),
    });
}

// Not what it belongs to, which names it.
impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("load", &self.load)
            .field("number", &self.number)
            .finish_non_exhaustive()
    }
}

impl Job for Delivery {
    fn life(&self) -> &Life {
        &self.life
    }

    fn work(&self) {
        let begun = Instant::now();
        let step = |number| match self.step() {
            None if number + 1 < TURN && begun.elapsed() < LONG => None,
            ended => Some(ended.unwrap_or(Ended::Turn)),
        };
        let ended = (0..TURN).find_map(step).unwrap_or(Ended::Turn);
        self.ended.store(ended as u8, Ordering::Release);
    }

    fn deliver(&self) {
        if self.life.end() {
            let is = |ended: &Ended| *ended as u8 == self.ended.load(Ordering::Acquire);
            let ended = [Ended::Empty, Ended::Gate].into_iter().find(is);
            self.inbox.end(self.number, ended.unwrap_or(Ended::Turn));
        }
    }
}
