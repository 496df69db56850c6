//! A mailbox: what waits for one subscription. Bounded; what happens when it is full is its own.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::deadline::{self, Cancel};
use super::envelope::Envelope;
use super::{Message, PATIENCE};

/// What a full mailbox does with one message more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// The sender waits for room: a second at most, or as long as it said. Who waited in vain is told. After a second in vain nobody
    /// waits again until something was taken, but who said how long.
    #[default]
    Block,
    /// It is not taken, and the sender is told.
    Reject,
    /// The oldest message that waits is dropped.
    DropOldest,
}

/// So often whoever waits looks once more, after others had their turn, before it sleeps: who publishes one message mostly publishes the next one, and
/// to be woken for each costs both more than to look.
const LOOKS: u32 = 2;

/// Whoever is to come when a mailbox is not empty any more. Called on the sender's thread, without a lock of the mailbox.
pub(crate) trait Wake: Send + Sync {
    fn wake(&self);
}

/// What became of a message at a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Took {
    Taken,
    /// It is full; whoever was to wait has waited.
    Full,
    /// Nobody takes messages here now.
    Resting,
    /// The subscription has ended.
    Closed,
}

/// What a mailbox counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Messages that were put in.
    pub(crate) accepted: u64,
    /// Of these, such as were dropped to make room, or because the mailbox was emptied.
    pub(crate) dropped: u64,
    /// Messages that were not put in.
    pub(crate) refused: u64,
    /// Of those that were put in, such as were taken out since nobody waited for an answer any longer.
    pub(crate) withdrawn: u64,
    /// Messages that wait.
    pub(crate) depth: usize,
    /// Bytes of these.
    pub(crate) bytes: usize,
}

/// How much may wait: so many messages, and so many bytes. One that is larger than that is taken where none waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Room {
    pub(super) messages: usize,
    pub(super) bytes: usize,
}

pub(crate) struct Mailbox {
    wake: Option<Arc<dyn Wake>>,
    inside: Mutex<Inside>,
    filled: Condvar,
    emptied: Condvar,
}

#[derive(Default)]
struct Inside {
    room: Room,
    when_full: WhenFull,
    queue: VecDeque<Message>,
    bytes: usize,
    accepted: u64,
    dropped: u64,
    refused: u64,
    withdrawn: u64,
    // Receivers that sleep, and senders that do; and those of them who were woken and have not come yet: nobody is woken twice, which would be
    // a call of the system for each message.
    receivers: usize,
    receivers_woken: usize,
    senders: usize,
    senders_woken: usize,
    // Whoever is to be woken found nothing: the next message wakes it.
    asleep: bool,
    // Taken to be brought one by one, and not brought yet: where senders wait for room, these keep theirs.
    handed: usize,
    // A sender waited in vain for as long as one waits, and nothing was taken since.
    stalled: bool,
    resting: bool,
    closed: bool,
}

impl Mailbox {
    pub(super) fn new(room: Room, when_full: WhenFull, wake: Option<Arc<dyn Wake>>) -> Self {
        let inside = Inside { room, when_full, asleep: true, ..Inside::default() };
        Self { wake, inside: Mutex::new(inside), filled: Condvar::new(), emptied: Condvar::new() }
    }

    pub(super) fn rules(&self) -> (Room, WhenFull) {
        let inside = self.lock();
        (inside.room, inside.when_full)
    }

