//! The bus: envelopes between names. It knows bytes, topics and mailboxes, and not who stands behind a name.
//!
//! Whoever publishes puts one envelope into the mailbox of each subscription whose pattern takes the topic, and of one member of
//! each queue group; the envelope is shared, not copied. What a full mailbox does is its own: it makes the sender wait, refuses,
//! or drops its oldest. Nothing of a receiver runs on the sender's thread.
//!
//! A request is a message with a question in its envelope: one of those who answer its topic gets it, and the answer goes back to the
//! thread that waits, whoever took whose place meanwhile.
//!
//! A stream is two ways of items between two ends, with a window each; it is opened by name, so that no topic leads to it.
//!
//! Which mailboxes a topic leads to is found in an index of words once, and remembered by topic until somebody subscribes or
//! leaves. Order: what one thread publishes to a mailbox is in it in that order.

mod cause;
mod deadline;
mod envelope;
mod index;
mod lately;
mod mailbox;
mod publish;
mod question;
mod request;
mod route;
mod stream;
mod subject;
mod subscription;
mod topics;
mod trace;
mod transport;
mod view;

pub use deadline::{Cancel, CancelOnDrop};
pub use envelope::{Headers, Message, MessageId};
pub use mailbox::WhenFull;
pub use publish::{NotTaken, Outgoing, PublishError, Published};
pub use request::RequestError;
pub use subject::{Pattern, SubjectError};
pub use subscription::{Receive, Subscribe, SubscribeError, Subscription};
pub use topics::{Mailed, TopicView};
pub use trace::Trace;
pub use transport::Transport;
pub use view::MessageView;

pub(crate) use cause::delivering;
pub(crate) use deadline::{Along, Limit, end_of, is_cancelled, limit, pause, remaining, step, within};
pub(crate) use mailbox::Wake;
pub(crate) use publish::Manner;
pub(crate) use question::{Answer, Question};
pub(crate) use stream::{End, Handler, LONGEST_ITEM, Opener, Stuck};
pub(crate) use subscription::{BYTES, ROOM, Subscriber};
pub(crate) use trace::within_trace;

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use index::Index;
use topics::Topics;

/// Touches what a thread keeps of messages and requests, which it need not do later.
pub(crate) fn settle() {
    deadline::settle();
    cause::settle();
    lately::settle();
    trace::settle();
}

/// As whom the kernel tells of itself and of its services. No service can be called so.
pub(crate) const KERNEL: &str = "hotbay:kernel";

/// How long a sender waits for room by default, where nobody says how long: long for a receiver that works, short for a caller
/// behind one that does not. See [`WhenFull::Block`].
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);

/// One per host.
pub(crate) struct Bus {
    // What the ids of this run begin with.
    run: u64,
    numbers: AtomicU64,
    // Raised when somebody subscribes or leaves: what was found before is looked for again.
    version: AtomicU64,
    closed: AtomicBool,
    inside: Mutex<Inside>,
    topics: Topics,
    transports: RwLock<Vec<Arc<dyn Transport>>>,
    // Whether there is one: most have none.
    is_attached: AtomicBool,
}

#[derive(Default)]
struct Inside {
    index: Index<Arc<Subscriber>>,
    answering: Index<Arc<Subscriber>>,
    subscribers: Vec<Arc<Subscriber>>,
    count: u64,
    closed: bool,
}

impl Default for Bus {
    fn default() -> Self {
        Self {
            run: RandomState::new().build_hasher().finish(),
            numbers: AtomicU64::new(0),
            version: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            inside: Mutex::default(),
            topics: Topics::default(),
            transports: RwLock::default(),
            is_attached: AtomicBool::new(false),
        }
    }
}

impl Bus {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_id(&self) -> MessageId {
        MessageId { run: self.run, number: self.numbers.fetch_add(1, Ordering::Relaxed) + 1 }
    }

