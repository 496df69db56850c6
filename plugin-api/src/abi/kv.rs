//! The kv extension of a host: which service keeps a plugin's keys and values.

use abi_stable::StableAbi;

use super::{ExtensionPtr, HostHandle, HostLink, Lent, RawBuffer, Status};

/// Id and revision of the kv extension.
pub const KV_EXTENSION: (&str, u32) = ("hotbay.kv", 1);

/// The store where no host says otherwise.
const STORE: &str = "kv";

/// The kv extension of a host, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct KvExtension {
    /// Appends the name of the service that is this plugin's store. Any time, any thread.
    pub store: extern "C" fn(HostHandle, name: &mut RawBuffer) -> Status,
}

impl HostLink {
    /// The service that is this plugin's store.
    pub(crate) fn store(self) -> String {
        let (id, revision) = KV_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        let mut name = Vec::new();
        // SAFETY: A3; it was asked for in these words.
        if let Some(table) = unsafe { table.as_kv() } {
            let mut lent = Lent::new(&mut name);
            // SAFETY: A2; it stays where it is.
            let _ = (table.store)(self.handle, unsafe { lent.out().into_raw() });
        }
        String::from_utf8(name).ok().filter(|name| !name.is_empty()).unwrap_or_else(|| STORE.to_owned())
    }
}

impl ExtensionPtr {
    /// A host's answer to [`KV_EXTENSION`].
    #[must_use]
    pub fn of_kv(table: &'static KvExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of the kv extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`KV_EXTENSION`].
    unsafe fn as_kv<'a>(self) -> Option<&'a KvExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<KvExtension>().as_ref() }
    }
}