    /// From now on there is so much room, and this is done when there is none. What waits goes on waiting.
    pub(super) fn set(&self, room: Room, when_full: WhenFull) {
        let mut inside = self.lock();
        (inside.room, inside.when_full) = (room, when_full);
        drop(inside);
        // Whoever waits may have room now, or is to wait no longer.
        self.emptied.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in if there is room right now, whatever is done when there is none. Not counted as refused.
    pub(super) fn offer(&self, message: &Message) -> Took {
        let inside = self.lock();
        match inside.refuses() {
            Some(took) => took,
            None if inside.is_full(message) => Took::Full,
            None => self.put(inside, message.clone()),
        }
    }

    /// Puts a message in, or does what is done when there is no room. `until` is asked for once somebody has to wait. One that is to
    /// be `confirmed` waits for as long as its sender said, whoever else waited in vain. Nobody waits for whom this thread works no more.
    pub(super) fn push(
        &self,
        message: Message,
        confirmed: bool,
        until: impl FnOnce() -> Option<Instant>,
    ) -> Took {
        let mut inside = self.lock();
        let mut until = Some(until);
        let mut waits = None;
        loop {
            if let Some(took) = inside.refuses() {
                inside.refused += u64::from(took != Took::Closed);
                return took;
            }
            if !inside.is_full(&message) {
                return self.put(inside, message);
            }
            match inside.when_full {
                WhenFull::DropOldest => {
                    inside.pop();
                    inside.dropped += 1;
                    continue;
                }
                WhenFull::Reject => {}
                WhenFull::Block if inside.stalled && !confirmed => {}
                WhenFull::Block => {
                    let (since, until, cancel) = waits.get_or_insert_with(|| {
                        (Instant::now(), until.take().and_then(|until| until()), deadline::limit().cancel)
                    });
                    let left = until.map(|until| until.saturating_duration_since(Instant::now()));
                    let is_cancelled = cancel.as_ref().is_some_and(Cancel::is_cancelled);
                    if left.is_none_or(|left| !left.is_zero()) && !is_cancelled {
                        inside.senders += 1;
                        inside = match deadline::step(left, cancel.as_ref()) {
                            None => self.emptied.wait(inside).unwrap_or_else(PoisonError::into_inner),
                            Some(left) => {
                                self.emptied
                                    .wait_timeout(inside, left)
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .0
                            }
                        };
                        inside.senders -= 1;
                        inside.senders_woken = inside.senders_woken.saturating_sub(1);
                        continue;
                    }
                    // Who waited for a shorter time says nothing of who would wait longer.
                    inside.stalled |= !confirmed && since.elapsed() >= PATIENCE;
                }
            }
            inside.refused += 1;
            return Took::Full;
        }
    }

    fn put(&self, mut inside: MutexGuard<'_, Inside>, message: Message) -> Took {
        inside.bytes += message.weight();
        inside.queue.push_back(message);
        inside.accepted += 1;
        let (wakes, sleeps) = (std::mem::take(&mut inside.asleep), inside.receivers > inside.receivers_woken);
        inside.receivers_woken += usize::from(sleeps);
        drop(inside);
        if sleeps {
            self.filled.notify_one();
        }
        if let Some(wake) = self.wake.as_ref().filter(|_| wakes) {
            wake.wake();
        }
        Took::Taken
    }

    /// Takes `most` messages at most, oldest first, and puts them behind those in `into`. Where there are none, whoever is to be
    /// woken is woken by the next one. How many it took.
    #[cfg(test)]
    fn take(&self, most: usize, into: &mut VecDeque<Message>) -> usize {
        let mut inside = self.lock();
        let taken = inside.take(most, into);
        inside.asleep |= taken == 0;
        self.leave(inside, taken);
        taken
    }

    /// The same, for who brings them one by one, and no more bytes than a quarter of the room, but for one message: `into` is empty, its first message is brought at once, and of the others
    /// [`Mailbox::still_hold`] is told.
    pub(crate) fn hand(&self, most: usize, into: &mut VecDeque<Message>) {
        let mut inside = self.lock();
        let bytes = inside.room.bytes / 4;
        let taken = inside.take_some(most, bytes, into);
        inside.asleep |= taken == 0;
        inside.handed = taken.saturating_sub(1);
        self.leave(inside, taken);
    }

    /// So many of those that were handed out are still to be brought: the others make room.
    pub(crate) fn still_hold(&self, handed: usize) {
        let mut inside = self.lock();
        let brought = inside.handed.saturating_sub(handed);
        inside.handed = handed;
        self.leave(inside, brought);
    }

    /// Takes as [`Mailbox::take`] does, and waits for the first one until `until`. `None` where nothing comes any more.
    pub(super) fn wait(
        &self,
        most: usize,
        into: &mut VecDeque<Message>,
        until: Option<Instant>,
    ) -> Option<usize> {
        let mut inside = self.lock();
        let mut looks = 0;
        loop {
            let taken = inside.take(most, into);
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if taken > 0 || left.is_some_and(|left| left.is_zero()) {
                let is_over = taken == 0 && inside.closed;
                self.leave(inside, taken);
                return (!is_over).then_some(taken);
            }
            if inside.closed {
                return None;
            }
            if looks < LOOKS {
                looks += 1;
                drop(inside);
                thread::yield_now();
                inside = self.lock();
                continue;
            }
            inside.receivers += 1;
            inside = match left {
                None => self.filled.wait(inside).unwrap_or_else(PoisonError::into_inner),
                Some(left) => {
                    self.filled.wait_timeout(inside, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
            inside.receivers -= 1;
            inside.receivers_woken = inside.receivers_woken.saturating_sub(1);
        }
    }

    /// Takes a message out that nobody waits for any longer, if it still waits here: it makes room.
    pub(super) fn withdraw(&self, message: &Weak<Envelope>) {
        let mut inside = self.lock();
        let at =
            inside.queue.iter().position(|waiting| std::ptr::eq(Arc::as_ptr(&waiting.0), message.as_ptr()));
        let withdrawn = at.and_then(|at| inside.queue.remove(at));
        inside.bytes -= withdrawn.as_ref().map_or(0, Message::weight);
        inside.withdrawn += u64::from(withdrawn.is_some());
        self.leave(inside, usize::from(withdrawn.is_some()));
        drop(withdrawn);
    }

    fn leave(&self, mut inside: MutexGuard<'_, Inside>, taken: usize) {
        if taken == 0 {
            return;
        }
        inside.stalled = false;
        let waits = inside.senders > inside.senders_woken;
        inside.senders_woken = inside.senders;
        drop(inside);
        if waits {
            self.emptied.notify_all();
        }
    }

    /// Takes no messages until [`Mailbox::resume`], and drops those that wait.
    pub(crate) fn rest(&self) {
        let mut inside = self.lock();
        inside.resting = true;
        (inside.handed, inside.bytes) = (0, 0);
        inside.dropped += inside.queue.len() as u64;
        let dropped = std::mem::take(&mut inside.queue);
        drop(inside);
        self.emptied.notify_all();
        drop(dropped);
    }

    pub(crate) fn resume(&self) {
        self.lock().resting = false;
    }

    /// Takes no messages any more. Those that wait can be taken.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.filled.notify_all();
        self.emptied.notify_all();
    }

    /// Senders that sleep.
    #[cfg(test)]
    pub(super) fn senders(&self) -> usize {
        self.lock().senders
    }

    /// Receivers that sleep.
    #[cfg(test)]
    pub(super) fn receivers(&self) -> usize {
        self.lock().receivers
    }

    pub(crate) fn counts(&self) -> Counts {
        let Inside { queue, bytes, accepted, dropped, refused, withdrawn, .. } = &*self.lock();
        let (accepted, dropped, refused, withdrawn) = (*accepted, *dropped, *refused, *withdrawn);
        Counts { accepted, dropped, refused, withdrawn, depth: queue.len(), bytes: *bytes }
    }
}

impl Inside {
    fn is_full(&self, message: &Message) -> bool {
        let handed = if self.when_full == WhenFull::Block { self.handed } else { 0 };
        self.queue.len() + handed >= self.room.messages.max(1)
            || (!self.queue.is_empty() && self.bytes + message.weight() > self.room.bytes)
    }

    fn refuses(&self) -> Option<Took> {
        match self {
            Self { closed: true, .. } => Some(Took::Closed),
            Self { resting: true, .. } => Some(Took::Resting),
            _ => None,
        }
    }

    fn take(&mut self, most: usize, into: &mut VecDeque<Message>) -> usize {
        let taken = self.queue.len().min(most);
        if taken == self.queue.len() && into.is_empty() && most > 1 {
            // Both keep their memory; what who takes one brings is too small to be the queue's.
            std::mem::swap(&mut self.queue, into);
            self.bytes = 0;
        } else {
            into.extend((0..taken).map_while(|_| self.pop()));
        }
        taken
    }

    /// The same of so many bytes at most, where that is not less than one message.
    fn take_some(&mut self, most: usize, bytes: usize, into: &mut VecDeque<Message>) -> usize {
        if self.bytes <= bytes {
            return self.take(most, into);
        }
        let mut sum = 0;
        let fits = self.queue.iter().take_while(|message| {
            sum += message.weight();
            sum <= bytes
        });
        let count = fits.count().max(1).min(most);
        self.take(count, into)
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.queue.pop_front()?;
        self.bytes -= message.weight();
        Some(message)
    }
}

#[cfg(test)]
mod tests;
