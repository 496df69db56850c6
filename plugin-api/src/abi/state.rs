//! The state extension: its tables, one per revision, and how they reach a plugin's methods.

use abi_stable::StableAbi;
use abi_stable::std_types::RSlice;

use super::guard::guard;
use super::thunk::plugin;
use super::{ExtensionPtr, In, Instance, LentBytes, RawBuffer, RawReader, Status};
use crate::Stateful;
use crate::state::{self, StateReader, StateWriter};

/// Id and revision of the state extension that this contract writes. A host asks for it first, and then for
/// [`STATE_EXTENSION_1`]; a plugin has both.
pub const STATE_EXTENSION: (&str, u32) = ("hotbay.state", 2);
/// The same, as hosts and plugins of contract 1.0 know it.
pub const STATE_EXTENSION_1: (&str, u32) = ("hotbay.state", 1);

/// The state extension, revision 2: frozen.
///
/// All are called by the host, on a lane of the generation (`import` in a swap: also on one that the generation before leaves); none may call back,
/// but `log`. A panic becomes [`Status::PANICKED`] with message and place in `error`.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct StateExtension {
    /// Writes a number to `count` that is another one after each change of the state. Two equal ones of one instance mean
    /// that an export would write the same again. Created; may run beside calls and takes no longer than a look.
    pub changes: extern "C" fn(Instance, count: &mut u64, error: &mut RawBuffer) -> Status,
    /// Writes the state into `out`, in this schema: the one of `writes` in the manifest, or one of `back`. The writer asks
    /// `out` for room for one byte at a time, and the host may take what was written and lend the buffer again, empty. Created; may run
    /// beside calls and shows one moment.
    pub export: extern "C" fn(Instance, schema: u32, out: &mut RawBuffer, error: &mut RawBuffer) -> Status,
    /// Replaces the state by one of this schema, which the plugin reads to its end: until then the state is the one before.
    /// Created, never started.
    pub import: extern "C" fn(Instance, schema: u32, state: &mut RawReader, error: &mut RawBuffer) -> Status,
}

/// The state extension, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct StateExtension1 {
    /// Writes the state into `out`, which keeps what is written. May run beside calls and shows one moment. May not call back.
    pub export: extern "C" fn(Instance, out: &mut RawBuffer, error: &mut RawBuffer) -> Status,
    /// Replaces the state by one of this schema. Created, never started.
    pub import: extern "C" fn(Instance, schema: u32, state: RSlice<'_, u8>, error: &mut RawBuffer) -> Status,
}

/// The tables of one plugin.
#[derive(Debug, Clone, Copy)]
pub struct StateTables {
    /// Revision 2.
    pub current: &'static StateExtension,
    /// Revision 1.
    pub first: &'static StateExtension1,
}

impl StateTables {
    /// What the plugin's `extension` answers, for the state's id.
    pub(super) fn of_revision(&self, id: &str, revision: u32) -> ExtensionPtr {
        match (id, revision) {
            STATE_EXTENSION => ExtensionPtr(std::ptr::from_ref(self.current).cast()),
            STATE_EXTENSION_1 => ExtensionPtr(std::ptr::from_ref(self.first).cast()),
            _ => ExtensionPtr::NONE,
        }
    }
}

impl ExtensionPtr {
    /// The table of the state extension, revision 2.
    ///
    /// # Safety
    /// The pointer must be the answer of a plugin's `extension` to [`STATE_EXTENSION`], and the plugin's library
    /// must stay loaded for as long as the reference is used.
    #[must_use]
    pub unsafe fn as_state<'a>(self) -> Option<&'a StateExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<StateExtension>().as_ref() }
    }

    /// The table of the state extension, revision 1.
    ///
    /// # Safety
    /// As [`ExtensionPtr::as_state`], with [`STATE_EXTENSION_1`].
    #[must_use]
    pub unsafe fn as_state_1<'a>(self) -> Option<&'a StateExtension1> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<StateExtension1>().as_ref() }
    }
}

/// The tables of the state extension. `export_plugin!(P: Stateful)` puts them where `extension` finds them.
#[must_use]
pub const fn state_tables<P: Stateful>() -> StateTables {
    StateTables {
        current: &StateExtension { changes: changes::<P>, export: export::<P>, import: import::<P> },
        first: &StateExtension1 { export: export_1::<P>, import: import_1::<P> },
    }
}

extern "C" fn changes<P: Stateful>(instance: Instance, count: &mut u64, error: &mut RawBuffer) -> Status {
    guard(error, || {
        *count = plugin::<P>(&instance).state().changes();
        Ok(())
    })
}

extern "C" fn export<P: Stateful>(
    instance: Instance,
    schema: u32,
    out: &mut RawBuffer,
    error: &mut RawBuffer,
) -> Status {
    guard(error, || state::export(plugin::<P>(&instance), schema, &mut StateWriter::new(out)))
}

extern "C" fn import<P: Stateful>(
    instance: Instance,
    schema: u32,
    bytes: &mut RawReader,
    error: &mut RawBuffer,
) -> Status {
    guard(error, || state::import(plugin::<P>(&instance), schema, &mut StateReader::new(In::of(bytes))))
}

extern "C" fn export_1<P: Stateful>(
    instance: Instance,
    out: &mut RawBuffer,
    error: &mut RawBuffer,
) -> Status {
    export::<P>(instance, P::SCHEMA, out, error)
}

extern "C" fn import_1<P: Stateful>(
    instance: Instance,
    schema: u32,
    bytes: RSlice<'_, u8>,
    error: &mut RawBuffer,
) -> Status {
    guard(error, || {
        let mut lent = LentBytes::new(bytes.as_slice());
        state::import(plugin::<P>(&instance), schema, &mut StateReader::new(lent.source()))
    })
}
