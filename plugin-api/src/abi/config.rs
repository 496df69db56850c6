//! A changed configuration: the extension of a plugin that takes one while it runs.

use abi_stable::StableAbi;
use abi_stable::std_types::RSlice;

use super::guard::guard;
use super::thunk::plugin;
use super::{ExtensionPtr, Instance, RawBuffer, Status};
use crate::{Plugin, Table};

/// Id and revision of the extension of a plugin that takes a changed configuration.
pub const CONFIG_EXTENSION: (&str, u32) = ("hotbay.config", 1);

/// The configuration extension of a plugin, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct ConfigExtension {
    /// Takes the plugin's table, a JSON object, in place of the one before. Started; on a lane, one at a time; calls may run beside it;
    /// may call back. With any other status than [`Status::OK`] the table before holds. [`Status::NO_SUCH_METHOD`]: the plugin takes
    /// none while it runs.
    pub changed: extern "C" fn(Instance, table: RSlice<'_, u8>, error: &mut RawBuffer) -> Status,
}

/// What the plugin's `extension` answers for [`CONFIG_EXTENSION`].
pub(super) fn config<P: Plugin>() -> ExtensionPtr {
    let table: &'static ConfigExtension = const { &ConfigExtension { changed: changed::<P> } };
    ExtensionPtr(std::ptr::from_ref(table).cast())
}

extern "C" fn changed<P: Plugin>(instance: Instance, table: RSlice<'_, u8>, error: &mut RawBuffer) -> Status {
    guard(error, || plugin::<P>(&instance).on_config(Table::new(table.as_slice())))
}

impl ExtensionPtr {
    /// The table of the configuration extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a plugin's `extension` to [`CONFIG_EXTENSION`], and the plugin's library must stay
    /// loaded for as long as the reference is used.
    #[must_use]
    pub unsafe fn as_config<'a>(self) -> Option<&'a ConfigExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<ConfigExtension>().as_ref() }
    }
}
