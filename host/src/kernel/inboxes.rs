//! The inboxes of all services: who is subscribed, by what its manifest says, and what is told of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::generation::Generation;
use super::inbox::{Bell, Inbox, InboxCounts};
use super::slot::Slot;
use crate::bus::{Bus, Pattern, Subscribe};
use crate::config::{Service, WhenStopped};

/// What waited when a generation began to serve.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Waiting {
    pub(crate) messages: u64,
    /// It subscribes to nothing: the last counts of the inbox that its service had.
    pub(crate) forgotten: Option<InboxCounts>,
}

/// One per host.
#[derive(Debug)]
pub(crate) struct Inboxes {
    bus: Arc<Bus>,
    all: Mutex<BTreeMap<Arc<str>, Arc<Inbox>>>,
}

impl Inboxes {
    pub(super) fn new(bus: Arc<Bus>) -> Self {
        Self { bus, all: Mutex::default() }
    }

    /// A generation serves: it gets what waits for its service, and what comes by the topics that it declares. What
    /// waits.
    pub(crate) fn serve(&self, slot: &Arc<Slot>, generation: &Generation, room: &Service) -> Waiting {
        let Service { messages, message_bytes, when_full, .. } = *room;
        let Interests { topics, answers } = Interests::of(generation);
        if topics.is_empty() && answers.is_empty() {
            return Waiting { messages: 0, forgotten: self.forget(slot.name()) };
        }
        let queue = Some(generation.manifest().queue.as_str()).filter(|queue| !queue.is_empty());
        let mut all = self.all();
        let inbox =
            Arc::clone(all.entry(Arc::clone(slot.name())).or_insert_with(|| Inbox::new(Arc::clone(slot))));
        drop(all);
        inbox.subscribed(|before| match before {
            Some(before) => {
                before.set_room(messages, message_bytes, when_full);
                let is_same =
                    before.patterns() == topics && before.answers() == answers && before.queue() == queue;
                if is_same { before } else { self.bus.change(&before, topics, answers, queue) }
            }
            None => {
                let mut subscribe = Subscribe::new(slot.name(), topics).answers(answers);
                subscribe = subscribe.capacity(messages).max_bytes(message_bytes).when_full(when_full);
                if let Some(queue) = queue {
                    subscribe = subscribe.queue(queue);
                }
                self.bus.add(subscribe, Some(Arc::new(Bell(Arc::downgrade(&inbox)))))
            }
        });
        Waiting { messages: inbox.serve(generation), forgotten: None }
    }

    /// A service is stopped, or broke down.
    pub(crate) fn rest(&self, service: &str, room: &Service) {
        if let Some(inbox) = self.of(service) {
            inbox.rest(room.when_stopped == WhenStopped::Keep);
        }
    }

    /// A service is gone, or subscribes to nothing any more. What went through its inbox, if it had one: what waited was dropped.
    pub(crate) fn forget(&self, service: &str) -> Option<InboxCounts> {
        let inbox = self.all().remove(service)?;
        let (InboxCounts { waiting, .. }, ()) = inbox.counts(|| ());
        if waiting > 0 {
            tracing::warn!(
                plugin = service,
                waiting,
                "messages are dropped: it subscribes to nothing any more"
            );
        }
        Some(inbox.leave(|subscriber| self.bus.remove(subscriber)))
    }

    /// Goes on without messages that are not handled within `deadline`. The services that have such.
    pub(crate) fn go_on_without(&self, deadline: Duration) -> Vec<Arc<str>> {
        let all: Vec<_> =
            self.all().iter().map(|(name, inbox)| (Arc::clone(name), Arc::clone(inbox))).collect();
        all.into_iter().filter(|(_, inbox)| inbox.go_on_without(deadline)).map(|(name, _)| name).collect()
    }

    /// What went through a service's inbox, and what `read` says of its generations at that very moment.
    pub(crate) fn counts<R>(&self, service: &str, read: impl FnOnce() -> R) -> (InboxCounts, R) {
        match self.of(service) {
            Some(inbox) => inbox.counts(read),
            None => (InboxCounts::default(), read()),
        }
    }

    fn of(&self, service: &str) -> Option<Arc<Inbox>> {
        self.all().get(service).cloned()
    }

    fn all(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Inbox>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a generation subscribes to, and what it answers. One that was built before there was either is brought none, whatever it
/// declares.
struct Interests {
    topics: Vec<Pattern>,
    answers: Vec<Pattern>,
}

impl Interests {
    fn of(generation: &Generation) -> Self {
        let read = |topic: &String| match Pattern::parse(topic) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                tracing::error!(plugin = %generation.name, %error, "it does not subscribe to that");
                None
            }
        };
        let all = |knows: bool, topics: &[String]| {
            if knows { topics.iter().filter_map(read).collect() } else { Vec::new() }
        };
        let manifest = generation.manifest();
        Self {
            topics: all(generation.plugin.takes_messages(), &manifest.topics),
            answers: all(generation.plugin.answers_requests(), &manifest.answers),
        }
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod requests;
