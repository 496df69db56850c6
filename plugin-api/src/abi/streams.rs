//! Streams: the extension of a plugin that handles them, and that of a host that carries them.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::guard::guard;
use super::thunk::plugin;
use super::{ExtensionPtr, HostHandle, HostLink, Instance, Lent, RawBuffer, Status};
use crate::{Opening, Plugin, Request, Resumed, Stream};

/// Id and revision of the streams extension, of a plugin's ([`HandlerExtension`]) as well as of a host's ([`StreamsExtension`]).
pub const STREAMS_EXTENSION: (&str, u32) = ("hotbay.streams", 1);

/// For ever, where a wait is told in microseconds.
const FOR_EVER: u64 = u64::MAX;

/// What a host calls an end of a stream by. No two of one link have the same number.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, StableAbi)]
pub struct RawStream(pub u64);

/// A stream that somebody opened, on its way into the plugin that handles it; all of it is the host's, and lent for the call.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawOpened<'a> {
    /// The handler's end, until the call returns.
    pub stream: RawStream,
    /// What was opened.
    pub method: RStr<'a>,
    /// What it was opened with.
    pub request: RSlice<'a, u8>,
    /// Whether an earlier handler had it. What follows says nothing else.
    pub is_resumed: bool,
    /// What that one left last.
    pub token: RSlice<'a, u8>,
    /// So many items were sent to who opened it.
    pub sent: u64,
    /// So many items were received.
    pub received: u64,
}

/// A stream that a plugin opens; all of it is the plugin's, and lent for the call.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawOpening<'a> {
    /// Whose.
    pub service: RStr<'a>,
    /// Which.
    pub method: RStr<'a>,
    /// What it is opened with.
    pub request: RSlice<'a, u8>,
    /// It ends after so long, microseconds, whatever comes; `u64::MAX` for never.
    pub lifetime_us: u64,
    /// Whether the host has it go on by itself where the service is replaced, if it can.
    pub resumes: bool,
}

/// The streams extension of a plugin, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct HandlerExtension {
    /// Handles one stream, from its begin to its end: when this returns, the stream has ended. Started; on a thread of the generation's own,
    /// several at once; may call back. When the service is about to be replaced or stopped, all that is done with the stream answers
    /// [`Status::MOVED`], and this is to return: a swap waits for it as for a call.
    pub handle:
        extern "C" fn(Instance, link: HostLink, opened: &RawOpened<'_>, error: &mut RawBuffer) -> Status,
}

/// The streams extension of a host, revision 1: frozen. A wait of `u64::MAX` microseconds is one for ever; none is longer than who asked the
/// thread for its work waits.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct StreamsExtension {
    /// Opens a stream, and writes to the place given what the opener's end is called by. Between `start` and the begin of `stop`, any thread.
    pub open: extern "C" fn(
        HostHandle,
        opening: &RawOpening<'_>,
        place: &mut RawStream,
        error: &mut RawBuffer,
    ) -> Status,
    /// Sends an item, waiting so long for room. Any thread, as are the next ones; of a stream that is over with the status that says how.
    pub send: extern "C" fn(
        HostHandle,
        RawStream,
        item: RSlice<'_, u8>,
        wait_us: u64,
        error: &mut RawBuffer,
    ) -> Status,
    /// Waits so long for the next item, and appends it; or the error's words in its place. [`Status::ENDED`] where no more come.
    pub receive: extern "C" fn(HostHandle, RawStream, wait_us: u64, item: &mut RawBuffer) -> Status,
    /// No more items are sent from this end.
    pub finish: extern "C" fn(HostHandle, RawStream),
    /// Leaves a word to who handles the stream next. The handler's end only.
    pub leave: extern "C" fn(HostHandle, RawStream, token: RSlice<'_, u8>, error: &mut RawBuffer) -> Status,
    /// Waits so long until `notify` is called; at once where it was since this was called last. The handler's end only.
    pub wait: extern "C" fn(HostHandle, RawStream, wait_us: u64, error: &mut RawBuffer) -> Status,
    /// Has `wait` return. The handler's end; any thread, any time, also after the stream.
    pub notify: extern "C" fn(HostHandle, RawStream),
    /// Ends the stream for both sides, and forgets it. The opener's end only.
    pub close: extern "C" fn(HostHandle, RawStream),
}

/// An end of a stream, by what does more with it.
#[derive(Clone, Copy)]
pub(crate) struct StreamEnd {
    table: &'static StreamsExtension,
    handle: HostHandle,
    stream: RawStream,
}

impl StreamEnd {
    pub(crate) fn send(self, item: &[u8], wait_us: Option<u64>) -> Result<(), (Status, String)> {
        let wait = wait_us.unwrap_or(FOR_EVER);
        done(|error| (self.table.send)(self.handle, self.stream, item.into(), wait, error))
    }

