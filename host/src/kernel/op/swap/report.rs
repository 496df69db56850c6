//! What a swap leaves behind: its receipt, its line in the journal, and the report to the loop.

use std::sync::Arc;

use super::super::{Outcome, Report, remains};
use super::Back;
use crate::error::{Trouble, shown};
use crate::kernel::clock;
use crate::kernel::files::Candidate;
use crate::kernel::generation::Generation;
use crate::kernel::good::Pending;
use crate::kernel::inbox::{HandledCounts, MessageWindow};
use crate::kernel::receipt::Window;
use crate::kernel::service::{Failure, FailureKind, Task};
use crate::kernel::shared::Shared;
use crate::kernel::view::{self, Receipt, Retired, Side};
use crate::swap::Stages;
use crate::unload::Unloaded;

/// What a receipt is made of.
pub(super) struct Draft {
    pub(super) from: Side,
    pub(super) to: Side,
    pub(super) window: Window,
    pub(super) messages: MessageWindow,
    pub(super) stages: Stages,
    pub(super) state_bytes: u64,
    pub(super) pending: Option<Pending>,
    pub(super) back: Option<Back>,
    /// How the state came over, in words.
    pub(super) carried: Option<String>,
}

impl Draft {
    /// Messages, as the window ends: `read` says what the old generation and the new one were brought.
    pub(super) fn count_messages(
        &mut self,
        shared: &Shared,
        name: &str,
        read: impl FnOnce() -> (HandledCounts, HandledCounts),
    ) {
        let (inbox, (old, new)) = shared.inboxes.counts(name, read);
        let inbox = self.messages.forgotten.unwrap_or(inbox);
        self.messages = MessageWindow { inbox_after: inbox, old_after: old, new, ..self.messages };
    }
}

pub(super) fn committed_report(
    shared: &Shared,
    draft: Draft,
    version: semver::Version,
    generation: Arc<Generation>,
    unloaded: Unloaded,
) -> Report {
    let name = Arc::clone(&generation.name);
    let (from, to) = (&draft.from, &draft.to);
    let (mut reason, carried) = (None, draft.carried.clone());
    match &draft.back {
        None => {
            let forced =
                draft.stages.forced.as_ref().map(|cost| format!("; forced: it {cost}")).unwrap_or_default();
            let (from, bytes) = (&from.version, draft.state_bytes);
            let text = format!("{from} → {}, {bytes} bytes of state{forced}", to.version);
            shared.journal.note("swapped", Some(&name), Some(to), text);
        }
        Some(back) => {
            let told = back.why.within(format_args!("{} → {}", from.version, to.version));
            shared.journal.note("rolled_back", Some(&name), Some(from), told);
            reason = Some(back.why.clone());
        }
    }
    let mut receipt = receipt(draft, view::Outcome::Committed, reason, &unloaded);
    if receipt.rollback && receipt.state_from.is_none() && generation.plugin.is_stateful() {
        receipt.state_from = Some(carried.unwrap_or_else(|| "the last snapshot".to_owned()));
    }
    keep(shared, &name, &receipt);
    let outcome = Outcome::Swapped { generation, version, receipt };
    Report { name, task: Task::Swap, outcome, remains: remains(unloaded) }
}

pub(super) fn rolled_back(
    shared: &Shared,
    draft: Draft,
    candidate: Candidate,
    old: Option<Arc<Generation>>,
    failure: Failure,
    unloaded: Unloaded,
) -> Report {
    let name: Arc<str> = candidate.manifest.name.as_str().into();
    if let Some(pending) = &draft.pending {
        shared.good.drop_pending(&name, pending);
    }
    let mut failure = failure;
    if draft.back.is_some() {
        let what = format!("failed to go back to version {}", draft.to.version);
        failure.reason = failure.reason.within(what);
    }
    let (to, reason) = (draft.to.clone(), failure.reason.clone());
    let receipt = receipt(draft, view::Outcome::RolledBack, Some(reason.clone()), &unloaded);
    // A file that moved meanwhile was no attempt: the next look makes one. What is tried again every few seconds, and fails as it did
    // before, is told once: there is room for so many receipts.
    let again = |last: &Receipt| last.to.digest == to.digest && last.code == receipt.code;
    if failure.kind == FailureKind::Passing
        && shared.history.read(&name).is_ok_and(|all| all.last().is_some_and(again))
    {
        tracing::debug!(plugin = %name, %reason, "put off once more");
    } else if failure.kind != FailureKind::Moved {
        keep(shared, &name, &receipt);
        shared.journal.note("rolled_back", Some(&name), Some(&to), reason);
    }
    let outcome = Outcome::RolledBack { candidate, old, receipt, failure };
    Report { name, task: Task::Swap, outcome, remains: remains(unloaded) }
}

fn keep(shared: &Shared, name: &str, receipt: &Receipt) {
    if let Err(error) = shared.history.add(name, receipt) {
        tracing::error!(plugin = name, %error, "failed to write the receipt into the history");
    }
}

fn receipt(
    draft: Draft,
    outcome: view::Outcome,
    reason: Option<Trouble>,
    unloaded: &Unloaded,
) -> Box<Receipt> {
    let retired_reason = unloaded.trouble().map(|why| why.text);
    let (code, blame) = shown(reason.as_ref().map(|why| why.code));
    let given = draft.back.as_ref().and_then(|back| back.given.as_ref());
    let state_from = given.map(|state| {
        let lost = draft.stages.lost.as_ref().map(|why| format!("; {why}")).unwrap_or_default();
        format!("snapshot of the swap, sequence {}{lost}", state.sequence)
    });
    let receipt = Receipt {
        outcome,
        reason: reason.map(|why| why.text),
        code,
        blame,
        unix_ms: clock::unix_ms(),
        from: draft.from,
        to: draft.to,
        requests: draft.window.requests(),
        messages: draft.messages.messages(draft.window.end),
        pause_us: draft.window.passage.pause,
        stages_us: draft
            .stages
            .micros
            .into_iter()
            .map(|(stage, micros)| (stage.to_owned(), micros))
            .collect(),
        rehearsal: draft.stages.rehearsal,
        forced: draft.stages.forced,
        state_bytes: draft.state_bytes,
        retired: if retired_reason.is_none() { Retired::Unloaded } else { Retired::Pinned },
        retired_reason,
        rollback: draft.back.is_some(),
        state_from,
    };
    Box::new(receipt)
}
