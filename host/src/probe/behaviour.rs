//! What a plugin did in a run of its whole life, step by step.

use serde::{Deserialize, Serialize};

/// A step of a plugin's life, tried in a process of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Step {
    /// Which: `create`, `call add`, `export` …
    pub step: String,
    /// How it went.
    pub outcome: StepOutcome,
    /// How long it took; of a process that hung or ended in it nobody knows.
    pub micros: Option<u64>,
    /// What there is to say of it.
    pub text: Option<String>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StepOutcome {
    /// As the contract has it.
    Ok,
    /// It is allowed, and worth knowing.
    Warning,
    /// Against the contract. Nothing was tried after it.
    Failed,
    /// It could not be tried here.
    Skipped,
}

impl Step {
    /// A step that its process did not come back from.
    pub(super) fn lost(step: &str, text: String) -> Self {
        Self { step: step.to_owned(), outcome: StepOutcome::Failed, micros: None, text: Some(text) }
    }
}
