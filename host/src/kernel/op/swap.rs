//! Swap a service: prepare the candidate, run the transaction, retire who lost, write the receipt.

mod report;

use std::sync::{Arc, mpsc};

use report::{Draft, committed_report, rolled_back};

use super::keep::{keep_good, keep_pending, make_ready};
use super::start::tell_recovered;
use super::{Outcome, Report, prepare, put_back_state, remains, rest_messages, retire, serve_messages};
use crate::drain::drain;
use crate::error::Trouble;
use crate::kernel::files::Wanted;
use crate::kernel::generation::Generation;
use crate::kernel::inbox::{HandledCounts, MessageWindow};
use crate::kernel::inboxes::Waiting;
use crate::kernel::probation::{Mark, fault_rate};
use crate::kernel::receipt::{End, Window};
use crate::kernel::service::{Failure, FailureKind};
use crate::kernel::shared::Shared;
use crate::kernel::slot::Slot;
use crate::kernel::view::Side;
use crate::load::Loaded;
use crate::os;
use crate::start::stop;
use crate::swap::{Again, Capsule, Handover, Stages, Swap, give, guarded};
use crate::unload::{Reason, Remains, Unloaded};

/// A swap back to the last good version.
#[derive(Debug)]
pub(super) struct Back {
    pub(super) why: Trouble,
    pub(super) handover: Handover,
    /// The state to go on with, where it is not carried.
    pub(super) given: Option<Arc<Capsule>>,
}

/// Replaces the generation that serves.
pub(crate) fn swap(
    shared: &Arc<Shared>,
    slot: &Slot,
    old: Arc<Generation>,
    wanted: Wanted,
    force: bool,
) -> Report {
    let name = Arc::clone(slot.name());
    let candidate = &wanted.candidate;
    if !shared.config.probation.is_on() || candidate.digest == *old.digest() {
        return attempt(shared, slot, old, wanted, force, None);
    }
    // Before anything of it runs here: one that brings the host down may do so at once.
    let before = shared.marks.of(&name);
    let mark = Mark {
        digest: candidate.digest.as_str().to_owned(),
        version: candidate.manifest.version.clone(),
        before: fault_rate(old.tally.counts(), old.handled.counts()),
        deaths: 0,
        open: true,
    };
    shared.marks.set(&name, mark);
    let report = attempt(shared, slot, old, wanted, force, None);
    if matches!(report.outcome, Outcome::RolledBack { .. }) {
        shared.marks.reset(&name, before);
    }
    report
}

