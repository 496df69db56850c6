//! What the outside sees of libraries that could not be unmapped.

use serde::{Deserialize, Serialize};

/// An old generation whose library could not be unmapped.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Pinned {
    /// Its generation.
    pub generation: u64,
    /// Its version.
    pub version: String,
    /// What holds it.
    pub reason: String,
    /// The code of that.
    #[serde(default)]
    pub code: Option<String>,
    /// Size of its file, bytes.
    pub bytes: u64,
    /// The kind of what holds it.
    #[serde(default)]
    pub cause: Cause,
    /// Threads that may hold it, where that is the cause.
    #[serde(default)]
    pub holders: Vec<Holder>,
}

/// The kind of what holds a library that could not be unmapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A call or callback is still inside.
    Inside,
    /// A thread of it still runs.
    Thread,
    /// A thread that called it inline holds a thread-local of it.
    ThreadLocal,
    /// Its file is marked to stay mapped.
    Marked,
    /// It cannot be told.
    #[default]
    Unknown,
}

/// A thread that may hold a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Holder {
    /// The system's id of it.
    pub id: u64,
    /// Its name; empty where it has none.
    pub name: String,
    /// Why it may.
    pub kind: HolderKind,
}

/// Why a thread may hold a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HolderKind {
    /// It runs code of the library.
    Runs,
    /// It began while the library was loaded, and is none of the host's own; what it runs cannot be seen.
    Began,
    /// It called the plugin inline.
    Called,
}
