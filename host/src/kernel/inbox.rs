//! The inbox: what waits for one service, and whose turn it is to bring it there.
//!
//! Messages are brought on the lane of the generation that serves, one at a time and in their order, by one delivery after the
//! other: each goes in like a call, per message, so that a swap waits for one message and not for all. What nobody was brought yet
//! stays, and the next generation is brought it.

mod delivery;
mod window;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use delivery::{Delivery, Ended};
pub(crate) use window::MessageWindow;

use super::alarm::Alarm;
use super::generation::Generation;
use super::lane::{GivenUp, Job, Lane};
use super::slot::Slot;
use crate::bus::{Message, Subscriber, Wake};

/// Messages that leave the mailbox at once. So many more than its capacity may be in memory, but where its senders wait for room.
const BATCH: usize = 64;

/// Messages of a batch that make room together, and how long one may take until each makes room by itself: a sender waits for a
/// second, and a batch may take longer.
const TOGETHER: usize = 8;
const SLOW: Duration = Duration::from_millis(1);

/// Messages that a generation was brought.
#[derive(Debug, Default)]
pub(crate) struct Handled {
    begun: AtomicU64,
    done: AtomicU64,
    failed: AtomicU64,
}

/// The same at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HandledCounts {
    /// Messages that it was given.
    pub(crate) begun: u64,
    /// Messages that it gave an answer to, an error included.
    pub(crate) done: u64,
    /// Of these, with an error.
    pub(crate) failed: u64,
}

impl Handled {
    pub(crate) fn counts(&self) -> HandledCounts {
        // In the reverse order of counting: never more answers than messages.
        let failed = self.failed.load(Ordering::Acquire);
        let done = self.done.load(Ordering::Acquire);
        HandledCounts { begun: self.begun.load(Ordering::Acquire), done, failed }
    }

    fn end(&self, failed: bool) -> u64 {
        self.done.fetch_add(1, Ordering::Release);
        if failed { self.failed.fetch_add(1, Ordering::Release) + 1 } else { 0 }
    }
}

/// What went through an inbox, counted apart from what the generations say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct InboxCounts {
    /// Messages that the mailbox took.
    pub(crate) accepted: u64,
    /// Of these, such as were dropped.
    pub(crate) dropped: u64,
    /// Of these, such as were taken out since nobody waited for an answer any longer.
    pub(crate) withdrawn: u64,
    /// Of these, such as were given to a generation.
    pub(crate) given: u64,
    /// Of these, such as wait.
    pub(crate) waiting: u64,
}

/// Of one service.
#[derive(Debug)]
pub(crate) struct Inbox {
    slot: Arc<Slot>,
    turn: Mutex<Turn>,
    // Taken after `turn`, never before.
    hand: Mutex<Hand>,
}

/// Who brings messages.
#[derive(Debug, Default)]
struct Turn {
    subscriber: Option<Arc<Subscriber>>,
    // The generation that serves.
    serving: Option<Serving>,
    running: Option<Running>,
    // Somebody had a reason to look once more while a delivery was on its way.
    again: bool,
    count: u64,
}

/// What a delivery needs of the generation that it brings messages to.
#[derive(Debug, Clone)]
struct Serving {
    load: u64,
    lane: Arc<Lane>,
    alarm: Arc<Alarm>,
}

#[derive(Debug)]
struct Running {
    number: u64,
    job: Arc<Delivery>,
    to: Serving,
}

/// What was taken out of the mailbox, and is brought next.
#[derive(Debug, Default)]
struct Hand {
    batch: VecDeque<Message>,
    // Where that came from.
    from: Option<Arc<Subscriber>>,
    given: u64,
    // Dropped from here, and taken out of here.
    dropped: u64,
    withdrawn: u64,
    // The delivery that may take from here.
    number: u64,
    // Since when it is with one message.
    since: Option<Instant>,
}

/// What was next.
enum Taken {
    Message(Message),
    /// A request whose asker has given up.
    ForNobody,
}

