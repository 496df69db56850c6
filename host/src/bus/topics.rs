//! Topics as they were seen: where each leads to, and how much went there.

use std::cmp::Reverse;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::route::Route;
use super::subject::check_topic;
use super::{SubjectError, Subscriber, WhenFull};

/// Topics that are remembered. Names may hold numbers without end: when there are more, the half that was used last stays.
const KNOWN: usize = 4096;

/// A topic that was published to.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    published: AtomicU64,
    last_unix_us: AtomicU64,
    // With the version of the subscriptions that it was found for.
    route: RwLock<(u64, Arc<Route>)>,
}

impl Topic {
    /// A message goes there.
    pub(super) fn note(&self, unix_us: u64) {
        self.published.fetch_add(1, Ordering::Relaxed);
        self.last_unix_us.store(unix_us, Ordering::Relaxed);
    }

    /// Where it leads to at this version; `find` is asked where that is not known, and tells of which version its answer is.
    pub(super) fn route(
        &self,
        version: u64,
        find: impl FnOnce() -> (u64, Vec<Arc<Subscriber>>),
    ) -> Arc<Route> {
        {
            let (of, route) = &*self.route.read().unwrap_or_else(PoisonError::into_inner);
            if *of == version {
                return Arc::clone(route);
            }
        }
        let (of, subscribers) = find();
        let route = Arc::new(Route::new(subscribers));
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
    known: RwLock<HashMap<Arc<str>, Arc<Topic>>>,
}

impl Topics {
    /// The topic of a name, which is looked at when it is new.
    pub(super) fn get(&self, name: &str) -> Result<Arc<Topic>, SubjectError> {
        if let Some(known) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Arc::clone(known));
        }
        check_topic(name)?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= KNOWN {
            let mut last: Vec<u64> =
                known.values().map(|topic| topic.last_unix_us.load(Ordering::Relaxed)).collect();
            last.sort_unstable();
            let middle = last[KNOWN / 2];
            known.retain(|_, topic| topic.last_unix_us.load(Ordering::Relaxed) > middle);
        }
        let name: Arc<str> = name.into();
        let topic = Topic {
            name: Arc::clone(&name),
            published: AtomicU64::new(0),
            last_unix_us: AtomicU64::new(0),
            route: RwLock::default(),
        };
        Ok(Arc::clone(known.entry(name).or_insert_with(|| Arc::new(topic))))
    }

    pub(super) fn view(&self, subscribers: &[Arc<Subscriber>]) -> Vec<TopicView> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let seen = known.values().map(|topic| TopicView {
            subject: topic.name.to_string(),
            published: topic.published.load(Ordering::Relaxed),
            last_unix_ms: Some(topic.last_unix_us.load(Ordering::Relaxed) / 1000),
            mailboxes: Vec::new(),
        });
        let mut views: Vec<TopicView> = seen.filter(|view| view.published > 0).collect();
        // A pattern is shown beside the topics that it takes, also where nothing was published yet.
        for pattern in subscribers.iter().flat_map(|subscriber| &subscriber.patterns) {
            if !views.iter().any(|view| view.subject == pattern.as_str()) {
                let subject = pattern.to_string();
                views.push(TopicView { subject, published: 0, last_unix_ms: None, mailboxes: Vec::new() });
            }
        }
        for view in &mut views {
            let takes = |subscriber: &&Arc<Subscriber>| {
                subscriber.patterns.iter().any(|own| own.as_str() == view.subject || own.takes(&view.subject))
            };
            view.mailboxes = subscribers.iter().filter(takes).map(|subscriber| subscriber.mailed()).collect();
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
    /// Messages that wait.
    pub depth: usize,
    /// Messages that may wait.
    pub capacity: usize,
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
        self.depth += other.depth;
        self.capacity += other.capacity;
        self.accepted += other.accepted;
        self.dropped += other.dropped;
        self.refused += other.refused;
    }
}
