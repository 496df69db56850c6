//! What can be set: `hotbay.toml`, and what the command line says over it.
//!
//! ```toml
//! plugins = "plugins"         # the folder that plugins are dropped into
//! home = ".hotbay"            # everything that a run leaves behind
//!
//! [watch]
//! mode = "native"             # or "poll", where the system tells nothing, as on network mounts
//! settle_ms = 200             # a file being written is taken when it stood still for so long
//! rescan_ms = 2000            # the folder is read again at least so often
//! grace_ms = 1000             # a file gone for so long is deleted; one back sooner was replaced
//!
//! [swap]
//! callback_ms = 5000          # for each of create, import, export, start, stop, pause and resume
//! drain_ms = 5000             # for the calls inside the old generation
//! max_pinned_mib = 256        # when old code that cannot be unmapped has more than that, nothing more is swapped
//! rehearse = "schema"         # try a migration before callers wait: where the schema changes; or "always", "never"
//!
//! [probation]                 # after a swap, while the version before is at hand
//! window_ms = 10000           # for so long; 0 turns it off
//! window_calls = 1000         # or for so many calls, whichever comes first
//! min_calls = 20              # nothing is judged by fewer
//! max_error_rate = 0.5        # more failed calls than this share, and than before: back to the version before
//!
//! [state]
//! interval_ms = 2000          # state that changed is written this often
//! max_bytes = 268435456       # a plugin that exports more is stopped there: 256 MiB
//! keep = 5                    # snapshots of a service that are kept, the newest among them
//! key_file = "state.key"      # and, or, key_credential = "NAME", key_env = "NAME": the first of them seals, all of them open;
//!                             # without any a key is made in the home folder
//!
//! [probe]
//! mode = "cached"             # or "always", "off"
//! deadline_ms = 5000
//! program = "my-probe"        # for programs that embed the host
//! memory_mib = 2048           # what it may have of memory; 0 for no bound
//! env = []                    # variables that it is told beside those that the system needs
//!
//! [trust]
//! unsigned = "warn"           # or "refuse", "allow"; without it: allow where only the user can write, else refuse
//! exposed_home = "refuse"     # or "allow": a home folder that others could put another in the place of
//! keys.release = "RWQf6L…"    # may sign for every service
//! keys.vendor = { key = "RWRz3…", services = ["greeter"] }
//! pins.greeter = "b1f0…"      # the digest, or a list of those, that may provide the service
//!
//! [log]                       # counts as soon as the file is saved
//! level = "info"              # error, warn, info, debug, trace
//! plugins.greeter = "debug"   # of one plugin
//!
//! [service.greeter]           # how much the service `greeter` takes at once
//! lanes = 1                   # threads that answer its requests
//! mailbox = 1024              # requests that may wait; more are turned away
//! messages = 1024             # messages that may wait
//! message_bytes = 67108864    # bytes of these
//! when_full = "block"         # one more makes its sender wait; or "reject", "drop-oldest"
//! when_stopped = "reject"     # messages to it are not taken while it is stopped; or "keep": they wait
//! store = "kv"                # the service that keeps its keys and values, `Context::kv`
//! http.hosts = ["api.example.com", "*.example.org", "127.0.0.1:8080"]    # whom it may ask by `Context::http`; nobody by default
//! http.private = false        # whether names may lead to addresses of this machine and of private networks
//!
//! when_dependency_stops = "keep" # or "stop" before it and start after it; or "restart" when it is there again
//! deadline_ms = 30000         # for requests whose caller does not say
//! max_concurrent = 8          # calls that may be inside at once; without it any number
//! max_rate = 100              # calls per second; without it any number
//! max_burst = 20              # of these, such as may come at once; without it a second's worth
//! retries = 0                 # of calls that were not answered, where the plugin declares the method idempotent
//! retry_pause_ms = 20         # before the first; doubled before each that follows
//!
//! [service.greeter.breaker]   # calls are refused at once where too many fail; without this table they never are
//! error_rate = 0.5            # a larger share than this
//! min_calls = 20              # of so many at least
//! window_ms = 10000           # within this
//! open_ms = 5000              # for so long
//! trials = 3                  # then so many are let in to see
//!
//! [supervision]               # what has a service restarted from its last snapshot; or [service.greeter.supervision]
//! panics = 5                  # so many with no good answer between them; 0 turns it off
//! hang_ms = 30000             # a thread is in a call that nobody waits for any more; 0 turns it off
//! max_error_rate = 0.9        # a larger share of calls fails; without it that restarts nobody
//! min_calls = 20              # of so many at least
//! error_window_ms = 10000     # within this
//! max_restarts = 3            # one more within `window_ms`, and the service is quarantined
//! window_ms = 60000
//! backoff_ms = 100            # before the first restart; doubled before each that follows
//! max_backoff_ms = 10000
//!
//! [plugin.greeter]            # whatever the plugin `greeter` reads
//! greeting = "Good day"
//! ```
//!
//! A path in the file is relative to the folder of the file.

