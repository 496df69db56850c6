//! What a plugin's context gives it at a moment.

use serde::{Deserialize, Serialize};

/// Of the generation that serves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Given {
    /// The names of the threads that the host started for it and that run.
    pub threads: Vec<String>,
    /// Timers that have not ended.
    pub timers: u64,
    /// Threads and ticks of timers that ended with an error.
    pub failures: u64,
    /// The same that panicked.
    pub panics: u64,
    /// Streams that it handles.
    #[serde(default)]
    pub streams: u64,
    /// Streams of other services that it has opened.
    #[serde(default)]
    pub opened: u64,
}
