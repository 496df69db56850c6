//! Messages from and to an embedding program.

use std::sync::Arc;
use std::time::Duration;

use super::Host;
use crate::bus::{
    Bus, Cancel, Manner, Outgoing, PublishError, Published, RequestError, Subscribe, SubscribeError,
    Subscription, TopicView,
};
use crate::{CallError, Opening, Stream, call};

/// What an embedding program publishes by, under a name of its own. Cheap to clone, and to send to other threads.
///
/// It does not keep the host running: when that has ended, messages are refused.
#[derive(Debug, Clone)]
pub struct Publisher {
    bus: Arc<Bus>,
    sender: Arc<str>,
}

impl Publisher {
    /// Publishes a message: bytes, or an [`Outgoing`] with headers. Whoever subscribed to the topic gets it on a thread of its own;
    /// the answer says how many mailboxes took it. Where one is full that has its senders wait, this waits, for a second at most.
    ///
    /// # Errors
    /// The topic is none, the host has ended, or messages follow from each other in a circle.
    pub fn publish<'a>(
        &self,
        topic: &str,
        outgoing: impl Into<Outgoing<'a>>,
    ) -> Result<Published, PublishError> {
        self.bus.publish(&self.sender, topic, outgoing.into(), Manner::Forget)
    }

    /// The same, to be taken by every mailbox within `deadline`. That they were emptied is said by nobody.
    ///
    /// # Errors
    /// As [`Publisher::publish`]; or which mailboxes did not take it. Those that did have it.
    pub fn confirm<'a>(
        &self,
        topic: &str,
        outgoing: impl Into<Outgoing<'a>>,
        deadline: Duration,
    ) -> Result<Published, PublishError> {
        self.bus.publish(&self.sender, topic, outgoing.into(), Manner::Confirm(deadline))
    }
}

impl Publisher {
    /// Asks by topic, and waits for the answer, `deadline` at most. Of all who answer the topic, one is asked; where there is none, that is
    /// said at once.
    ///
    /// # Errors
    /// Nobody answers that topic, the deadline passed, or the error or the panic of who was asked.
    pub fn request<'a>(
        &self,
        topic: &str,
        outgoing: impl Into<Outgoing<'a>>,
        deadline: Duration,
    ) -> Result<Vec<u8>, RequestError> {
        self.bus.request(&self.sender, topic, outgoing.into(), deadline, None)
    }

    /// The same until somebody cancels.
    ///
    /// # Errors
    /// As [`Publisher::request`]; or [`RequestError::Cancelled`].
    pub fn request_cancellable<'a>(
        &self,
        topic: &str,
        outgoing: impl Into<Outgoing<'a>>,
        deadline: Duration,
        cancel: &Cancel,
    ) -> Result<Vec<u8>, RequestError> {
        self.bus.request(&self.sender, topic, outgoing.into(), deadline, Some(cancel))
    }
}

impl Host {
    /// As [`Host::request`], until somebody cancels: a request that waits for its turn is then taken out. One that runs is told, and its
    /// end is waited for, within `deadline`.
    ///
    /// # Errors
    /// As [`Host::request`]; or [`CallError::Cancelled`].
    pub fn request_cancellable(
        &self,
        service: &str,
        method: &str,
        request: &[u8],
        deadline: impl Into<Option<Duration>>,
        cancel: &Cancel,
    ) -> Result<Vec<u8>, CallError> {
        let (slot, mut reply) = (self.inner.shared.registry.slot(service)?, Vec::new());
        call::request_until(&slot, method, request, &mut reply, deadline, Some(cancel))
            .map_err(|error| *error)?;
        Ok(reply)
    }

    /// Opens a stream of a service: items both ways, at the pace of the slower side. It is handled on a thread of the plugin's own.
    ///
    /// # Errors
    /// There is no such service or stream, it does not run, or too many are open.
    pub fn open_stream(
        &self,
        service: &str,
        method: &str,
        request: &[u8],
        opening: Opening,
    ) -> Result<Stream, CallError> {
        let slot = self.inner.shared.registry.slot(service)?;
        call::open(slot, method, request, opening).map_err(|error| *error)
    }

    /// What to publish by, as a sender of this name.
    #[must_use]
    pub fn publisher(&self, sender: &str) -> Publisher {
        Publisher { bus: Arc::clone(self.inner.shared.registry.bus()), sender: sender.into() }
    }

    /// Subscribes. What is published from here on comes into the subscription's mailbox.
    ///
    /// # Errors
    /// The host is being stopped.
    pub fn subscribe(&self, subscribe: Subscribe) -> Result<Subscription, SubscribeError> {
        let bus = self.inner.shared.registry.bus();
        subscribe.check()?;
        if bus.is_closed() { Err(SubscribeError::Stopping) } else { Ok(bus.subscribe(subscribe)) }
    }

    /// Topics that were published to, and patterns that somebody subscribed to, with the mailboxes behind them.
    #[must_use]
    pub fn topics(&self) -> Vec<TopicView> {
        self.inner.shared.registry.bus().view()
    }
}