/// Wakes an inbox as long as there is one.
pub(super) struct Bell(pub(super) Weak<Inbox>);

impl Wake for Bell {
    fn wake(&self) {
        if let Some(inbox) = self.0.upgrade() {
            inbox.look();
        }
    }
}

impl Hand {
    fn counts(&self, subscriber: Option<&Subscriber>) -> InboxCounts {
        let mailbox = subscriber.map(|subscriber| subscriber.mailbox.counts()).unwrap_or_default();
        InboxCounts {
            accepted: mailbox.accepted,
            dropped: mailbox.dropped + self.dropped,
            withdrawn: mailbox.withdrawn + self.withdrawn,
            given: self.given,
            waiting: (mailbox.depth + self.batch.len()) as u64,
        }
    }
}

impl Inbox {
    pub(super) fn new(slot: Arc<Slot>) -> Arc<Self> {
        Arc::new(Self { slot, turn: Mutex::default(), hand: Mutex::default() })
    }

    /// Its subscription, or another one in its place with the same mailbox.
    pub(super) fn subscribed(&self, change: impl FnOnce(Option<Arc<Subscriber>>) -> Arc<Subscriber>) {
        let before = self.turn().subscriber.clone();
        // Not under the lock: the bus may wake this inbox.
        let subscriber = change(before);
        self.turn().subscriber = Some(subscriber);
    }

    /// This generation serves from here on, and gets what waits. How many messages those are.
    pub(super) fn serve(self: &Arc<Self>, generation: &Generation) -> u64 {
        let mut turn = self.turn();
        let Generation { load, lane, alarm, .. } = generation;
        turn.serving = Some(Serving { load: *load, lane: Arc::clone(lane), alarm: Arc::clone(alarm) });
        let Some(subscriber) = turn.subscriber.clone() else { return 0 };
        subscriber.mailbox.resume();
        // One that waits on another generation's lane may wait for ever: all of its threads may hang.
        if turn
            .running
            .as_ref()
            .is_some_and(|running| running.to.load != generation.load && running.job.life().give_up_waiting())
        {
            turn.running = None;
        }
        let waiting = self.hand().batch.len() + subscriber.mailbox.counts().depth;
        self.look_in(turn);
        waiting as u64
    }

    /// Nobody serves any more. What waits is dropped, and so is what comes, unless it is to be kept.
    pub(super) fn rest(&self, keeps: bool) {
        let mut turn = self.turn();
        turn.serving = None;
        let subscriber = turn.subscriber.clone();
        drop(turn);
        if keeps {
            return;
        }
        let dropped = {
            let mut hand = self.hand();
            hand.dropped += hand.batch.len() as u64;
            std::mem::take(&mut hand.batch)
        };
        drop(dropped);
        if let Some(subscriber) = subscriber {
            subscriber.mailbox.rest();
        }
    }

    /// Its subscription is given up, by `remove`, and what waits is dropped. What went through it.
    pub(super) fn leave(&self, remove: impl FnOnce(&Subscriber)) -> InboxCounts {
        let mut turn = self.turn();
        turn.serving = None;
        let subscriber = turn.subscriber.take();
        drop(turn);
        // Not under the lock: the bus has its own.
        if let Some(subscriber) = &subscriber {
            remove(subscriber);
        }
        let mut hand = self.hand();
        // No delivery has this number: none takes anything any more.
        hand.number = 0;
        hand.dropped += hand.batch.len() as u64;
        let dropped = std::mem::take(&mut hand.batch);
        let counts = hand.counts(subscriber.as_deref());
        drop(hand);
        drop(dropped);
        counts
    }

    /// There may be something to bring.
    fn look(self: &Arc<Self>) {
        self.look_in(self.turn());
    }

    fn look_in(self: &Arc<Self>, mut turn: MutexGuard<'_, Turn>) {
        if turn.running.is_some() {
            turn.again = true;
        } else {
            self.post(&mut turn);
        }
    }

