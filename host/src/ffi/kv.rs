//! The kv extension: which service keeps a plugin's keys and values.

use hotbay_plugin_api::abi::{ExtensionPtr, HostHandle, KvExtension, RawBuffer, Status};

use super::host_side::{guarded, side};

static TABLE: KvExtension = KvExtension { store };

/// What the host's `extension` answers for it.
pub(super) fn table() -> ExtensionPtr {
    ExtensionPtr::of_kv(&TABLE)
}

extern "C" fn store(handle: HostHandle, name: &mut RawBuffer) -> Status {
    guarded(Status::FAILED, || {
        if name.write(side(handle).settings().store.as_bytes()) { Status::OK } else { Status::FAILED }
    })
}