    /// Appends the next item; false where no more come.
    pub(crate) fn receive(self, wait_us: Option<u64>, item: &mut Vec<u8>) -> Result<bool, (Status, String)> {
        let (before, mut lent) = (item.len(), Lent::new(item));
        // SAFETY: A2; it stays where it is.
        let raw = unsafe { lent.out().into_raw() };
        match (self.table.receive)(self.handle, self.stream, wait_us.unwrap_or(FOR_EVER), raw) {
            Status::OK => Ok(true),
            Status::ENDED => Ok(false),
            status => Err((status, lent.out().take_words(before))),
        }
    }

    pub(crate) fn finish(self) {
        (self.table.finish)(self.handle, self.stream);
    }

    pub(crate) fn leave(self, token: &[u8]) -> Result<(), (Status, String)> {
        done(|error| (self.table.leave)(self.handle, self.stream, token.into(), error))
    }

    pub(crate) fn wait(self, wait_us: u64) -> Result<(), (Status, String)> {
        done(|error| (self.table.wait)(self.handle, self.stream, wait_us, error))
    }

    pub(crate) fn notify(self) {
        (self.table.notify)(self.handle, self.stream);
    }

    pub(crate) fn close(self) {
        (self.table.close)(self.handle, self.stream);
    }
}

fn done(call: impl FnOnce(&mut RawBuffer) -> Status) -> Result<(), (Status, String)> {
    let mut text = Vec::new();
    let status = {
        let mut text = Lent::new(&mut text);
        // SAFETY: A2; it stays where it is.
        call(unsafe { text.out().into_raw() })
    };
    if status == Status::OK { Ok(()) } else { Err((status, String::from_utf8_lossy(&text).into_owned())) }
}

/// What the plugin's `extension` answers for [`STREAMS_EXTENSION`].
pub(super) fn streams<P: Plugin>() -> ExtensionPtr {
    let table: &'static HandlerExtension = const { &HandlerExtension { handle: handle::<P> } };
    ExtensionPtr(std::ptr::from_ref(table).cast())
}

extern "C" fn handle<P: Plugin>(
    instance: Instance,
    link: HostLink,
    opened: &RawOpened<'_>,
    error: &mut RawBuffer,
) -> Status {
    guard(error, || {
        let Some(table) = link.streams() else {
            return Err(crate::Error::msg("handle a stream: the host carries none"));
        };
        let end = StreamEnd { table, handle: link.handle, stream: opened.stream };
        let resumed = opened.is_resumed.then(|| Resumed {
            token: opened.token.to_vec(),
            sent: opened.sent,
            received: opened.received,
        });
        let request = Request::new(opened.method.as_str(), opened.request.as_slice());
        plugin::<P>(&instance).on_stream(request, &Stream::handled(end, resumed))
    })
}

impl HostLink {
    fn streams(self) -> Option<&'static StreamsExtension> {
        let (id, revision) = STREAMS_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        // SAFETY: A3; it was asked for in these words.
        unsafe { table.as_streams() }
    }

    /// Opens a stream; `None` where the host carries none.
    pub(crate) fn open(self, opening: &Opening<'_>) -> Result<Option<StreamEnd>, (Status, String)> {
        let Some(table) = self.streams() else { return Ok(None) };
        let lifetime = opening.lifetime.map(crate::thread::micros);
        let raw = RawOpening {
            service: opening.service.into(),
            method: opening.method.into(),
            request: opening.request.into(),
            lifetime_us: lifetime.unwrap_or(FOR_EVER),
            resumes: opening.resumes,
        };
        let mut stream = RawStream(0);
        done(|error| (table.open)(self.handle, &raw, &mut stream, error))?;
        Ok(Some(StreamEnd { table, handle: self.handle, stream }))
    }
}

impl ExtensionPtr {
    /// A host's answer to [`STREAMS_EXTENSION`].
    #[must_use]
    pub fn of_streams(table: &'static StreamsExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of a host's streams extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`STREAMS_EXTENSION`].
    unsafe fn as_streams(self) -> Option<&'static StreamsExtension> {
        // SAFETY: what the caller vouches for; the host outlives the plugin (A3).
        unsafe { self.0.cast::<StreamsExtension>().as_ref() }
    }

    /// The table of a plugin's streams extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a plugin's `extension` to [`STREAMS_EXTENSION`], and the plugin's library must stay
    /// loaded for as long as the reference is used.
    #[must_use]
    pub unsafe fn as_handler<'a>(self) -> Option<&'a HandlerExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<HandlerExtension>().as_ref() }
    }
}