mod error;
mod file;
mod govern;
mod hint;
mod http;
pub(crate) mod level;
mod load;
mod schema;
mod service;
mod source;
#[cfg(test)]
mod tests;
mod trust;
mod values;

pub use error::ConfigError;
pub use govern::{Breaker, Supervision, WhenDependencyStops};
pub use http::{AllowedHost, Http};
pub use level::Spell;
pub use load::FILE;
pub(crate) use schema::{Misfit, Schema, Unread};
pub use service::{Service, WhenStopped};
pub(crate) use source::Source;
pub use trust::{ExposedHome, SigningKey, Trust, Unsigned};
pub(crate) use values::told;
pub use values::{Origin, Setting};

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// All settings of a host. [`Config::default`] is what an empty `hotbay.toml` means.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Config {
    /// The folder that plugins are dropped into.
    pub plugins: PathBuf,
    /// The folder of everything that a run leaves behind.
    pub home: PathBuf,
    /// `[watch]`
    pub watch: Watch,
    /// `[swap]`
    pub swap: Swap,
    /// `[probation]`
    pub probation: Probation,
    /// `[state]`
    pub state: State,
    /// `[probe]`
    pub probe: Probe,
    /// `[trust]`
    pub trust: Trust,
    /// `[log]`
    pub log: Log,
    /// `[supervision]`: what has a service restarted; what a service's own says stands over it.
    pub supervision: Supervision,
    /// `[service.NAME]`: how much a service takes at once; one that is not named takes [`Service::default`].
    pub service: BTreeMap<String, Service>,
    /// `[plugin.NAME]`: each plugin's own table, by service.
    pub plugin: BTreeMap<String, serde_json::Value>,
    /// What it was read from: a host looks there again.
    pub(crate) source: Source,
}

/// How files are noticed.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Watch {
    /// `mode = "native" | "poll"`: poll where the system tells nothing, as on network mounts.
    pub mode: WatchMode,
    /// `settle_ms`: a file that is being written is taken when it stood still for so long.
    pub settle: Duration,
    /// `rescan_ms`: the folder is read again at least so often, whatever the system tells.
    pub rescan: Duration,
    /// `grace_ms`: a file that is gone for so long is deleted; one that is back sooner was replaced.
    pub grace: Duration,
}

/// How changes of the folder are noticed between two rescans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WatchMode {
    /// By the system's notifications.
    Native,
    /// By looking.
    Poll,
}

/// Deadlines and limits of a swap.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Swap {
    /// `callback_ms`: for each of create, import, export, start, stop, pause and resume.
    pub callback: Duration,
    /// `drain_ms`: for the calls that are inside the old generation.
    pub drain: Duration,
    /// `max_pinned_mib`: when the files of all pinned generations have more than so many MiB together, nothing is swapped
    /// until some of them are gone; 0 allows none.
    pub max_pinned_mib: u64,
    /// `rehearse = "schema" | "always" | "never"`: whether a copy of the state goes there and back before callers wait.
    pub rehearse: Rehearse,
}

/// Which swaps are rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Rehearse {
    /// Those to another schema version.
    Schema,
    /// All that carry state.
    Always,
    /// None: a migration that fails is found while callers wait.
    Never,
}

/// How a version is watched after a swap, while the version before is at hand.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Probation {
    /// `window_ms`: for so long at most; 0 turns it off.
    pub window: Duration,
    /// `window_calls`: for so many calls at most.
    pub window_calls: u64,
    /// `min_calls`: nothing is judged by fewer calls; no more than `window_calls`.
    pub min_calls: u64,
    /// `max_error_rate`: where a larger share of calls fails, and a larger one than in the version before, that one comes
    /// back.
    pub max_error_rate: f64,
}

