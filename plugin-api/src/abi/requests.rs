//! Requests by topic: the extension of a plugin that answers them, and that of a host that carries them.

use abi_stable::StableAbi;

use super::guard::guard_call;
use super::thunk::plugin;
use super::{ExtensionPtr, HostHandle, HostLink, Instance, Out, RawBuffer, RawMessage, RawOutgoing, Status};
use crate::abi::RawHeader;
use crate::{Message, Outgoing, Plugin, Reply};

/// Id and revision of the extension of a plugin that answers requests by topic.
pub const ANSWERS_EXTENSION: (&str, u32) = ("hotbay.answers", 1);

/// Id and revision of the extension of a host that carries requests by topic.
pub const REQUESTS_EXTENSION: (&str, u32) = ("hotbay.requests", 1);

/// The answers extension of a plugin, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct AnswersExtension {
    /// Answers one request of a topic, by appending to `reply`: the answer, or the error's words in its place. Started; on a lane, one at
    /// a time with messages, but one that was given up at its deadline may run beside the next; may call back.
    pub answer: extern "C" fn(Instance, request: &RawMessage<'_>, reply: &mut RawBuffer) -> Status,
}

/// The requests extension of a host, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RequestsExtension {
    /// Asks whoever answers a topic and waits, `deadline_ms` at most and no longer than who asked the plugin waits; `is_confirmed` says
    /// nothing. The answer is appended to `reply`, or the error's words in its place. Between `start` and the end of `stop`, any thread.
    pub request: extern "C" fn(HostHandle, outgoing: &RawOutgoing<'_>, reply: &mut RawBuffer) -> Status,
}

/// What the plugin's `extension` answers for [`ANSWERS_EXTENSION`].
pub(super) fn answers<P: Plugin>() -> ExtensionPtr {
    let table: &'static AnswersExtension = const { &AnswersExtension { answer: answer::<P> } };
    ExtensionPtr(std::ptr::from_ref(table).cast())
}

extern "C" fn answer<P: Plugin>(
    instance: Instance,
    request: &RawMessage<'_>,
    reply: &mut RawBuffer,
) -> Status {
    guard_call(reply, |reply| {
        plugin::<P>(&instance).on_request(&Message::new(request), &mut Reply::new(reply))
    })
}

impl HostLink {
    /// Asks by topic; `None` where the host carries no requests.
    pub(crate) fn request(
        self,
        outgoing: &Outgoing<'_>,
        deadline: std::time::Duration,
        reply: Out<'_>,
    ) -> Option<Status> {
        let (id, revision) = REQUESTS_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        // SAFETY: A3; it was asked for in these words.
        let table = unsafe { table.as_requests() }?;
        let headers: Vec<RawHeader<'_>> =
            outgoing.headers.iter().map(|(name, value)| RawHeader::new(name, value)).collect();
        let raw = RawOutgoing {
            topic: outgoing.topic.into(),
            headers: headers.as_slice().into(),
            payload: outgoing.payload.into(),
            is_confirmed: false,
            // Less than a millisecond is one: none would be no time at all.
            deadline_ms: u64::try_from(deadline.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX),
        };
        // SAFETY: A2; it stays where it is.
        let reply = unsafe { reply.into_raw() };
        Some((table.request)(self.handle, &raw, reply))
    }
}

impl ExtensionPtr {
    /// A host's answer to [`REQUESTS_EXTENSION`].
    #[must_use]
    pub fn of_requests(table: &'static RequestsExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of the requests extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`REQUESTS_EXTENSION`].
    unsafe fn as_requests<'a>(self) -> Option<&'a RequestsExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<RequestsExtension>().as_ref() }
    }

    /// The table of the answers extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a plugin's `extension` to [`ANSWERS_EXTENSION`], and the plugin's library must stay
    /// loaded for as long as the reference is used.
    #[must_use]
    pub unsafe fn as_answers<'a>(self) -> Option<&'a AnswersExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<AnswersExtension>().as_ref() }
    }
}
