//! Start: bring the state along and let the plugin take what it needs from outside.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Status;
use zeroize::Zeroizing;

pub(crate) use state::{
    Drafted, Exported, Incoming, Taking, export, export_here, export_in, export_of, import, import_of, size,
};

use crate::error::{Code, Trouble};
use crate::fault;
use crate::ffi::{Answer, Plugin};
use crate::kernel::generation::Generation;
use crate::kernel::lane::LaneError;
use crate::kernel::tables::Table;
use crate::load::Loaded;
use crate::os::Thread;

mod state;

/// State in the clear, wiped when dropped.
pub(crate) type Plain = Zeroizing<Vec<u8>>;

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
    /// Its state is larger than the host takes.
    #[error(
        "export wrote more than {max} bytes: let plugin `{plugin}` keep less, or raise `max_bytes` under `[state]` in hotbay.toml"
    )]
    TooLarge { plugin: String, max: u64 },
    /// The host did not take what it wrote, or let it run.
    #[error("{callback} failed: {why}")]
    Prevented { callback: &'static str, why: Trouble },
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
    let begun = Instant::now();
    let started = callback(generation, "start", deadline, Plugin::start, |plugin, answer| {
        if answer.is_ok() {
            let _ = plugin.stop();
        }
    });
    if started.is_err() {
        wait_for_threads(generation, deadline.saturating_sub(begun.elapsed()));
    }
    started
}

/// Stops a plugin, and waits for the threads that the host started for it: both within the deadline. Those that do not end are told
/// of, and keep the library from being closed.
pub(crate) fn stop(generation: &Arc<Generation>, deadline: Duration) -> Result<(), CallbackError> {
    let begun = Instant::now();
    let stopped = callback(generation, "stop", deadline, Plugin::stop, |_, _| {});
    wait_for_threads(generation, deadline.saturating_sub(begun.elapsed()));
    stopped
}

/// From here and not from the lane, which is free for what comes next.
pub(crate) fn wait_for_threads(generation: &Generation, deadline: Duration) {
    for Thread { id, name } in generation.plugin.join_threads(deadline) {
        let (plugin, generation) = (&generation.name, generation.number);
        tracing::warn!(%plugin, generation, thread = name, id, "a thread did not end with its plugin");
    }
}

/// Pauses a plugin. One that comes out of its `pause` late, or with an error, is resumed: it serves on.
pub(crate) fn pause(generation: &Arc<Generation>, deadline: Duration) -> Result<(), CallbackError> {
    let paused = callback(generation, "pause", deadline, Plugin::pause, |plugin, _| drop(plugin.resume()));
    has_paused(generation, paused, deadline)
}

/// What came of a pause in time.
pub(crate) fn has_paused(
    generation: &Arc<Generation>,
    paused: Result<(), CallbackError>,
    deadline: Duration,
) -> Result<(), CallbackError> {
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
    let inside_late = Arc::clone(generation);
    let mend = move |answer| late(&inside_late.plugin, answer);
    on_lane(generation, name, deadline, move |inside| body(&inside.plugin), mend)
}

/// Brings a plugin its table of the configuration, in place of the one that it has. False where it takes none while it runs. One that comes out
/// of it late gets the table back that it had.
pub(crate) fn configure(
    generation: &Arc<Generation>,
    table: &Arc<Table>,
    deadline: Duration,
) -> Result<bool, CallbackError> {
    let (json, before, inside_late) =
        (Arc::clone(&table.json), generation.plugin.config(), Arc::clone(generation));
    let mend = move |answer: Result<bool, (Status, String)>| {
        if answer == Ok(true) {
            let _ = inside_late.plugin.configure(&before);
        }
    };
    on_lane(generation, "on_config", deadline, move |inside| inside.plugin.configure(&json), mend)
}

/// Tells a plugin's library how much of it is logged by now.
pub(crate) fn tell_level(generation: &Arc<Generation>, deadline: Duration) -> Result<(), CallbackError> {
    let tell = |inside: &Arc<Generation>| {
        inside.level.store(inside.plugin.tell_level(), Ordering::Relaxed);
        Ok(())
    };
    on_lane(generation, "set_level", deadline, tell, drop)
}

/// A number that is another one after each change of the plugin's state, where it tells.
pub(crate) fn changes(
    generation: &Arc<Generation>,
    deadline: Duration,
) -> Result<Option<u64>, CallbackError> {
    on_lane(generation, "changes", deadline, |inside| inside.plugin.changes(), drop)
}

/// Runs `body` on the generation's lane; `late` gets what came after the deadline.
pub(crate) fn on_lane<T: Send + 'static>(
    generation: &Arc<Generation>,
    callback: &'static str,
    deadline: Duration,
    body: impl FnOnce(&Arc<Generation>) -> Result<T, (Status, String)> + Send + 'static,
    late: impl FnOnce(Result<T, (Status, String)>) + Send + 'static,
) -> Result<T, CallbackError> {
    let inside = Arc::clone(generation);
    let job = move || {
        let fault = fault::point(callback, &inside.name).map_err(|e| (Status::FAILED, e.to_string()));
        let answer = fault.and_then(|()| body(&inside));
        // Before the answer is sent: whoever gets it may want to be the last that holds the generation.
        drop(inside);
        answer
    };
    match generation.lane.run_or_undo(deadline, job, late) {
        Ok(answer) => answer.map_err(|failure| words(callback, failure)),
        Err(lost) => Err(lane_error(callback, deadline, &lost)),
    }
}

pub(crate) fn words(callback: &'static str, (status, text): (Status, String)) -> CallbackError {
    match status {
        Status::PANICKED => CallbackError::Panicked { callback, text },
        _ => CallbackError::Failed { callback, text },
    }
}

pub(crate) fn lane_error(callback: &'static str, deadline: Duration, error: &LaneError) -> CallbackError {
    match error {
        LaneError::TimedOut => CallbackError::Hangs { callback, deadline },
        LaneError::Full => {
            let why = Trouble::new(Code::CallRefused, "too many requests wait in its lane");
            CallbackError::Prevented { callback, why }
        }
        LaneError::Closed => {
            let why = Trouble::new(Code::Defect, "its lane broke down; this is a defect of the host");
            CallbackError::Prevented { callback, why }
        }
    }
}
