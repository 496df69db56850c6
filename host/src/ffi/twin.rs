//! A twin: a second instance of a loaded plugin, never started, on which a migration is rehearsed.

use hotbay_plugin_api::abi::{Instance, PluginModuleRef, Status};

use super::Plugin;
use super::plugin::{Answer, answer};
use super::state::{Lending, Source, StateTable, Written};

/// Whatever keeps a plugin loaded for as long as it lives, wherever it is moved.
pub(crate) trait Holds {
    /// Always the same plugin.
    fn plugin(&self) -> &Plugin;
}

/// A second instance, of the same library, which calls no other services. Dropped where its callbacks run: that ends it.
pub(crate) struct Twin<H> {
    module: PluginModuleRef,
    state: StateTable,
    instance: Instance,
    // Last (F4): the library that the fields above point into stays open.
    _holder: H,
}

impl<H: Holds> Twin<H> {
    /// Creates the twin of a plugin with state; `None` without.
    pub(crate) fn create(holder: H) -> Result<Option<Self>, (Status, String)> {
        let (module, link, state) = holder.plugin().model();
        let Some(state) = state else { return Ok(None) };
        let mut instance = Instance::NONE;
        answer(|error| (module.create())(link, &mut instance, error))?;
        Ok(Some(Self { module, state, instance, _holder: holder }))
    }
}

impl<H> Twin<H> {
    pub(crate) fn import(&self, schema: u32, source: Source<'_>) -> Answer {
        self.state.import(self.instance, schema, source)
    }

    pub(crate) fn export(&self, schema: u32, lending: Lending<'_>) -> Written {
        self.state.export(self.instance, schema, lending)
    }
}

impl<H> Drop for Twin<H> {
    fn drop(&mut self) {
        if let Err((_, error)) = answer(|error| (self.module.destroy())(self.instance, error)) {
            tracing::warn!(error, "dropping the twin of a plugin failed");
        }
    }
}
