//! The calls extension of a host: a method of another service, found once and called often.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::{ExtensionPtr, HostHandle, HostLink, Lent, Out, RawBuffer, Status};

/// Id and revision of the calls extension.
pub const CALLS_EXTENSION: (&str, u32) = ("hotbay.calls", 1);

/// A method of a service that a host has found, known to the host only.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawMethod(pub *const ());

impl RawMethod {
    /// None: what a plugin brings to `find` as its place.
    pub const NONE: Self = Self(std::ptr::null());
}

// SAFETY: the host's table is documented to be callable from any thread with whatever it gave out.
unsafe impl Send for RawMethod {}
// SAFETY: as above.
unsafe impl Sync for RawMethod {}

/// The calls extension, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct CallsExtension {
    /// Finds a method of a service and writes it to the place given. It follows the service through swaps, stops and starts,
    /// and is good for as long as the handle is. From `create` on, any thread; the service need not run, but must exist.
    pub find: extern "C" fn(
        HostHandle,
        service: RStr<'_>,
        method: RStr<'_>,
        place: &mut RawMethod,
        error: &mut RawBuffer,
    ) -> Status,
    /// Calls it on this thread, as `HostTable::call` does: four arguments, which travel in registers.
    pub call: extern "C" fn(RawMethod, request: RSlice<'_, u8>, reply: &mut RawBuffer) -> Status,
}

/// A method that was found, and the host's function that calls it.
#[derive(Clone, Copy)]
pub(crate) struct FoundMethod {
    call: extern "C" fn(RawMethod, RSlice<'_, u8>, &mut RawBuffer) -> Status,
    method: RawMethod,
}

impl FoundMethod {
    #[inline]
    pub(crate) fn call(self, request: &[u8], reply: Out<'_>) -> Status {
        // SAFETY: A2; it stays where it is.
        let reply = unsafe { reply.into_raw() };
        (self.call)(self.method, request.into(), reply)
    }
}

impl HostLink {
    /// Finds a method of a service; `None` of a host that does not know how.
    pub(crate) fn find(self, service: &str, method: &str) -> Result<Option<FoundMethod>, (Status, String)> {
        let (id, revision) = CALLS_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        // SAFETY: A3; it was asked for in these words.
        let Some(table) = (unsafe { table.as_calls() }) else { return Ok(None) };
        let (mut found, mut text) = (RawMethod::NONE, Vec::new());
        let status = {
            let mut text = Lent::new(&mut text);
            // SAFETY: A2; it stays where it is.
            let error = unsafe { text.out().into_raw() };
            (table.find)(self.handle, service.into(), method.into(), &mut found, error)
        };
        if status == Status::OK {
            Ok(Some(FoundMethod { call: table.call, method: found }))
        } else {
            Err((status, String::from_utf8_lossy(&text).into_owned()))
        }
    }
}

impl ExtensionPtr {
    /// A host's answer to [`CALLS_EXTENSION`].
    #[must_use]
    pub fn of_calls(table: &'static CallsExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of the calls extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`CALLS_EXTENSION`].
    pub(crate) unsafe fn as_calls<'a>(self) -> Option<&'a CallsExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<CallsExtension>().as_ref() }
    }
}
