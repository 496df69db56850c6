//! Topics as they were seen: where each leads to, and how much went there.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::envelope::now;
use super::route::Route;
use super::subject::check_topic;
use super::{Pattern, SubjectError, Subscriber, WhenFull};

/// The first word of topics that the kernel tells of itself by: nobody else may speak for it.
const RESERVED: &str = "hotbay";

/// Topics that are remembered. Names may hold numbers without end: when there are more, the half that was used last stays.
const KNOWN: usize = 4096;

/// A topic that was published to.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    /// What the kernel alone publishes to.
    pub(super) is_kernels: bool,
    // Of a topic that may have been forgotten before: when it came, microseconds since 1970.
    since_unix_us: Option<u64>,
    published: AtomicU64,
    last_unix_us: AtomicU64,
    is_forgotten: AtomicBool,
    // With the version of the subscriptions that it was found for.
    route: RwLock<(u64, Arc<Route>)>,
}

impl Topic {
    /// Whether it is remembered no more: it is to be looked for anew, and what is noted here is seen by nobody.
    pub(super) fn is_forgotten(&self) -> bool {
        self.is_forgotten.load(Ordering::Relaxed)
    }

    /// A message goes there.
    pub(super) fn note(&self, unix_us: u64) {
        self.published.fetch_add(1, Ordering::Relaxed);
        self.last_unix_us.store(unix_us, Ordering::Relaxed);
    }

    /// Where it leads to at this version; `find` is asked where that is not known, and tells of which version its answer is.
    pub(super) fn route(&self, version: u64, find: impl FnOnce() -> (u64, Route)) -> Arc<Route> {
        {
            let (of, route) = &*self.route.read().unwrap_or_else(PoisonError::into_inner);
            if *of == version {
                return Arc::clone(route);
            }
        }
        let (of, route) = find();
        let route = Arc::new(route);
        let mut known = self.route.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have found a newer one.
        if known.0 < of {
            *known = (of, Arc::clone(&route));
        }
        route
    }
}

/// All that are remembered.
#[derive(Debug, Default)]
pub(super) struct Topics {
    known: RwLock<Known>,
}

#[derive(Debug, Default)]
struct Known {
    topics: HashMap<Arc<str>, Arc<Topic>>,
    // Whether some were forgotten: one that comes now may have been among them, and is counted anew.
    has_forgotten: bool,
}

impl Topics {
    /// The topic of a name, which is looked at when it is new.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Topic>, SubjectError> {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).topics.get(name) {
            return Ok(Arc::clone(known));
        }
        check_topic(name)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let Known { topics, has_forgotten } = &mut *known;
        if topics.len() >= KNOWN && !topics.contains_key(name) {
            let mut last: Vec<u64> =
                topics.values().map(|topic| topic.last_unix_us.load(Ordering::Relaxed)).collect();
            last.sort_unstable();
            let middle = last[KNOWN / 2];
            topics.retain(|_, topic| {
                let stays = topic.last_unix_us.load(Ordering::Relaxed) > middle;
                topic.is_forgotten.store(!stays, Ordering::Relaxed);
                stays
            });
            *has_forgotten = true;
        }
        let name: Arc<str> = name.into();
        let topic = Topic {
            name: Arc::clone(&name),
            is_kernels: name.split('.').next() == Some(RESERVED),
            since_unix_us: has_forgotten.then(now),
            published: AtomicU64::new(0),
            last_unix_us: AtomicU64::new(0),
            is_forgotten: AtomicBool::new(false),
            route: RwLock::default(),
        };
        Ok(Arc::clone(topics.entry(name).or_insert_with(|| Arc::new(topic))))
    }

    pub(super) fn view(&self, subscribers: &[Arc<Subscriber>]) -> Vec<TopicView> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let seen = known.topics.values().map(|topic| TopicView {
            subject: topic.name.to_string(),
            published: topic.published.load(Ordering::Relaxed),
            since_unix_ms: topic.since_unix_us.map(|us| us / 1000),
            last_unix_ms: Some(topic.last_unix_us.load(Ordering::Relaxed) / 1000),
            mailboxes: Vec::new(),
        });
        let mut views: Vec<TopicView> = seen.filter(|view| view.published > 0).collect();
        // A pattern is shown beside the topics that it takes, also where nothing was published yet.
        for pattern in subscribers.iter().flat_map(|subscriber| subscriber.all()) {
            if !views.iter().any(|view| view.subject == pattern.as_str()) {
                let subject = pattern.to_string();
                views.push(TopicView {
                    subject,
                    published: 0,
                    since_unix_ms: None,
                    last_unix_ms: None,
                    mailboxes: Vec::new(),
                });
            }
        }
        for view in &mut views {
            let takes = |subscriber: &&Arc<Subscriber>| {
                subscriber.all().any(|own| own.as_str() == view.subject || own.takes(&view.subject))
            };
            let mailed = |subscriber: &Arc<Subscriber>| {
                let mut mailed = subscriber.mailed();
                let is_own = |own: &Pattern| own.as_str() == view.subject || own.takes(&view.subject);
                mailed.answers = subscriber.answers.iter().any(is_own);
                mailed
            };
            view.mailboxes = subscribers.iter().filter(takes).map(mailed).collect();
        }
        views.sort_by(|a, b| {
            (Reverse(a.published > 0), &a.subject).cmp(&(Reverse(b.published > 0), &b.subject))
        });
        views
    }
}

/// A line of `hotbay topics`: a topic that was published to, or a pattern that somebody subscribed to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct TopicView {
    /// The topic, or the pattern.
    pub subject: String,
    /// Messages that were published to it, in this run of the host.
    pub published: u64,
    /// Since when they are counted, milliseconds since 1970, where that is not since the host began: of thousands of topics those that were
    /// used least are forgotten.
    #[serde(default)]
    pub since_unix_ms: Option<u64>,
    /// When the last one was, milliseconds since 1970.
    pub last_unix_ms: Option<u64>,
    /// The mailboxes that it leads to.
    pub mailboxes: Vec<Mailed>,
}

/// A mailbox as it is: all that its subscription gets, also by other topics.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Mailed {
    /// Whose it is: a service, or what who subscribed calls itself.
    pub name: String,
    /// The queue group that it is in.
    pub queue: Option<String>,
    /// Whether it answers requests of the topic, or of all that the pattern takes.
    #[serde(default)]
    pub answers: bool,
    /// Messages that wait.
    pub depth: usize,
    /// Messages that may wait.
    pub capacity: usize,
    /// Bytes of those that wait.
    #[serde(default)]
    pub bytes: usize,
    /// Bytes that may wait.
    #[serde(default)]
    pub max_bytes: usize,
    /// What it does when it is full.
    pub when_full: WhenFull,
    /// Messages that it took.
    pub accepted: u64,
    /// Of these, such as it dropped.
    pub dropped: u64,
    /// Messages that it did not take.
    pub refused: u64,
}

impl Mailed {
    /// The same with another one of its name.
    pub(super) fn add(&mut self, other: &Self) {
        self.answers |= other.answers;
        self.depth += other.depth;
        self.capacity += other.capacity;
        self.bytes += other.bytes;
        self.max_bytes += other.max_bytes;
        self.accepted += other.accepted;
        self.dropped += other.dropped;
        self.refused += other.refused;
    }
}
