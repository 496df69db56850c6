//! Start: bring the state along and let the plugin take what it needs from outside.

use std::sync::Arc;
use std::time::Duration;

use hotbay_plugin_api::abi::Status;

use crate::ffi::{Answer, Plugin};
use crate::kernel::generation::Generation;
use crate::kernel::lane::LaneError;
use crate::load::Loaded;

/// A generation that answers.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) generation: Arc<Generation>,
}

/// A life-cycle callback that did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CallbackError {
    /// It says no.
    #[error("{callback} failed: {text}")]
    Failed { callback: &'static str, text: String },
    /// It panicked.
    #[error("{callback} panicked: {text}")]
    Panicked { callback: &'static str, text: String },
    /// It hangs. Its lane is left behind.
    #[error("{callback} did not end within {} ms", deadline.as_millis())]
    Hangs { callback: &'static str, deadline: Duration },
}

/// Starts a loaded plugin. On failure it comes back, to unload.
pub(crate) fn start(loaded: Loaded, deadline: Duration) -> Result<Started, (Loaded, CallbackError)> {
    match start_again(&loaded.generation, deadline) {
        Ok(()) => Ok(Started { generation: loaded.generation }),
        Err(error) => Err((loaded, error)),
    }
}

/// Starts a plugin, also one that was stopped. One that comes out of its `start` late is stopped again.
pub(crate) fn start_again(generation: &Arc<Generation>, deadline: Duration) -> Result<(), CallbackError> {
    callback(generation, "start", deadline, Plugin::start, |plugin, answer| {
        if answer.is_ok() {
            let _ = plugin.stop();
        }
    })
}

/// Stops a plugin.
pub(crate) fn stop(generation: &Arc<Generation>, deadline: Duration) -> Result<(), CallbackError> {
    callback(generation, "stop", deadline, Plugin::stop, |_, _| {})
}

/// Pauses a plugin. One that comes out of its `pause` late, or with an error, is resumed: it serves on.
pub(crate) fn pause(generation: &Arc<Generation>, deadline: Duration) -> Result<(), CallbackError> {
    let paused = callback(generation, "pause", deadline, Plugin::pause, |plugin, _| drop(plugin.resume()));
    if let Err(CallbackError::Failed { .. } | CallbackError::Panicked { .. }) = &paused {
        resume(generation, deadline);
    }
    paused
}

/// Resumes a paused plugin.
pub(crate) fn resume(generation: &Arc<Generation>, deadline: Duration) {
    if let Err(error) = callback(generation, "resume", deadline, Plugin::resume, |_, _| {}) {
        tracing::warn!(plugin = %generation.name, generation = generation.number, %error, "it did not resume well");
    }
}

/// Runs a callback of the plugin on its lane; `late` mends what came after the deadline.
fn callback(
    generation: &Arc<Generation>,
    name: &'static str,
    deadline: Duration,
    body: impl FnOnce(&Plugin) -> Answer + Send + 'static,
    late: impl FnOnce(&Plugin, Answer) + Send + 'static,
) -> Result<(), CallbackError> {
    let (inside, inside_late) = (Arc::clone(generation), Arc::clone(generation));
    let answer = generation.lane.run_or_undo(
        deadline,
        move || {
            let answer = body(&inside.plugin);
            // Before the answer is sent: whoever gets it may want to be the last that holds the generation.
            drop(inside);
            answer
        },
        move |answer| late(&inside_late.plugin, answer),
    );
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(words(name, failure)),
        Err(lost) => Err(lane_error(name, deadline, &lost)),
    }
}

/// Writes the plugin's state into a buffer.
pub(crate) fn export(generation: &Arc<Generation>, deadline: Duration) -> Result<Vec<u8>, CallbackError> {
    let inside = Arc::clone(generation);
    let answer = generation.lane.run(deadline, move || {
        let mut state = Vec::new();
        let answer = inside.plugin.export(&mut state);
        drop(inside);
        answer.map(|()| state)
    });
    match answer {
        Ok(Ok(state)) => Ok(state),
        Ok(Err(failure)) => Err(words("export", failure)),
        Err(lost) => Err(lane_error("export", deadline, &lost)),
    }
}

/// Gives state to a plugin that was never started.
pub(crate) fn import(
    generation: &Arc<Generation>,
    schema: u32,
    state: Arc<[u8]>,
    deadline: Duration,
) -> Result<(), CallbackError> {
    callback(generation, "import", deadline, move |plugin| plugin.import(schema, &state), |_, _| {})
}

fn words(callback: &'static str, (status, text): (Status, String)) -> CallbackError {
    match status {
        Status::PANICKED => CallbackError::Panicked { callback, text },
        _ => CallbackError::Failed { callback, text },
    }
}

fn lane_error(callback: &'static str, deadline: Duration, error: &LaneError) -> CallbackError {
    match error {
        LaneError::TimedOut => CallbackError::Hangs { callback, deadline },
        LaneError::Full => {
            CallbackError::Failed { callback, text: "too many requests wait in its lane".to_owned() }
        }
        LaneError::Closed => CallbackError::Failed { callback, text: "its lane is gone".to_owned() },
    }
}