    /// Adds a subscription. Its patterns are one: a message that several of them take comes once.
    pub(crate) fn add(&self, subscribe: Subscribe, wake: Option<Arc<dyn Wake>>) -> Arc<Subscriber> {
        let mut inside = self.inside();
        inside.count += 1;
        let subscriber = Arc::new(Subscriber::new(inside.count, subscribe, wake));
        if inside.closed {
            subscriber.mailbox.close();
            return subscriber;
        }
        inside.enter(&subscriber);
        self.version.fetch_add(1, Ordering::Release);
        subscriber
    }

    /// Has a subscription go on by other patterns, or in another group: at no moment is it gone.
    pub(crate) fn change(
        &self,
        before: &Subscriber,
        patterns: Vec<Pattern>,
        answers: Vec<Pattern>,
        queue: Option<&str>,
    ) -> Arc<Subscriber> {
        let after = Arc::new(before.with(patterns, answers, queue));
        let mut inside = self.inside();
        if inside.closed {
            return after;
        }
        inside.leave(before);
        inside.enter(&after);
        self.version.fetch_add(1, Ordering::Release);
        after
    }

    /// Takes a subscription out, and closes its mailbox. What is in it is dropped: topics may remember the mailbox for long.
    pub(crate) fn remove(&self, subscriber: &Subscriber) {
        let mut inside = self.inside();
        inside.leave(subscriber);
        self.version.fetch_add(1, Ordering::Release);
        drop(inside);
        subscriber.mailbox.close();
        subscriber.mailbox.rest();
    }

    /// Ends all subscriptions: who receives gets what is there, and then the end.
    pub(crate) fn close(&self) {
        let mut inside = self.inside();
        inside.closed = true;
        self.closed.store(true, Ordering::Release);
        inside.subscribers.iter().for_each(|subscriber| subscriber.mailbox.close());
        let Inside { index, answering, subscribers, .. } = &mut *inside;
        (*index, *answering, *subscribers) = (Index::default(), Index::default(), Vec::new());
        self.version.fetch_add(1, Ordering::Release);
    }

    /// Whether anybody is subscribed to a topic.
    pub(crate) fn is_heard(&self, topic: &str) -> bool {
        !self.inside().index.find(topic).is_empty()
    }

    /// Whether it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Adds a way to other buses.
    #[allow(dead_code, reason = "the seam for what carries messages between hosts")]
    pub(crate) fn attach(&self, transport: Arc<dyn Transport>) {
        self.transports.write().unwrap_or_else(PoisonError::into_inner).push(transport);
        self.is_attached.store(true, Ordering::Release);
    }

    /// All mailboxes, by name; those of one name and queue group as one.
    pub(crate) fn mailboxes(&self) -> Vec<Mailed> {
        let subscribers = self.inside().subscribers.clone();
        let mut all: std::collections::BTreeMap<_, Mailed> = std::collections::BTreeMap::new();
        for one in subscribers.iter().map(|subscriber| subscriber.mailed()) {
            match all.entry((one.name.clone(), one.queue.clone())) {
                std::collections::btree_map::Entry::Occupied(mut known) => known.get_mut().add(&one),
                std::collections::btree_map::Entry::Vacant(place) => drop(place.insert(one)),
            }
        }
        all.into_values().collect()
    }

    /// Topics that were published to, and patterns that somebody subscribed to, with the mailboxes behind them.
    pub(crate) fn view(&self) -> Vec<TopicView> {
        let subscribers = self.inside().subscribers.clone();
        self.topics.view(&subscribers)
    }
}

impl Inside {
    fn enter(&mut self, subscriber: &Arc<Subscriber>) {
        for pattern in &subscriber.patterns {
            self.index.insert(pattern, subscriber.id, Arc::clone(subscriber));
        }
        for pattern in &subscriber.answers {
            self.answering.insert(pattern, subscriber.id, Arc::clone(subscriber));
        }
        self.subscribers.push(Arc::clone(subscriber));
    }

    fn leave(&mut self, subscriber: &Subscriber) {
        for pattern in &subscriber.patterns {
            self.index.remove(pattern, subscriber.id);
        }
        for pattern in &subscriber.answers {
            self.answering.remove(pattern, subscriber.id);
        }
        self.subscribers.retain(|other| other.id != subscriber.id);
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus").field("subscribers", &self.inside().subscribers).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
