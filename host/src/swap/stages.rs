//! How long each stage of a swap took.

use std::collections::BTreeMap;
use std::time::Instant;

/// Times by stage, microseconds.
#[derive(Debug, Default)]
pub(crate) struct Stages(BTreeMap<String, u64>);

impl Stages {
    /// Runs `body` and adds its time to the stage's.
    pub(crate) fn time<T>(&mut self, stage: &str, body: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = body();
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        *self.0.entry(stage.to_owned()).or_default() += micros;
        done
    }

    pub(crate) fn into_micros(self) -> BTreeMap<String, u64> {
        self.0
    }
}
