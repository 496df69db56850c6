//! The state extension: what a plugin hands on to its next version.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use serde::{Serialize, de::DeserializeOwned};

use crate::{Error, Plugin, Result};

/// The state of a plugin, ready to be exported while calls run.
///
/// A lock around your type: an export shows the one moment between two writes. A panic while it is held does not
/// lock it for ever; write in one step what belongs together.
#[derive(Debug, Default)]
pub struct State<T> {
    value: RwLock<T>,
}

impl<T> State<T> {
    /// State that begins with this value.
    pub const fn new(value: T) -> Self {
        Self { value: RwLock::new(value) }
    }

    /// The state, to read.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.value.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state, to change.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.value.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A plugin with state that goes on: over each swap, and over a restart of the host, sealed.
///
/// Say so in the export: `export_plugin!(Counter: Stateful)`. The state is written as JSON, which a later version
/// with more fields still reads (`#[serde(default)]`); when the shape changes more than that, raise [`SCHEMA`] and
/// bring the old shape along in [`migrate`].
///
/// [`SCHEMA`]: Stateful::SCHEMA
/// [`migrate`]: Stateful::migrate
pub trait Stateful: Plugin {
    /// The shape of the state.
    type State: Serialize + DeserializeOwned + Send + Sync + 'static;

    /// The version of that shape, which this plugin writes.
    const SCHEMA: u32 = 1;

    /// Other schema versions that [`migrate`](Stateful::migrate) understands.
    const READS: &'static [u32] = &[];

    /// Where the state lives.
    ///
    /// Called by: the host's export and import. State: created; for an export also started. Thread: a lane; an
    /// export may run beside calls. May call back: no. Panic: the export or import fails, and with it a swap.
    fn state(&self) -> &State<Self::State>;

    /// Turns state of another schema into this one.
    ///
    /// Called by: an import, for the versions in [`READS`](Stateful::READS). Thread: a lane. May call back: log.
    /// Panic: the import fails.
    ///
    /// # Errors
    /// The import fails: in a swap the old generation goes on, at start the service does not start.
    fn migrate(schema: u32, state: serde_json::Value) -> Result<Self::State> {
        let _ = state;
        Err(Error::msg(format_args!("migrate state of schema {schema}: the plugin has no step from there")))
    }
}

/// Writes the state into `out`.
pub(crate) fn export<P: Stateful>(plugin: &P, out: impl std::io::Write) -> Result<()> {
    serde_json::to_writer(out, &*plugin.state().read())
        .map_err(|e| Error::msg(format_args!("export the state as JSON: {e}")))
}

/// Replaces the state by the one in `bytes`, migrated when it is of another schema.
pub(crate) fn import<P: Stateful>(plugin: &P, schema: u32, bytes: &[u8]) -> Result<()> {
    let value = if schema == P::SCHEMA {
        serde_json::from_slice(bytes)
            .map_err(|e| Error::msg(format_args!("import state of schema {schema}: {e}")))?
    } else if P::READS.contains(&schema) {
        let old = serde_json::from_slice(bytes)
            .map_err(|e| Error::msg(format_args!("import state of schema {schema}: {e}")))?;
        P::migrate(schema, old)?
    } else {
        return Err(Error::msg(format_args!(
            "import state of schema {schema}: this version reads {} and writes {}",
            Versions(P::READS),
            P::SCHEMA
        )));
    };
    *plugin.state().write() = value;
    Ok(())
}

struct Versions(&'static [u32]);

impl std::fmt::Display for Versions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no other");
        }
        for (at, version) in self.0.iter().enumerate() {
            write!(f, "{}{version}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}
