//! Keep the version that serves. It gets a copy on disk when it serves already, so that nobody waits for that. One that is to be
//! replaced is kept to go back to: before anything of the next one runs, until it is known how that ended. One whose file was overwritten is kept for the next run of the host.

use std::sync::Arc;

use super::{Outcome, Report};
use crate::error::{Code, Trouble};
use crate::fault;
use crate::kernel::files::Candidate;
use crate::kernel::generation::Generation;
use crate::kernel::good::Pending;
use crate::kernel::service::Task;
use crate::kernel::shared::Shared;
use crate::swap::{Capsule, guarded};

/// Makes ready to keep a version that was just published. Where that fails, it is tried again before it is replaced.
pub(super) fn make_ready(shared: &Shared, generation: &Generation) {
    let name = &generation.name;
    generation.staged.forget_read();
    // The next load is to find what there is left.
    shared.margin.look(shared.settings().room_of(name).lanes as u64);
    let copied = guarded("copy", || {
        let copied = fault::point("copy", name).and_then(|()| {
            // Neither waits for what becomes of the other.
            let noted = shared.served.note(generation);
            shared.good.make_ready(generation).and(noted)
        });
        copied.map_err(|error| Trouble::new(Code::NotWritten, error.to_string()))
    });
    if let Err(error) = copied {
        let version = &generation.manifest().version;
        tracing::warn!(plugin = %name, %error, "failed to write version {version} down, to be kept when it is replaced; it is tried again then");
    }
}

/// Keeps the version that serves, beside the one that is kept already. `None` where the candidate is the same bytes: to go
/// back to those would help nobody, and what was kept before stays.
pub(super) fn keep_pending(shared: &Shared, old: &Generation, candidate: &Candidate) -> Option<Pending> {
    if candidate.digest == *old.digest() {
        return None;
    }
    let kept = shared.good.keep_pending(old);
    kept.inspect_err(|error| {
        let version = &old.manifest().version;
        tracing::error!(plugin = %old.name, %error, "failed to keep version {version}: if the next one brings the host down, there is no way back to it");
    })
    .ok()
}

/// The next one serves.
pub(super) fn keep_good(
    shared: &Shared,
    old: &Generation,
    candidate: &Candidate,
    pending: Option<Pending>,
    state: Option<&Capsule>,
) {
    if candidate.digest == *old.digest() {
        return;
    }
    let state = state.filter(|_| shared.config.probation.is_on());
    let mut keep = Some(|state: Option<&Capsule>| match pending {
        Some(pending) => shared.good.promote(&old.name, pending, state),
        None => shared.good.keep(old, state),
    });
    let mut kept = Ok(());
    if let Some(state) = state {
        kept = shared
            .snapshots
            .keep_beside(&old.name, state, |state| keep.take().map_or(Ok(()), |keep| keep(Some(state))));
    }
    if let Some(keep) = keep {
        // Also where its state could not be sealed for it: its bytes are a way back.
        if let Err(error) = kept {
            tracing::error!(plugin = %old.name, %error, "failed to keep the state of the swap: the way back is by the newest state alone");
        }
        kept = keep(None);
    }
    if let Err(error) = kept {
        let version = &old.manifest().version;
        tracing::error!(plugin = %old.name, %error, "failed to keep version {version}: there is no way back to it");
        shared.good.forget(&old.name);
    }
}

/// Keeps the version that serves in place of the one before it.
pub(crate) fn keep(shared: &Shared, generation: Arc<Generation>) -> Report {
    let name = Arc::clone(&generation.name);
    let kept = guarded("keep", || {
        let kept = fault::point("keep", &name).and_then(|()| shared.good.keep(&generation, None));
        kept.map_err(|error| Trouble::new(Code::NotWritten, error.to_string()))
    });
    drop(generation);
    Report { name, task: Task::Keep, outcome: Outcome::Kept(kept), remains: Vec::new() }
}
