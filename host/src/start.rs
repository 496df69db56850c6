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
    match callback(&loaded.generation, "start", deadline, Plugin::start) {
        Ok(()) => Ok(Started { generation: loaded.generation }),
        Err(error) => Err((loaded, error)),
    }
}

/// Runs a callback of the plugin on its lane.
pub(crate) fn callback(
    generation: &Arc<Generation>,
    name: &'static str,
    deadline: Duration,
    body: impl FnOnce(&Plugin) -> Answer + Send + 'static,
) -> Result<(), CallbackError> {
    let inside = Arc::clone(generation);
    let answer = generation.lane.run(deadline, move || {
        let answer = body(&inside.plugin);
        // Before the answer is sent: whoever gets it may want to be the last that holds the generation.
        drop(inside);
        answer
    });
    outcome(name, deadline, answer)
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
    callback(generation, "import", deadline, move |plugin| plugin.import(schema, &state))
}

fn outcome(
    callback: &'static str,
    deadline: Duration,
    answer: Result<Answer, LaneError>,
) -> Result<(), CallbackError> {
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failure)) => Err(words(callback, failure)),
        Err(lost) => Err(lane_error(callback, deadline, &lost)),
    }
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
