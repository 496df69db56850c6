//! Messages in tests: what the plugin publishes is kept, and a test brings it what it subscribed to.

use std::sync::PoisonError;

use abi_stable::std_types::RStr;

use super::{Running, answer, host, lines, requests};
use crate::abi::{
    BUS_EXTENSION, BusExtension, ExtensionPtr, HostHandle, LINES_EXTENSION, MESSAGES_EXTENSION, RawBuffer,
    RawHeader, RawId, RawMessage, RawOutgoing, RawPublished, Status,
};
use crate::{Error, Export, Result};

/// A message that the plugin published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Its topic.
    pub topic: String,
    /// What stands beside the bytes.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub payload: Vec<u8>,
}

impl<P: Export> Running<P> {
    /// What the plugin published, oldest first.
    #[must_use]
    pub fn published(&self) -> Vec<Sent> {
        self.host.published.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Brings a message of a sender called `test`, whatever topics the plugin declares.
    ///
    /// # Errors
    /// The plugin declares no topics, or its `on_message` fails or panics.
    pub fn deliver(&self, topic: &str, headers: &[(&str, &str)], payload: &[u8]) -> Result<()> {
        let (id, revision) = MESSAGES_EXTENSION;
        // SAFETY: it was asked for in these words, and the table is this program's own.
        let table = unsafe { (self.module.extension())(id.into(), revision).as_messages() };
        let table = table.ok_or_else(|| Error::msg("deliver a message: the plugin declares no `topics`"))?;
        with_message(topic, headers, payload, |message| {
            answer(|error| (table.deliver)(self.instance, message, error))
        })
    }
}

/// A message of a sender called `test`.
pub(super) fn with_message<R>(
    topic: &str,
    headers: &[(&str, &str)],
    payload: &[u8],
    body: impl FnOnce(&RawMessage<'_>) -> R,
) -> R {
    let headers: Vec<RawHeader<'_>> =
        headers.iter().map(|(name, value)| RawHeader::new(name, value)).collect();
    body(&RawMessage {
        id: RawId { run: 0, number: 1 },
        unix_us: 0,
        sender: "test".into(),
        topic: topic.into(),
        headers: headers.as_slice().into(),
        causes: [].as_slice().into(),
        payload: payload.into(),
    })
}

static BUS: BusExtension = BusExtension { publish };

/// It carries messages and requests, takes lines whole, and looks for services each time that one is called.
pub(super) extern "C" fn extension(id: RStr<'_>, revision: u32) -> ExtensionPtr {
    match (id.as_str(), revision) {
        BUS_EXTENSION => ExtensionPtr::of_bus(&BUS),
        LINES_EXTENSION => lines::table(),
        (id, revision) => requests::extension(id, revision),
    }
}

/// That of a host of contract 1.0.
pub(super) extern "C" fn no_extension(_: RStr<'_>, _: u32) -> ExtensionPtr {
    ExtensionPtr::NONE
}

pub(super) extern "C" fn publish(
    handle: HostHandle,
    outgoing: &RawOutgoing<'_>,
    place: &mut RawPublished,
    _: &mut RawBuffer,
) -> Status {
    let mut published = host(handle).published.lock().unwrap_or_else(PoisonError::into_inner);
    let header = |header: &RawHeader<'_>| (header.name.as_str().to_owned(), header.value.as_str().to_owned());
    published.push(Sent {
        topic: outgoing.topic.as_str().to_owned(),
        headers: outgoing.headers.as_slice().iter().map(header).collect(),
        payload: outgoing.payload.as_slice().to_owned(),
    });
    *place = RawPublished { id: RawId { run: 0, number: published.len() as u64 }, taken: 1, refused: 0 };
    Status::OK
}

#[cfg(test)]
mod tests {
    use crate::prelude::*;
    use crate::testkit::{Sent, TestHost};

    /// Answers each message by another one.
    struct Relay(Context);

    impl Plugin for Relay {
        fn create(context: Context) -> Result<Self> {
            Ok(Self(context))
        }

        fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
            Err(request.unknown_method())
        }

        fn on_message(&self, message: &Message<'_>) -> Result<()> {
            assert!(!message.bytes().is_empty(), "there is nothing in it");
            let outgoing = Outgoing::new("relayed", message.bytes()).header("from", message.topic());
            self.0.send(&outgoing)?;
            Ok(())
        }
    }

    crate::export_plugin!(Relay { name: "relay", topics: &["orders.*"] });

    #[test]
    fn what_a_plugin_gets_and_what_it_publishes_is_seen_by_its_test() {
        let relay = TestHost::new().start::<Relay>().unwrap();
        relay.deliver("orders.created", &[], b"7").unwrap();
        let headers = vec![("from".to_owned(), "orders.created".to_owned())];
        assert_eq!(
            relay.published(),
            [Sent { topic: "relayed".to_owned(), headers, payload: b"7".to_vec() }]
        );
        let error = relay.deliver("orders.created", &[], b"").unwrap_err();
        assert_eq!(error.status(), crate::abi::Status::PANICKED, "{error}");
    }
}