impl Probation {
    /// Whether versions are watched at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.window.is_zero()
    }
}

/// Sealed state.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct State {
    /// `interval_ms`: state that changed is written this often.
    pub interval: Duration,
    /// `max_bytes`: a plugin's export is stopped there, and no more is imported. Up to 16 MiB are in memory, twice, on their way to the
    /// next version; what is longer goes through a file.
    pub max_bytes: u64,
    /// `keep`: so many snapshots of a service are kept, the newest among them.
    pub keep: usize,
    /// Where the keys come from, in this order. The first key of the first source seals; all others open what they sealed before.
    /// None is as good as [`KeySource::Home`].
    pub keys: Vec<KeySource>,
}

/// Where keys that seal state come from. Each may hold several: its first is the one that seals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// `state.key` in the home folder, made on the first run.
    Home,
    /// `key_file = "PATH"`: must exist.
    File(PathBuf),
    /// `key_credential = "NAME"`: the file of that name in the folder that `CREDENTIALS_DIRECTORY` names, where systemd lays
    /// a service's credentials.
    Credential(String),
    /// `key_env = "NAME"`: hex or base64 of 16, 24 or 32 bytes. The host warns: what is in the environment, others may see.
    Environment(String),
}

/// The throw-away process that maps a file before the host does.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Probe {
    /// `mode = "cached" | "always" | "off"`
    pub mode: ProbeMode,
    /// `deadline_ms`
    pub deadline: Duration,
    /// The binary that runs the probe, for programs that embed the host; by default the running one.
    pub program: Option<PathBuf>,
    /// `memory_mib`, in bytes: what a probe may have of memory, `None` for no bound. (Linux and Windows: macOS bounds no memory.)
    pub memory: Option<u64>,
    /// `env`: environment variables that a probe is told beside those that the system needs to run a program.
    pub env: Vec<String>,
}

/// Which files are probed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeMode {
    /// Each digest once per run.
    Cached,
    /// Each load.
    Always,
    /// None: a file that crashes while it is loaded takes the host with it.
    Off,
}

/// The log.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Log {
    /// `level = "error" | "warn" | "info" | "debug" | "trace"`, of plugins and host.
    pub level: hotbay_plugin_api::Level,
    /// `plugins.NAME = "debug"`, of one plugin.
    pub plugins: BTreeMap<String, hotbay_plugin_api::Level>,
    /// Whether something else than `level` says what is logged, as `HOTBAY_LOG` does: plugins without a level of their own are then asked for
    /// everything, and who listens picks.
    pub(crate) is_over: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            plugins: "plugins".into(),
            home: ".hotbay".into(),
            watch: Watch {
                mode: WatchMode::Native,
                // A writer that copies pauses for some milliseconds between blocks; a person does not notice 200.
                settle: Duration::from_millis(200),
                rescan: Duration::from_secs(2),
                grace: Duration::from_secs(1),
            },
            swap: Swap {
                callback: Duration::from_secs(5),
                drain: Duration::from_secs(5),
                // Hundreds of versions of a small plugin, and a fraction of what a server has.
                max_pinned_mib: 256,
                rehearse: Rehearse::Schema,
            },
            probation: Probation {
                window: Duration::from_secs(10),
                window_calls: 1000,
                min_calls: 20,
                max_error_rate: 0.5,
            },
            state: State {
                interval: Duration::from_secs(2),
                max_bytes: 256 << 20,
                keep: hotbay_state::KEPT,
                keys: vec![KeySource::Home],
            },
            probe: Probe {
                mode: ProbeMode::Cached,
                deadline: Duration::from_secs(5),
                program: None,
                memory: Some(2048 << 20),
                env: Vec::new(),
            },
            trust: Trust::default(),
            log: Log { level: hotbay_plugin_api::Level::Info, plugins: BTreeMap::new(), is_over: false },
            supervision: Supervision::default(),
            service: BTreeMap::new(),
            plugin: BTreeMap::new(),
            source: Source::default(),
        }
    }
}