/// One attempt, forward or back.
pub(super) fn attempt(
    shared: &Arc<Shared>,
    slot: &Slot,
    old: Arc<Generation>,
    mut wanted: Wanted,
    force: bool,
    back: Option<Back>,
) -> Report {
    let candidate = wanted.candidate.clone();
    let name = Arc::clone(slot.name());
    let number = old.number + 1;
    let (handled, before) = (Arc::clone(&old.handled), shared.inboxes.counts(&name, || old.handled.counts()));
    let mut draft = Draft {
        from: old.side(),
        to: Side {
            version: candidate.manifest.version.clone(),
            generation: number,
            digest: candidate.digest.as_str().to_owned(),
        },
        window: Window { old_before: old.tally.counts(), ..Window::default() },
        messages: MessageWindow { inbox_before: before.0, old_before: before.1, ..MessageWindow::default() },
        stages: Stages::default(),
        state_bytes: 0,
        pending: if back.is_none() { keep_pending(shared, &old, &candidate) } else { None },
        back,
        carried: None,
    };
    let back = draft.back.as_ref();
    let (handover, given) =
        back.map_or((Handover::Carried, None), |back| (back.handover, back.given.clone()));
    let prepared = prepare(shared, &name, number, &mut wanted, &mut draft.stages);
    let prepared = prepared.and_then(|loaded| match &given {
        Some(state) => feed_with(shared, state, loaded),
        None => feed_from_disk(shared, &old, loaded),
    });
    let loaded = match prepared {
        Ok(loaded) => loaded,
        Err((failure, unloaded)) => {
            draft.window.old_after = old.tally.counts();
            draft.count_messages(shared, &name, || (handled.counts(), HandledCounts::default()));
            return rolled_back(shared, draft, candidate, Some(old), failure, unloaded);
        }
    };
    shared.journal.note("loaded", Some(&name), Some(&draft.to), loaded.told());

    let swap = Swap {
        slot,
        old: &old,
        snapshots: &shared.snapshots,
        handover,
        one_gate: &shared.one_gate,
        callback: shared.config.swap.callback,
        drain: shared.config.swap.drain,
        rehearse: shared.config.swap.rehearse,
        max_state: shared.config.state.max_bytes,
        force,
        is_way_back: draft.back.is_some(),
    };
    // Before the old one is waited for: its messages stand still from then on.
    let messages = &mut draft.messages;
    let mut serves = |new: &Generation| {
        let Waiting { messages: waited, forgotten } = serve_messages(shared, new);
        (messages.waited, messages.forgotten) = (waited, forgotten);
    };
    match crate::swap::swap(&swap, loaded, &mut draft.stages, &mut serves) {
        Ok(committed) => {
            draft.window.passage = committed.passage;
            draft.window.end = if committed.drained { End::Drained } else { End::Left };
            draft.window.old_after = old.tally.counts();
            draft.window.new = committed.new.tally.counts();
            draft.carried = committed.capsule.as_ref().map(|capsule| match old.schema() {
                own if own == capsule.schema => "carried".to_owned(),
                own => format!("carried, stepped down from schema {own} to {}", capsule.schema),
            });
            if let Some(error) = &draft.stages.lost {
                tracing::error!(plugin = %name, error, "the last snapshot holds");
            }
            draft.state_bytes = committed.capsule.as_ref().map_or(0, |capsule| capsule.plain_len);
            // What was stepped down is on disk already.
            let is_due = committed.new.plugin.is_stateful() && draft.stages.whole.is_none();
            if let Some(capsule) = committed.capsule.as_ref().filter(|_| is_due) {
                write_down(shared, &name, &draft.to, capsule);
            }
            match &given {
                // It serves from memory. Where that failed, its next snapshot keeps the newer state aside first.
                Some(state) => drop(put_back_state(shared, &name, state)),
                None if draft.back.is_none() => {
                    let pending = draft.pending.take();
                    let state = draft.stages.whole.as_ref().or(committed.capsule.as_ref());
                    keep_good(shared, &old, &candidate, pending, state);
                }
                None => {}
            }
            // Before the old one goes, which may take a while: should the host die meanwhile, who wrote the state is known.
            make_ready(shared, &committed.new);
            let unloaded = if committed.drained {
                shared.journal.note("drained", Some(&name), Some(&draft.from), "nobody is inside any more");
                retire(shared, old)
            } else {
                retire_later(shared, old)
            };
            draft.count_messages(shared, &name, || (handled.counts(), committed.new.handled.counts()));
            committed_report(shared, draft, candidate.version, committed.new, unloaded)
        }
        Err(given_up) => {
            match &given_up.old_is_down {
                None => {
                    let (inbox, at) = shared.inboxes.counts(&name, || handled.counts());
                    (draft.messages.waited, draft.messages.went_on) = (inbox.waiting, Some(at));
                    serve_messages(shared, &old);
                }
                Some(_) => rest_messages(shared, &name),
            }
            draft.window.passage = given_up.passage;
            draft.window.old_after = old.tally.counts();
            draft.state_bytes = given_up.capsule.as_ref().map_or(0, |capsule| capsule.plain_len);
            let unloaded = retire(shared, given_up.candidate);
            let mut failure = Failure { kind: FailureKind::Faulted, reason: given_up.reason };
            let mut left = Vec::new();
            let newest = draft.stages.whole.as_ref().or(given_up.capsule.as_ref());
            let old = match given_up.old_is_down {
                None => {
                    // What was stepped down may be on disk: its own state is written again.
                    old.keep(None);
                    Some(old)
                }
                Some(why) => {
                    // It was drained, and nobody was let in since.
                    draft.window.end = End::Drained;
                    failure.reason = failure.reason.told(|text| format!("{text}; {why}"));
                    if let Some(capsule) = newest {
                        // The one place where the newest state still is.
                        write_down(shared, &name, &draft.from, capsule);
                    }
                    shared.journal.note("faulted", Some(&name), Some(&draft.from), why);
                    left = remains(retire(shared, old));
                    None
                }
            };
            draft.count_messages(shared, &name, || (handled.counts(), HandledCounts::default()));
            let mut report = rolled_back(shared, draft, candidate, old, failure, unloaded);
            report.remains.append(&mut left);
            report
        }
    }
}

