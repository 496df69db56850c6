//! What the outside sees of the kernel: plain data, and the JSON contracts of the command line.

mod given;
mod pinned;

pub use given::Given;
pub use pinned::{Cause, Holder, HolderKind, Pinned};

use std::collections::BTreeMap;
use std::path::PathBuf;

use hotbay_plugin_api::manifest::Manifest;
use serde::{Deserialize, Serialize};

use crate::error::Blame;

mod govern;

pub use govern::{Action, BreakerForce, BreakerState, BreakerView, Missing, Planned, Supervised};

/// Where a service, or a file that was not taken, is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It is being started, or waits for what it requires.
    Starting,
    /// It answers.
    Running,
    /// It answers, or makes callers wait, while a new generation takes over.
    Swapping,
    /// It was stopped on purpose.
    Stopped,
    /// The file is no plugin that can be loaded.
    Rejected,
    /// The file holds a service that another file provides in a higher version.
    Shadowed,
    /// It could not be started.
    Faulted,
    /// Its state cannot be read, so it is not started with empty state in silence; or it was rolled back and nothing could
    /// take its place.
    Quarantined,
    /// The file holds a version that served and was rolled back: it is not loaded again by itself.
    #[serde(rename = "rolled_back")]
    RolledBack,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Phase::Starting => "starting",
            Phase::Running => "running",
            Phase::Swapping => "swapping",
            Phase::Stopped => "stopped",
            Phase::Rejected => "rejected",
            Phase::Shadowed => "shadowed",
            Phase::Faulted => "faulted",
            Phase::Quarantined => "quarantined",
            Phase::RolledBack => "rolled back",
        })
    }
}

/// A line of `hotbay list`: a service, or a file that was not taken. What is not known is `null`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Row {
    /// The service; of a file that was not taken, the manifest's name, else the file's stem.
    pub name: String,
    /// The plugin's version.
    pub version: Option<String>,
    /// 1 at the first load of the service in this run of the host, +1 per committed swap.
    pub generation: Option<u64>,
    /// Where it is in its life.
    pub phase: Phase,
    /// BLAKE3 of the file's bytes, hex.
    pub digest: Option<String>,
    /// The file.
    pub source: Option<PathBuf>,
    /// Why it is in this phase, where that is not plain.
    pub reason: Option<String>,
    /// The code of the reason, where that is trouble: `HB0204`, which `hotbay explain` knows.
    #[serde(default)]
    pub code: Option<String>,
    /// Who can mend it.
    #[serde(default, deserialize_with = "Blame::if_known")]
    pub blame: Option<Blame>,
    /// How many of its old generations could not be unmapped.
    #[serde(default)]
    pub pinned_generations: u64,
    /// Size of their files, bytes.
    #[serde(default)]
    pub pinned_bytes: u64,
}

/// One service on one screen: `hotbay status NAME`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Status {
    /// As in the list.
    #[serde(flatten)]
    pub row: Row,
    /// What the plugin says of itself.
    #[cfg_attr(feature = "http", schemars(with = "Option<serde_json::Map<String, serde_json::Value>>"))]
    pub manifest: Option<Manifest>,
    /// When it came into this phase, milliseconds since 1970.
    pub since_unix_ms: u64,
    /// Calls answered by the generations of this run.
    pub calls: u64,
    /// Of these, with an error.
    pub errors: u64,
    /// Its circuit breaker; `null` where it has none.
    #[serde(default)]
    pub breaker: Option<BreakerView>,
    /// What supervision made of it; `null` where it was never restarted.
    #[serde(default)]
    pub supervised: Option<Supervised>,
    /// Services that it requires and that do not serve.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// What its context gives it right now; `null` where nothing serves.
    #[serde(default)]
    pub given: Option<Given>,
    /// The newest durable snapshot; `null` without state.
    pub snapshot: Option<Snapshot>,
    /// What was gone back from in this run of the host because it was damaged, and where that is kept.
    #[serde(default)]
    pub recovered: Option<String>,
    /// Old generations whose code is still mapped, and why.
    pub pinned: Vec<Pinned>,
    /// The newest receipt.
    pub last_swap: Option<Receipt>,
    /// Who vouches for the version that serves.
    #[serde(default)]
    pub trust: Option<String>,
    /// Why the file of the settings is not in force as it is now; `null` where it is.
    #[serde(default)]
    pub settings: Option<String>,
    /// The file of the settings, absolute, whether it is there or not; `null` where none is read, or its name is no Unicode.
    #[serde(default)]
    pub configuration: Option<std::path::PathBuf>,
    /// Other files that hold this service.
    pub candidates: Vec<Row>,
    /// Versions that served and were rolled back, oldest first: they are not loaded again by themselves.
    #[serde(default)]
    pub rolled_back: Vec<RolledBack>,
    /// What happened to it, newest last: the last 20 events.
    pub events: Vec<Event>,
}

impl From<hotbay_state::Header> for Snapshot {
    fn from(header: hotbay_state::Header) -> Self {
        let hotbay_state::Header { sequence, schema, plain_len: bytes, created_unix_ms, .. } = header;
        Snapshot { sequence, schema, bytes, created_unix_ms }
    }
}

/// A snapshot of a service's state on disk.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// Counts the snapshots of the service.
    pub sequence: u64,
    /// Schema version of the state.
    pub schema: u32,
    /// Size of the state before sealing, bytes.
    pub bytes: u64,
    /// When it was sealed, milliseconds since 1970.
    pub created_unix_ms: u64,
}

