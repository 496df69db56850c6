//! What a host offers to a plugin.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::{ExtensionPtr, Lent, Out, RawBuffer, Status};

/// The host's side of one generation, known to the host only.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct HostHandle(pub *const ());

// SAFETY: the host's table is documented to be callable from any thread with any handle that it gave out.
unsafe impl Send for HostHandle {}
// SAFETY: as above.
unsafe impl Sync for HostHandle {}

/// The functions of the host. Frozen: what comes later is an extension (`ABI.md`).
///
/// All are called by the plugin, on any thread, from `create` on. None unwinds.
#[repr(C)]
#[derive(StableAbi, Debug)]
#[sabi(kind(Prefix(prefix_ref = HostTableRef)))]
#[sabi(missing_field(option))]
pub struct HostTable {
    /// Whether lines of this level (1 error … 5 trace) are wanted.
    pub log_enabled: extern "C" fn(HostHandle, level: u32) -> bool,
    /// Writes a line: level, where in the plugin (or empty), text, and fields as `key=value …`.
    pub log: extern "C" fn(HostHandle, level: u32, target: RStr<'_>, text: RStr<'_>, fields: RStr<'_>),
    /// The plugin's configuration as a JSON object.
    pub config: extern "C" fn(HostHandle, out: &mut RawBuffer, error: &mut RawBuffer) -> Status,
    /// Calls a method of a service on this thread, and appends the answer to `reply`, or the error's words in its place.
    /// Refused before `start` and after `stop`.
    pub call: extern "C" fn(
        HostHandle,
        service: RStr<'_>,
        method: RStr<'_>,
        request: RSlice<'_, u8>,
        reply: &mut RawBuffer,
    ) -> Status,
    /// Whether this thread is inside a `call` of the plugin that this handle was given to: somebody then hears of a panic.
    pub is_inside: extern "C" fn(HostHandle) -> bool,
    /// The table of an extension of the host's by id and revision, or null.
    #[sabi(last_prefix_field)]
    pub extension: extern "C" fn(id: RStr<'_>, revision: u32) -> ExtensionPtr,
}

/// The host as it is handed to a plugin.
#[repr(C)]
#[derive(Clone, Copy, StableAbi)]
pub struct HostLink {
    /// The functions.
    pub table: HostTableRef,
    /// Their first argument.
    pub handle: HostHandle,
}

impl HostLink {
    pub(crate) fn log_enabled(self, level: u32) -> bool {
        (self.table.log_enabled())(self.handle, level)
    }

    pub(crate) fn log(self, level: u32, target: &str, text: &str, fields: &str) {
        (self.table.log())(self.handle, level, target.into(), text.into(), fields.into());
    }

    pub(crate) fn config(self, json: &mut Vec<u8>) -> Result<(), (Status, String)> {
        let mut text = Vec::new();
        let status = {
            let (mut json, mut error) = (Lent::new(json), Lent::new(&mut text));
            // SAFETY: A2; it stays where it is.
            let json = unsafe { json.out().into_raw() };
            // SAFETY: A2; it stays where it is.
            let error = unsafe { error.out().into_raw() };
            (self.table.config())(self.handle, json, error)
        };
        if status == Status::OK { Ok(()) } else { Err((status, String::from_utf8_lossy(&text).into_owned())) }
    }

    #[inline]
    pub(crate) fn call(self, service: &str, method: &str, request: &[u8], reply: Out<'_>) -> Status {
        // SAFETY: A2; it stays where it is.
        let reply = unsafe { reply.into_raw() };
        (self.table.call())(self.handle, service.into(), method.into(), request.into(), reply)
    }

    pub(crate) fn is_inside(self) -> bool {
        (self.table.is_inside())(self.handle)
    }
}

impl std::fmt::Debug for HostLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HostLink").field("handle", &self.handle).finish_non_exhaustive()
    }
}
