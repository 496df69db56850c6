//! Start a service: from its file and its snapshot to a published generation.

use std::sync::Arc;

use super::keep::make_ready;
use super::{Outcome, Report, prepare, put_back_state, remains, retire, serve_messages};
use crate::error::{Code, Trouble};
use crate::kernel::files::Wanted;
use crate::kernel::generation::Generation;
use crate::kernel::service::{Failure, FailureKind, Task};
use crate::kernel::shared::Shared;
use crate::kernel::slot::Slot;
use crate::kernel::snapshots::is_unreadable;
use crate::load::Loaded;
use crate::swap::{Stages, give};

/// How a service is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With the state that there is.
    Usual,
    /// With empty state: its snapshot is kept aside.
    Fresh,
    /// As the version that is gone back to, which may need the state that it had when it was replaced.
    GoneBack,
}

/// Starts a service that is down.
pub(crate) fn start(shared: &Shared, slot: &Slot, mut wanted: Wanted, number: u64, begin: Begin) -> Report {
    let name = Arc::clone(slot.name());
    let mut left = Vec::new();
    let prepared = prepare(shared, &name, number, &mut wanted, &mut Stages::default());
    let candidate = wanted.candidate;
    let started = prepared
        .and_then(|loaded| {
            let kept = Arc::clone(&loaded.generation);
            let there = match begin {
                Begin::GoneBack => bring_back_state(shared, &kept),
                Begin::Usual | Begin::Fresh => Ok(()),
            };
            let passing = |reason| Failure { kind: FailureKind::Passing, reason };
            let fresh = begin == Begin::Fresh;
            let started = there.map_err(passing).and_then(|()| feed_and_start(shared, loaded, fresh));
            started.map_err(|failure| (failure, retire(shared, kept)))
        })
        .map_err(|(failure, unloaded)| {
            left = remains(unloaded);
            failure
        });
    let outcome = match started {
        Ok(generation) => {
            // What was published before is that nobody is there: nobody has a lease of it.
            let _ = slot.publish(Arc::clone(&generation));
            serve_messages(shared, &generation);
            let text = format!("version {} from {}", candidate.manifest.version, candidate.path.display());
            shared.journal.note("started", Some(&name), Some(&generation.side()), text);
            make_ready(shared, &generation);
            Outcome::Started { generation, version: candidate.version }
        }
        Err(failure) => Outcome::NotStarted { candidate, failure },
    };
    Report { name, task: Task::Start, outcome, remains: left }
}

/// A version that was gone back to may find state that the version after it wrote, in a schema that it does not read. That
/// file is kept aside, and the state goes on that it had when it was replaced.
fn bring_back_state(shared: &Shared, good: &Generation) -> Result<(), Trouble> {
    let Some(reads) = good.manifest().state.as_ref() else { return Ok(()) };
    let readable = match shared.snapshots.load(&good.name) {
        Ok(opened) => opened.is_some_and(|opened| reads.accepts(opened.header.schema)),
        // Whatever is wrong with it is told when it is loaded.
        Err(_) => return Ok(()),
    };
    if let Some(state) = shared.good.state(&shared.snapshots.keys(), &good.name)
        && !readable
        && reads.accepts(state.schema)
    {
        put_back_state(shared, &good.name, &state)?;
    }
    Ok(())
}

fn feed_and_start(shared: &Shared, loaded: Loaded, fresh: bool) -> Result<Arc<Generation>, Failure> {
    let faulted = |reason: Trouble| Failure { kind: FailureKind::Faulted, reason };
    let name = Arc::clone(&loaded.generation.name);
    let within = shared.config.swap.callback;
    shared.journal.note("loaded", Some(&name), Some(&loaded.generation.side()), loaded.told());
    if loaded.generation.plugin.is_stateful() {
        if fresh && let Some(path) = shared.snapshots.set_aside(&name).map_err(|e| faulted(e.into()))? {
            let text = format!("begins with empty state; the old file is kept as {}", path.display());
            shared.journal.note("snapshot", Some(&name), None, text);
        }
        let opened = shared.snapshots.load(&name).map_err(|e| {
            let advice =
                format!("; `hotbay start {name} --fresh` begins with empty state and keeps the file aside");
            let is_unreadable = is_unreadable(&e);
            let reason = Trouble::from(e);
            if is_unreadable {
                let reason = reason.told(|text| format!("{text}{advice}"));
                Failure { kind: FailureKind::Quarantined, reason }
            } else {
                Failure { kind: FailureKind::Passing, reason }
            }
        })?;
        tell_recovered(shared, &loaded.generation);
        if let Some(opened) = opened {
            give(&loaded.generation, opened.header.schema, opened.state, within).map_err(|reason| Failure {
                // Who hangs, or is kept from reading, says nothing of the state.
                kind: match reason.code {
                    Code::SchemaNotRead | Code::CallbackFailed | Code::CallbackPanicked => FailureKind::Unread,
                    _ => FailureKind::Faulted,
                },
                reason: reason.told(|text| {
                    format!("{text}; `hotbay start {name} --fresh` begins with empty state and keeps the file aside")
                }),
            })?;
        }
    }
    crate::start::start(loaded, within)
        .map(|started| started.generation)
        .map_err(|(_, error)| faulted(error.into()))
}

/// Says, once, that state was gone back to because the newer one was damaged.
pub(super) fn tell_recovered(shared: &Shared, generation: &Generation) {
    if let Some(text) = shared.snapshots.news(&generation.name) {
        let text = Trouble::new(Code::WentBack, text);
        shared.journal.note("recovered", Some(&generation.name), Some(&generation.side()), text);
    }
}