    /// Begins a delivery on the lane of who serves.
    fn post(self: &Arc<Self>, turn: &mut Turn) {
        turn.again = false;
        let Some(to) = turn.serving.clone() else { return };
        turn.count += 1;
        let number = turn.count;
        self.hand().number = number;
        let job = Delivery::new(Arc::clone(self), Arc::clone(&self.slot), to.load, number);
        // A lane that is closed belongs to a generation that is gone: who serves next looks again.
        if to.lane.post(Arc::clone(&job) as Arc<dyn Job>).is_ok() {
            turn.running = Some(Running { number, job, to });
        }
    }

    /// The next message for the delivery of this number, which is counted as given; `None` where there is none, or another delivery
    /// has taken over.
    fn next(&self, number: u64, handled: &Handled) -> Option<Message> {
        loop {
            match self.take(number, handled)? {
                Taken::Message(message) => return Some(message),
                // It may have been the last of its batch, and not of the mailbox.
                Taken::ForNobody => {}
            }
        }
    }

    fn take(&self, number: u64, handled: &Handled) -> Option<Taken> {
        let mut hand = self.hand();
        if hand.number != number {
            return None;
        }
        if hand.batch.is_empty() {
            // Without the hand: `turn` comes before it.
            drop(hand);
            let subscriber = self.turn().subscriber.clone()?;
            hand = self.hand();
            if hand.number != number {
                return None;
            }
            subscriber.mailbox.hand(BATCH, &mut hand.batch);
            hand.from = Some(subscriber);
        }
        let message = hand.batch.pop_front();
        if message.as_ref().and_then(Message::question).is_some_and(|asked| !asked.begin()) {
            // Nobody waits for its answer any longer.
            hand.withdrawn += 1;
            return Some(Taken::ForNobody);
        }
        let was_slow = hand.since.is_some_and(|since| since.elapsed() >= SLOW);
        if let Some(from) = &hand.from
            && message.is_some()
            && (was_slow || hand.batch.len().is_multiple_of(TOGETHER))
        {
            from.mailbox.still_hold(hand.batch.len());
        }
        hand.since = message.as_ref().map(|_| Instant::now());
        if message.is_some() {
            hand.given += 1;
            handled.begun.fetch_add(1, Ordering::Release);
        }
        message.map(Taken::Message)
    }

    /// A delivery has ended, and was not given up.
    fn end(self: &Arc<Self>, number: u64, ended: Ended) {
        let mut turn = self.turn();
        if turn.running.as_ref().is_none_or(|running| running.number != number) {
            return;
        }
        turn.running = None;
        self.hand().since = None;
        if turn.again || ended == Ended::Turn {
            self.post(&mut turn);
        }
    }

    /// Goes on without a delivery that is with one message for longer than this: its thread is left behind, and a fresh one takes
    /// its place, as long as there is one to have. Whether there was such a delivery.
    pub(super) fn go_on_without(self: &Arc<Self>, deadline: Duration) -> bool {
        let mut turn = self.turn();
        let Some(running) = &turn.running else { return false };
        if self.hand().since.is_none_or(|since| since.elapsed() < deadline) {
            return false;
        }
        let GivenUp::Begun { seat } = running.job.life().give_up() else { return false };
        let job: Arc<dyn Job> = Arc::clone(&running.job) as _;
        let is_last = !running.to.lane.take_over(seat);
        running.to.alarm.hang(&job, is_last);
        turn.running = None;
        self.hand().since = None;
        self.post(&mut turn);
        true
    }

    /// What went through it, and what `read` says of the generations at that very moment.
    pub(super) fn counts<R>(&self, read: impl FnOnce() -> R) -> (InboxCounts, R) {
        let subscriber = self.turn().subscriber.clone();
        let hand = self.hand();
        (hand.counts(subscriber.as_deref()), read())
    }

    /// How many deliveries were begun.
    #[cfg(test)]
    pub(super) fn begun(&self) -> u64 {
        self.turn().count
    }

    fn turn(&self) -> MutexGuard<'_, Turn> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hand(&self) -> MutexGuard<'_, Hand> {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
