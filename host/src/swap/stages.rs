//! What is on record of a swap: how long each stage took, how the rehearsal went, what force cost.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::carry::Capsule;
use crate::error::{Code, Trouble};

/// The record of a swap that is under way.
#[derive(Debug, Default)]
pub(crate) struct Stages {
    /// Times by stage.
    pub(crate) micros: BTreeMap<&'static str, u64>,
    pub(crate) rehearsal: Option<String>,
    pub(crate) forced: Option<String>,
    /// Why the newest state of the old generation is not kept.
    pub(crate) lost: Option<String>,
    /// Where the state goes over in an older schema: all that the old generation had, in its own. It is on disk then.
    pub(crate) whole: Option<Capsule>,
}

impl Stages {
    /// Runs `body` and adds its time to the stage's.
    pub(crate) fn time<T>(&mut self, stage: &'static str, body: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let done = body();
        self.add(stage, begun.elapsed());
        done
    }

    /// Adds to the time of a stage.
    pub(crate) fn add(&mut self, stage: &'static str, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        *self.micros.entry(stage).or_default() += micros;
    }

    /// The same for a step that is the host's own: should it panic, that is its error, and the swap is undone like any other.
    pub(crate) fn guarded<T>(
        &mut self,
        stage: &'static str,
        body: impl FnOnce() -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.time(stage, || guarded(stage, body))
    }
}

/// Runs a step of the host's own; a panic is its error.
pub(crate) fn guarded<T>(step: &str, body: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = format!("the host panicked at step `{step}`, a defect of the host: {}", words(&*panic));
        Err(Trouble::new(Code::Defect, text))
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why")
}
