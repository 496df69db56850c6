//! The edit of a plugin's table, as a host brings it.

use std::sync::PoisonError;

use super::{Running, answer};
use crate::abi::CONFIG_EXTENSION;
use crate::{Error, Export, Result};

impl<P: Export> Running<P> {
    /// Brings the plugin's table as somebody changed it. The host's own look at it, by the schema that the plugin declares, is not part
    /// of this.
    ///
    /// # Errors
    /// The plugin refuses it, or has no `on_config`; the table before holds.
    pub fn configure(&self, config: serde_json::Value) -> Result<()> {
        let (id, revision) = CONFIG_EXTENSION;
        // SAFETY: it was asked for in these words, and the table is this program's own.
        let table = unsafe { (self.module.extension())(id.into(), revision).as_config() };
        let table = table.ok_or_else(|| Error::msg("configure: the plugin is of an older contract"))?;
        let json = config.to_string();
        answer(|error| (table.changed)(self.instance, json.as_bytes().into(), error))?;
        *self.host.config.lock().unwrap_or_else(PoisonError::into_inner) = Some(config);
        Ok(())
    }
}
