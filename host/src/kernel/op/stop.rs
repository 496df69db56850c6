//! Stop a service in order: nobody inside, state on disk, resources given back, library gone. And the snapshot that is
//! taken while it runs.

use std::sync::Arc;

use super::swap::retire_later;
use super::{Outcome, Report, remains, rest_messages, retire, serve_messages};
use crate::drain::drain;
use crate::error::Trouble;
use crate::kernel::generation::Generation;
use crate::kernel::service::{Failure, FailureKind, Task};
use crate::kernel::shared::Shared;
use crate::kernel::slot::Slot;
use crate::kernel::view::Phase;
use crate::start::{Plain, Taking, changes, export, pause, resume};
use crate::swap::{begin_draft, guarded};

/// How a stop is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Somebody asked for it: where state could not be kept, the service serves on.
    Asked,
    /// Somebody asked for it whatever that costs.
    Forced,
    /// The host ends: go on whatever fails.
    HostEnds,
    /// It is no good, and there is no way back: go on whatever fails.
    NoGood,
    /// Somebody has it restarted: as [`Stop::Asked`].
    Restart,
    /// It is restarted since something is wrong with it: go on whatever fails.
    Faulty,
}

impl Stop {
    /// Whether it serves on where its state cannot be kept.
    fn may_fail(self) -> bool {
        matches!(self, Stop::Asked | Stop::Restart)
    }
}

/// Stops a service.
pub(crate) fn stop(shared: &Arc<Shared>, slot: &Slot, generation: Arc<Generation>, how: Stop) -> Report {
    let name = Arc::clone(slot.name());
    let within = shared.config.swap.callback;
    let (phase, told) = match how {
        Stop::Restart | Stop::Faulty => (Phase::Starting, "it is being restarted"),
        Stop::Asked | Stop::Forced | Stop::HostEnds | Stop::NoGood => (Phase::Stopped, "it is being stopped"),
    };
    generation.left(slot.take_down(phase, Some(told.to_owned())));
    let drained = drain(&generation, shared.config.swap.drain);
    let is_drained = drained.is_ok();
    let kept = match drained {
        Ok(()) => {
            shared.journal.note(
                "drained",
                Some(&name),
                Some(&generation.side()),
                "nobody is inside any more",
            );
            keep_state(shared, &generation)
        }
        // Somebody is inside for good. An export may run beside calls: what it shows is better than nothing.
        Err(_) if !how.may_fail() => save(shared, &generation),
        Err(error) => Err(error.into()),
    };
    if let Err(reason) = &kept {
        if how.may_fail() {
            // What was published meanwhile is that nobody is there: nobody has a lease of it.
            let _ = slot.publish(Arc::clone(&generation));
            serve_messages(shared, &generation);
            let reason = reason.within(format_args!(
                "failed to stop service `{name}`, it serves on (`hotbay stop {name} --force` gives its newest state up)"
            ));
            let failure = Failure { kind: FailureKind::Faulted, reason };
            let outcome = Outcome::NotStopped { generation, failure };
            return Report { name, task: Task::Stop, outcome, remains: Vec::new() };
        }
        tracing::error!(plugin = %name, %reason, "the newest state was not kept; the last snapshot holds");
    }
    rest_messages(shared, &name);
    let side = generation.side();
    let lost = kept.err().filter(|_| generation.plugin.is_stateful());
    let lost = lost.map(|reason| format!("its newest state is lost, the last snapshot holds: {reason}"));
    let kept = if generation.plugin.is_stateful() { "its state is kept" } else { "it has no state" };
    let unloaded = if is_drained {
        if let Err(error) = crate::start::stop(&generation, within) {
            tracing::warn!(plugin = %name, generation = side.generation, %error, "the service did not stop well");
        }
        retire(shared, generation)
    } else {
        // The plugin's `stop` is never run beside a call.
        retire_later(shared, generation)
    };
    let left = remains(unloaded);
    shared.journal.note("stopped", Some(&name), Some(&side), lost.as_deref().unwrap_or(kept));
    Report { name, task: Task::Stop, outcome: Outcome::Stopped { kept, lost }, remains: left }
}

/// Pauses the plugin and writes its state; resumes it when that fails.
fn keep_state(shared: &Shared, generation: &Arc<Generation>) -> Result<(), Trouble> {
    if !generation.plugin.is_stateful() {
        return Ok(());
    }
    let within = shared.config.swap.callback;
    pause(generation, within)?;
    save(shared, generation).inspect_err(|_| resume(generation, within))
}

fn save(shared: &Shared, generation: &Arc<Generation>) -> Result<(), Trouble> {
    if !generation.plugin.is_stateful() {
        return Ok(());
    }
    let saved = export_and_save(shared, generation).map(drop);
    shared.snapshots.keep_head(true);
    saved
}

/// Whether it was written, and how long the state is.
fn export_and_save(shared: &Shared, generation: &Arc<Generation>) -> Result<(bool, u64), Trouble> {
    let (snapshots, keys) = (&shared.snapshots, shared.snapshots.keys());
    let draft = || begin_draft(snapshots, &keys, generation, generation.schema());
    let taking = Taking { room: Plain::default(), max: shared.config.state.max_bytes, draft: &draft };
    let state = export(generation, taking, shared.config.swap.callback)?;
    let bytes = state.len();
    snapshots.save(generation, Arc::clone(&keys), state).map(|written| (written, bytes))
}

/// Writes the state of a running service, if it changed.
pub(crate) fn snapshot(shared: &Shared, generation: Arc<Generation>) -> Report {
    let name = Arc::clone(&generation.name);
    // Should the host panic here, the service is none the worse for it.
    let written = guarded("snapshot", || {
        let within = shared.config.swap.callback;
        // Before the export: what changes in between is written once more, and not missed.
        let changes = changes(&generation, within)?;
        if generation.has_kept(changes) && shared.snapshots.is_there(&name) {
            return Ok((false, 0));
        }
        let (written, bytes) = export_and_save(shared, &generation)?;
        generation.keep(changes);
        Ok((written, bytes))
    });
    let outcome = match written {
        Ok((true, bytes)) => {
            shared.journal.note("snapshot", Some(&name), Some(&generation.side()), format!("{bytes} bytes"));
            Ok(())
        }
        Ok((false, _)) => Ok(()),
        Err(reason) => Err(reason),
    };
    shared.snapshots.keep_head(false);
    drop(generation);
    Report { name, task: Task::Snapshot, outcome: Outcome::Snapshotted(outcome), remains: Vec::new() }
}

#[cfg(test)]
mod tests;