/// A version that served and was rolled back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct RolledBack {
    /// BLAKE3 of the file's bytes, hex.
    pub digest: String,
    /// Its version.
    pub version: String,
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// Why.
    pub reason: String,
    /// The code of the reason.
    #[serde(default)]
    pub code: Option<String>,
}

/// How a swap ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The new generation serves.
    Committed,
    /// The old generation serves on.
    RolledBack,
}

/// What became of a generation's library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Retired {
    /// The mapping is gone: this was looked at.
    Unloaded,
    /// The mapping is still there.
    Pinned,
}

/// One side of a swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Side {
    /// The plugin's version.
    pub version: String,
    /// The generation; of a candidate that was rolled back, the number that it would have had.
    pub generation: u64,
    /// BLAKE3 of the file's bytes, hex.
    pub digest: String,
}

/// What became of the requests of a swap's window: from the start of prepare to the end of the old one's drain.
/// Disjoint: accepted = old + waited + new + lost. Of the new generation's such as have ended when the receipt is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Requests {
    /// Answered by the old generation without waiting at the gate, or told that their deadline had passed in its mailbox. Such
    /// as are still inside when it is left count here; such as are inside when a swap is called off count where they end.
    pub old: u64,
    /// Waited at the gate, then were answered, turned away, or told that their deadline had passed. One that waits at the gates of two swaps
    /// is in the receipt of the first.
    pub waited: u64,
    /// The same by the new generation.
    pub new: u64,
    /// Accepted and never answered.
    pub lost: u64,
    /// Answered more than once.
    pub duplicated: u64,
}

/// What became of the messages of a service in a swap's window. Disjoint: of those that left its mailbox, or waited there when the new
/// generation began to serve or the old one went on, old + waited + new + lost + dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Messages {
    /// Handled by the old generation, an error included.
    pub old: u64,
    /// Waited in the mailbox when the new generation began to serve, or, where it did not come to that, when the old one went on.
    pub waited: u64,
    /// Handled by the new generation, beyond those that had waited, when the receipt is written.
    pub new: u64,
    /// Taken out of the mailbox, and handled by nobody.
    pub lost: u64,
    /// Handled more than once.
    pub duplicated: u64,
    /// Dropped by the mailbox, as it is set to do.
    pub dropped: u64,
}

/// How long requests waited at the gate, microseconds. All zero when none did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Pause {
    /// Half of those that waited, waited no longer.
    pub p50: u64,
    /// 99 of 100 waited no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// The receipt of one swap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Receipt {
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was rolled back; of a swap back to an earlier version, why that was made.
    pub reason: Option<String>,
    /// The code of the reason.
    #[serde(default)]
    pub code: Option<String>,
    /// Who can mend it.
    #[serde(default, deserialize_with = "Blame::if_known")]
    pub blame: Option<Blame>,
    /// When it ended, milliseconds since 1970.
    pub unix_ms: u64,
    /// The generation that served before.
    pub from: Side,
    /// The candidate.
    pub to: Side,
    /// What became of the requests meanwhile.
    pub requests: Requests,
    /// What became of its messages meanwhile.
    #[serde(default)]
    pub messages: Messages,
    /// How long requests waited.
    pub pause_us: Pause,
    /// How long each stage took, microseconds.
    pub stages_us: BTreeMap<String, u64>,
    /// Size of the state that was carried, bytes.
    pub state_bytes: u64,
    /// What became of the library that does not serve any more.
    pub retired: Retired,
    /// What holds it, when it is pinned.
    pub retired_reason: Option<String>,
    /// Whether this was the way back from a version that had served: `to` is then the last good one.
    #[serde(default)]
    pub rollback: bool,
    /// Of a way back: where its state is from, `carried` or which snapshot. `null` without state.
    #[serde(default)]
    pub state_from: Option<String>,
    /// How the rehearsal of the state's migration went: `passed`, `skipped`, or what went wrong; `null` without state.
    #[serde(default)]
    pub rehearsal: Option<String>,
    /// What it cost that the swap was forced: from which snapshot it went on, how old that was, and why.
    #[serde(default)]
    pub forced: Option<String>,
}

/// Something that happened: a line of `hotbay events`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Event {
    /// Counts the events of this run of the host.
    pub sequence: u64,
    /// When, milliseconds since 1970.
    pub unix_ms: u64,
    /// What: `discovered verified probed loaded started swapped passed drained unloaded stopped snapshot resealed removed` on the way of a
    /// plugin's life, `configured config_refused` of settings, `recovered shadowed rejected faulted quarantined rolled_back pinned restarting
    /// dependency breaker` beside it.
    pub kind: String,
    /// The service, where it is known.
    pub service: Option<String>,
    /// The plugin's version, where it is known.
    pub version: Option<String>,
    /// The generation, where there is one.
    pub generation: Option<u64>,
    /// One line for people.
    pub text: String,
    /// The code of what it tells, where that is trouble.
    #[serde(default)]
    pub code: Option<String>,
    /// Who can mend it.
    #[serde(default, deserialize_with = "Blame::if_known")]
    pub blame: Option<Blame>,
}

pub(crate) const MIB: u64 = 1 << 20;

/// A size in words: `4.7 MiB`.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{}.{} MiB", bytes / MIB, bytes % MIB * 10 / MIB)
}
