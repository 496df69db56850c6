//! Levels of the log, as they are written.

use hotbay_plugin_api::Level;
use serde::{Deserialize, Serialize};

/// A level as it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Spell {
    /// Something failed.
    Error,
    /// Something is odd and goes on.
    Warn,
    /// What an operator wants to know.
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

impl From<Spell> for Level {
    fn from(spelt: Spell) -> Self {
        match spelt {
            Spell::Error => Level::Error,
            Spell::Warn => Level::Warn,
            Spell::Info => Level::Info,
            Spell::Debug => Level::Debug,
            Spell::Trace => Level::Trace,
        }
    }
}

/// How a level is written.
pub(crate) fn spelt(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

/// The same by its number; what is no level is said at the lowest.
pub(crate) fn spelt_number(level: u32) -> &'static str {
    match level {
        1 => "error",
        2 => "warn",
        3 => "info",
        4 => "debug",
        _ => "trace",
    }
}
