//! The manifest: what a plugin says of itself, readable from its file without running it.
//!
//! The author writes a [`Declaration`]; `export_plugin!` encodes it at compile time into an exported static,
//! [`Embedded`]; the host finds the symbol in the file and parses the JSON into a [`Manifest`].

mod encode;

pub use encode::{Declaration, Embedded, encoded_len};

use serde::{Deserialize, Serialize};

/// What stands before the JSON in the file.
pub const MAGIC: [u8; 16] = *b"HOTBAY-MANIFEST\0";

/// A plugin's manifest as the host reads it. Fields that a later contract adds are passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The service that the plugin registers: `[a-z0-9_-]{1,64}`.
    pub name: String,
    /// Its version, semver.
    pub version: String,
    /// The contract that it was built against, `major.minor`.
    pub contract: String,
    /// Services that must run before it starts.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Among services that could start next, the higher number goes first. 0 by default.
    #[serde(default)]
    pub priority: i32,
    /// The methods it answers; empty when it does not say.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The topics it subscribes to.
    #[serde(default)]
    pub topics: Vec<String>,
    /// What it asks the host for.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The state it hands on; absent for a plugin without state.
    #[serde(default)]
    pub state: Option<Schema>,
    /// The compiler that built it.
    #[serde(default)]
    pub toolchain: String,
    /// The target triple that it was built for.
    #[serde(default)]
    pub target: String,
    /// `unwind` or `abort`. A plugin that aborts on panic would take the host with it, and is refused.
    #[serde(default)]
    pub panic: String,
}

/// Schema versions of a plugin's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The one that it writes, and reads.
    pub writes: u32,
    /// Others that it reads.
    #[serde(default)]
    pub reads: Vec<u32>,
}

impl Schema {
    /// Whether state of this schema version can be imported.
    #[must_use]
    pub fn accepts(&self, version: u32) -> bool {
        self.writes == version || self.reads.contains(&version)
    }
}

/// Whether `name` may name a service: `[a-z0-9_-]{1,64}`, and no device name of Windows (`con`, `nul`, `com1` …), since
/// names become file names.
#[must_use]
pub const fn is_valid_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 {
        return false;
    }
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-') {
            return false;
        }
        at += 1;
    }
    !is_device(bytes)
}

const fn is_device(name: &[u8]) -> bool {
    match name {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [b'c', b'o', b'm', digit] | [b'l', b'p', b't', digit] => digit.is_ascii_digit(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_not_be_files_everywhere_are_refused() {
        for good in ["echo", "a", "echo-v2", "my_service9", &"x".repeat(64), "console", "com10"] {
            assert!(is_valid_name(good), "{good}");
        }
        for bad in
            ["", "Echo", "a.b", "../x", "a/b", "é", "a b", "con", "com1", "lpt9", "nul", &"x".repeat(65)]
        {
            assert!(!is_valid_name(bad), "{bad}");
        }
    }
}
