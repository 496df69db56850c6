//! The manifest: what a plugin says of itself, readable from its file without running it.
//!
//! The author writes a [`Declaration`]; `export_plugin!` encodes it at compile time into an exported static,
//! [`Embedded`]; the host finds the symbol in the file and parses the JSON into a [`Manifest`].

mod encode;
pub(crate) mod json;
mod schema;
mod subject;

pub use subject::is_valid_pattern;

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
    /// Services that it uses where they run. It starts without them.
    #[serde(default)]
    pub wants: Vec<String>,
    /// Methods that may be called twice where once was meant: a host may try them again. Of [`Manifest::methods`].
    #[serde(default)]
    pub idempotent: Vec<String>,
    /// Among services that could start next, the higher number goes first. 0 by default.
    #[serde(default)]
    pub priority: i32,
    /// The methods it answers; empty when it does not say.
    #[serde(default)]
    pub methods: Vec<String>,
    /// The topics it subscribes to: patterns, as in `orders.*`.
    #[serde(default)]
    pub topics: Vec<String>,
    /// The queue group that it subscribes in; empty for none.
    #[serde(default)]
    pub queue: String,
    /// The topics whose requests it answers: patterns.
    #[serde(default)]
    pub answers: Vec<String>,
    /// The streams that can be opened of it, by name.
    #[serde(default)]
    pub streams: Vec<String>,
    /// Streams that the next version goes on with: of [`Manifest::streams`].
    #[serde(default)]
    pub resumable: Vec<String>,
    /// What it asks the host for.
    #[serde(default)]
    pub capabilities: Vec<String>,
    /// The JSON schema of its table of `hotbay.toml`; absent for a plugin that takes any.
    #[serde(default)]
    pub config: Option<serde_json::Value>,
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

/// Schema versions of a plugin's state, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schema {
    /// The one that it writes, and reads.
    pub writes: u32,
    /// What the bytes of that are, as a media type.
    #[serde(default = "json")]
    pub content_type: String,
    /// Others that it reads.
    #[serde(default)]
    pub reads: Vec<u32>,
    /// Older ones that it writes where it is asked to: for a version that takes over again.
    #[serde(default)]
    pub back: Vec<Older>,
}

/// An older schema version, in which state can be written for an older version of the plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Older {
    /// The version.
    pub writes: u32,
    /// What the bytes are then.
    pub content_type: String,
}

/// What contract 1.0 wrote, which does not say so.
fn json() -> String {
    "application/json".to_owned()
}

impl Schema {
    /// Whether state of this schema version can be imported.
    #[must_use]
    pub fn accepts(&self, version: u32) -> bool {
        self.writes == version || self.reads.contains(&version)
    }

    /// What the bytes are that are written in this schema version; `None` of one that is not written.
    #[must_use]
    pub fn content_type_of(&self, version: u32) -> Option<&str> {
        let older =
            || self.back.iter().find(|older| older.writes == version).map(|older| &older.content_type);
        let own = (self.writes == version).then_some(&self.content_type);
        own.or_else(older).map(String::as_str)
    }

    /// Which schema version a plugin with this state hands to one with `next`: its own where that is read, or else the newest
    /// of those that it goes back to. Never back for a version that writes a newer one: what the own schema adds would be lost on
    /// the way.
    #[must_use]
    pub fn handed_to(&self, next: &Schema) -> Option<u32> {
        let older = self.back.iter().map(|older| older.writes).filter(|older| next.accepts(*older)).max();
        let older = older.filter(|_| next.writes < self.writes);
        next.accepts(self.writes).then_some(self.writes).or(older)
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

    fn state(json: &str) -> Schema {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn state_goes_over_in_its_own_schema_where_that_is_read_and_else_in_the_newest_that_both_know() {
        let newer = state(
            r#"{"writes":4,"content_type":"a/b","reads":[1,2,3],"back":[{"writes":2,"content_type":"c/d"},{"writes":3,"content_type":"e/f"}]}"#,
        );
        for (older, handed) in [
            (r#"{"writes":5,"reads":[4,3]}"#, Some(4)),
            (r#"{"writes":3,"reads":[1,2]}"#, Some(3)),
            (r#"{"writes":2,"reads":[1]}"#, Some(2)),
            (r#"{"writes":1}"#, None),
            // Its author forgot the step from 4.
            (r#"{"writes":5,"reads":[3]}"#, None),
        ] {
            assert_eq!(newer.handed_to(&state(older)), handed, "{older}");
        }
        let types: Vec<_> = (1..=4).map(|schema| newer.content_type_of(schema)).collect();
        assert_eq!(types, [None, Some("c/d"), Some("e/f"), Some("a/b")]);
    }

    #[test]
    fn contract_1_0_wrote_json() {
        assert_eq!(state(r#"{"writes":1,"reads":[]}"#).content_type_of(1), Some("application/json"));
    }

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
