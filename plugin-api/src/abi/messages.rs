//! Messages: the extension of a plugin that gets them, and that of a host that carries them.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::guard::guard;
use super::thunk::plugin;
use super::{ExtensionPtr, HostHandle, HostLink, Instance, Lent, RawBuffer, Status};
use crate::{Message, MessageId, Outgoing, Plugin, Published};

/// Id and revision of the extension of a plugin that takes messages.
pub const MESSAGES_EXTENSION: (&str, u32) = ("hotbay.messages", 1);

/// Id and revision of the extension of a host that carries messages.
pub const BUS_EXTENSION: (&str, u32) = ("hotbay.bus", 1);

/// A message's name.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableAbi)]
pub struct RawId {
    /// Drawn at random when a host starts.
    pub run: u64,
    /// Counts the messages of that run.
    pub number: u64,
}

/// A header: what stands beside the bytes of a message.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawHeader<'a> {
    /// Its name.
    pub name: RStr<'a>,
    /// Its value.
    pub value: RStr<'a>,
}

impl<'a> RawHeader<'a> {
    /// A header.
    #[must_use]
    pub fn new(name: &'a str, value: &'a str) -> Self {
        Self { name: name.into(), value: value.into() }
    }
}

/// A message on its way into a plugin; all of it is the host's, and lent for the call.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawMessage<'a> {
    /// Its name.
    pub id: RawId,
    /// When it was published, microseconds since 1970.
    pub unix_us: u64,
    /// Who published it.
    pub sender: RStr<'a>,
    /// What it is about.
    pub topic: RStr<'a>,
    /// What stands beside the bytes.
    pub headers: RSlice<'a, RawHeader<'a>>,
    /// The messages that it follows from, the first one first.
    pub causes: RSlice<'a, RawId>,
    /// The bytes.
    pub payload: RSlice<'a, u8>,
}

/// A message on its way out of a plugin; all of it is the plugin's, and lent for the call.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawOutgoing<'a> {
    /// What it is about.
    pub topic: RStr<'a>,
    /// What stands beside the bytes.
    pub headers: RSlice<'a, RawHeader<'a>>,
    /// The bytes.
    pub payload: RSlice<'a, u8>,
    /// Whether every mailbox is to have taken it, or else an error comes back.
    pub is_confirmed: bool,
    /// How long is waited for that, milliseconds.
    pub deadline_ms: u64,
}

/// What became of a message.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawPublished {
    /// Its name.
    pub id: RawId,
    /// Mailboxes that took it.
    pub taken: u64,
    /// Mailboxes that did not.
    pub refused: u64,
}

/// The messages extension of a plugin, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct MessagesExtension {
    /// Takes one message. Started; on a lane, one at a time, but one that was given up at its deadline may run beside the next; may
    /// call back. The host keeps nothing of the answer but whether it
    /// is one, and the words of an error.
    pub deliver: extern "C" fn(Instance, message: &RawMessage<'_>, error: &mut RawBuffer) -> Status,
}

/// The bus extension of a host, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct BusExtension {
    /// Publishes, and writes to the place given what became of it. Between `start` and the end of `stop`, any thread. Waits where a
    /// mailbox is full that has its senders wait.
    pub publish: extern "C" fn(
        HostHandle,
        outgoing: &RawOutgoing<'_>,
        place: &mut RawPublished,
        error: &mut RawBuffer,
    ) -> Status,
}

impl From<RawId> for MessageId {
    fn from(RawId { run, number }: RawId) -> Self {
        Self { run, number }
    }
}

/// What the plugin's `extension` answers for [`MESSAGES_EXTENSION`].
pub(super) fn messages<P: Plugin>() -> ExtensionPtr {
    let table: &'static MessagesExtension = const { &MessagesExtension { deliver: deliver::<P> } };
    ExtensionPtr(std::ptr::from_ref(table).cast())
}

extern "C" fn deliver<P: Plugin>(
    instance: Instance,
    message: &RawMessage<'_>,
    error: &mut RawBuffer,
) -> Status {
    guard(error, || plugin::<P>(&instance).on_message(&Message::new(message)))
}

impl Outgoing<'_> {
    /// As it crosses, with its headers as they do.
    pub(super) fn to_raw<'h>(&'h self, headers: &'h [RawHeader<'h>]) -> RawOutgoing<'h> {
        let deadline = self.confirmed.unwrap_or_default();
        RawOutgoing {
            topic: self.topic.into(),
            headers: headers.into(),
            payload: self.payload.into(),
            is_confirmed: self.confirmed.is_some(),
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl HostLink {
    /// Publishes; `None` where the host carries no messages.
    pub(crate) fn publish(self, outgoing: &Outgoing<'_>) -> Result<Option<Published>, (Status, String)> {
        let (id, revision) = BUS_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        // SAFETY: A3; it was asked for in these words.
        let Some(table) = (unsafe { table.as_bus() }) else { return Ok(None) };
        let headers: Vec<RawHeader<'_>> =
            outgoing.headers.iter().map(|(name, value)| RawHeader::new(name, value)).collect();
        let raw = outgoing.to_raw(&headers);
        let mut place = RawPublished { id: RawId { run: 0, number: 0 }, taken: 0, refused: 0 };
        let mut text = Vec::new();
        let status = {
            let mut text = Lent::new(&mut text);
            // SAFETY: A2; it stays where it is.
            let error = unsafe { text.out().into_raw() };
            (table.publish)(self.handle, &raw, &mut place, error)
        };
        if status != Status::OK {
            return Err((status, String::from_utf8_lossy(&text).into_owned()));
        }
        let RawPublished { id, taken, refused } = place;
        Ok(Some(Published { id: id.into(), taken, refused }))
    }
}

impl ExtensionPtr {
    /// A host's answer to [`BUS_EXTENSION`].
    #[must_use]
    pub fn of_bus(table: &'static BusExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of the bus extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`BUS_EXTENSION`].
    unsafe fn as_bus<'a>(self) -> Option<&'a BusExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<BusExtension>().as_ref() }
    }

    /// The table of the messages extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a plugin's `extension` to [`MESSAGES_EXTENSION`], and the plugin's library must stay
    /// loaded for as long as the reference is used.
    #[must_use]
    pub unsafe fn as_messages<'a>(self) -> Option<&'a MessagesExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<MessagesExtension>().as_ref() }
    }
}
