//! The state extension as a plugin has it: revision 2, or 1 of one that was built against contract 1.0.

use hotbay_plugin_api::abi::{
    Instance, LentBytes, Limited, PluginModuleRef, STATE_EXTENSION, STATE_EXTENSION_1, StateExtension,
    StateExtension1, Status,
};

use super::plugin::{Answer, answer};

/// The functions of a plugin's state.
#[derive(Clone, Copy)]
pub(super) enum StateTable {
    Current(&'static StateExtension),
    First(&'static StateExtension1),
}

impl StateTable {
    /// The newest that the plugin has and this host knows. Whoever keeps it keeps the library open (F4).
    pub(super) fn of(module: PluginModuleRef) -> Option<Self> {
        let ask = |(id, revision): (&str, u32)| (module.extension())(id.into(), revision);
        // SAFETY: F4; it was asked for in these words, and the caller keeps the answer beside the library.
        let current = unsafe { ask(STATE_EXTENSION).as_state() }.map(Self::Current);
        // SAFETY: as above.
        current.or_else(|| unsafe { ask(STATE_EXTENSION_1).as_state_1() }.map(Self::First))
    }

    pub(super) fn changes(self, instance: Instance) -> Result<Option<u64>, (Status, String)> {
        let Self::Current(table) = self else { return Ok(None) };
        let mut count = 0;
        answer(|error| (table.changes)(instance, &mut count, error)).map(|()| Some(count))
    }

    pub(super) fn export(self, instance: Instance, schema: u32, out: &mut Limited) -> Answer {
        let mut lent = out.lend();
        // SAFETY: A2 of the contract; it stays where it is.
        let out = unsafe { lent.out().into_raw() };
        answer(|error| match self {
            Self::Current(table) => (table.export)(instance, schema, out, error),
            Self::First(table) => (table.export)(instance, out, error),
        })
    }

    pub(super) fn import(self, instance: Instance, schema: u32, bytes: &[u8]) -> Answer {
        let mut lent = LentBytes::new(bytes);
        // SAFETY: A4 of the contract; it stays where it is.
        let source = unsafe { lent.source().into_raw() };
        answer(|error| match self {
            Self::Current(table) => (table.import)(instance, schema, source, error),
            Self::First(table) => (table.import)(instance, schema, bytes.into(), error),
        })
    }
}
