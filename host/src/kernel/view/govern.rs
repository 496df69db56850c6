//! What the outside sees of how services are governed.

use serde::{Deserialize, Serialize};

use super::Phase;

/// Where a circuit breaker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls are refused at once.
    Open,
    /// A few calls are let in to see whether the service is well again.
    HalfOpen,
}

/// What somebody wants of a breaker, whatever the calls come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum BreakerForce {
    /// No call passes.
    Open,
    /// All calls pass.
    Close,
}

/// The circuit breaker of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct BreakerView {
    /// Where it is.
    pub state: BreakerState,
    /// Whether somebody holds it there.
    pub forced: Option<BreakerForce>,
    /// Why it opened last, in this run of the host.
    pub why: Option<String>,
    /// How often it opened in this run of the host.
    pub opened: u64,
    /// How long until the first call is let in to see; 0 when the next one is.
    pub again_in_ms: Option<u64>,
}

/// What the supervision made of a service in this run of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Supervised {
    /// Restarts by supervision.
    pub restarts: u64,
    /// Of these, such as count against `max_restarts` now.
    pub lately: u64,
    /// Why it was restarted last.
    pub why: Option<String>,
    /// When that was, milliseconds since 1970.
    pub unix_ms: Option<u64>,
    /// What became of its state then.
    pub state: Option<String>,
}

/// A service that another one requires, and that does not serve.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Missing {
    /// The service.
    pub service: String,
    /// Where it is in its life; `null` where no file holds it.
    pub phase: Option<Phase>,
}

/// What a command does, or would do, to one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is started.
    Start,
    /// It is stopped.
    Stop,
    /// It is stopped, and started again.
    Restart,
    /// It serves on, without what it requires.
    Keep,
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Action::Start => "start",
            Action::Stop => "stop",
            Action::Restart => "restart",
            Action::Keep => "keep",
        })
    }
}

/// One step of what a command does, or would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Planned {
    /// Those of one number go at once, and after those of the number before.
    pub level: u32,
    /// The service.
    pub service: String,
    /// What is done to it.
    pub action: Action,
    /// The service that it is done for, where it is not one that was named.
    pub because_of: Option<String>,
    /// How: `when_dependency_stops` of the service, or what it waits for.
    pub note: Option<String>,
}