/// State that is at hand, for a candidate that has not been started.
fn feed_with(shared: &Shared, state: &Capsule, loaded: Loaded) -> Result<Loaded, (Failure, Unloaded)> {
    match state.carry_into(&loaded.generation, Again::default(), shared.config.swap.callback) {
        Ok(_) => Ok(loaded),
        Err(reason) => {
            Err((Failure { kind: FailureKind::Faulted, reason }, retire(shared, loaded.generation)))
        }
    }
}

/// A version with state after one without: what an earlier version left on disk is its state.
fn feed_from_disk(shared: &Shared, old: &Generation, loaded: Loaded) -> Result<Loaded, (Failure, Unloaded)> {
    let new = &loaded.generation;
    if old.plugin.is_stateful() || !new.plugin.is_stateful() {
        return Ok(loaded);
    }
    let loaded_state = shared.snapshots.load(&new.name).map_err(Trouble::from);
    let fed = loaded_state.and_then(|opened| match opened {
        Some(stored) => give(new, stored.header.schema, stored.state, shared.config.swap.callback).map(drop),
        None => Ok(()),
    });
    tell_recovered(shared, new);
    match fed {
        Ok(()) => Ok(loaded),
        Err(reason) => {
            Err((Failure { kind: FailureKind::Faulted, reason }, retire(shared, loaded.generation)))
        }
    }
}

/// The durable snapshot, beside the swap: callers go on meanwhile, and the file before it is replaced in one step.
fn write_down(shared: &Shared, name: &str, side: &Side, capsule: &Capsule) {
    let written = guarded("snapshot", || shared.snapshots.save_capsule(name, capsule));
    shared.snapshots.keep_head(true);
    match written {
        Ok(()) => {
            shared.journal.note("snapshot", Some(name), Some(side), format!("{} bytes", capsule.plain_len))
        }
        Err(error) => {
            tracing::error!(
                plugin = name,
                %error,
                "the snapshot of a swap was not written; the next one will be tried"
            );
        }
    }
}

/// Calls are still inside after the deadline: they end on the old code, and it is unloaded then.
pub(super) fn retire_later(shared: &Arc<Shared>, old: Arc<Generation>) -> Unloaded {
    let (tell, later) = mpsc::channel();
    let left = Remains { later: Some(later), ..Remains::of(&old.staged, old.number, old.load) };
    let unloaded = left.because(&Reason::Calls { deadline: shared.config.swap.drain });
    let shared = Arc::clone(shared);
    let waiting = os::spawn(&format!("retire-{}", old.name), move || {
        while drain(&old, shared.config.swap.drain).is_err() {}
        shared.journal.note("drained", Some(&old.name), Some(&old.side()), "nobody is inside any more");
        if let Err(error) = stop(&old, shared.config.swap.callback) {
            tracing::warn!(plugin = %old.name, generation = old.number, %error, "the old generation did not stop well");
        }
        // The loop is gone when the host ends.
        let _ = tell.send(retire(&shared, old));
    });
    if let Err(error) = waiting {
        tracing::error!(%error, "failed to start a thread to retire a generation: it stays until the host ends");
    }
    unloaded
}
