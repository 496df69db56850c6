//! Rehearsal: twins of both generations take a copy of the state there and back, while nobody waits.

use std::sync::Arc;

use hotbay_state::OpenError;

use super::{Swap, begin_draft};
use crate::config::Rehearse;
use crate::error::{Code, Trouble};
use crate::fault;
use crate::ffi::{Lending, Twin};
use crate::kernel::generation::Generation;
use crate::start::{CallbackError, Exported, Incoming, Plain, Taking, export_of, import_of, on_lane};

/// How a rehearsal went that found nothing wrong.
pub(super) enum Rehearsed {
    /// The state went there, and back where the old version reads it. So large it was.
    Passed(u64),
    /// It was not asked for.
    Skipped,
    /// It could not be held, which says nothing of the migration.
    Impossible(String),
}

impl std::fmt::Display for Rehearsed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Passed(_) => f.write_str("passed"),
            Self::Skipped => f.write_str("skipped"),
            Self::Impossible(why) => write!(f, "skipped: {why}"),
        }
    }
}

/// Rehearses the carrying of the state from the old generation to `new`, which has never been started,
/// in this schema.
pub(super) fn rehearse(swap: &Swap<'_>, new: &Arc<Generation>, schema: u32) -> Result<Rehearsed, Trouble> {
    let old = swap.old;
    let (Some(from), Some(to)) = (&old.manifest().state, &new.manifest().state) else {
        return Ok(Rehearsed::Skipped);
    };
    let due = match swap.rehearse {
        Rehearse::Schema => from.writes != to.writes,
        Rehearse::Always => true,
        Rehearse::Never => false,
    };
    if !due {
        return Ok(Rehearsed::Skipped);
    }
    let not_held = |e| Trouble::new(Code::RehearsalFailed, format!("failed to rehearse the swap: {e}"));
    fault::point("rehearse", &old.name).map_err(not_held)?;
    // Beside calls: it shows one moment.
    let state = match swap.export(&swap.snapshots.keys(), schema, Plain::default()) {
        Ok(state) => state,
        // Who forces a swap knows that the old one is in trouble.
        Err(error) if swap.force => return Ok(Rehearsed::Impossible(error.to_string())),
        Err(error) => return Err(failed("the state's copy", &error.to_string())),
    };
    let bytes = state.len();
    let there = format!("from schema {schema} to {}", to.writes);
    let twin = match twin_of(swap, new, &there)? {
        Ok(twin) => twin,
        Err(without) => return Ok(without),
    };
    // Who goes back does not come here again with this state.
    let back = if swap.is_way_back { None } else { new.hands_to(from) };
    let took = take_in(swap, new, twin, schema, state);
    let twin = took.map_err(|error| failed(&there, &error.to_string()))?;
    let migrated = hand_out(swap, new, twin, back.unwrap_or(to.writes))
        .map_err(|error| failed(&there_and_back(&there, back, from.writes), &error.to_string()))?;

    if let Some(schema) = back {
        let back = there_and_back(&there, back, from.writes);
        let twin = match twin_of(swap, old, &back)? {
            Ok(twin) => twin,
            Err(without) => return Ok(without),
        };
        let result = take_in(swap, old, twin, schema, migrated).and_then(|twin| end(swap, old, twin));
        result.map_err(|error| failed(&back, &error.to_string()))?;
    }
    Ok(Rehearsed::Passed(bytes))
}

/// What a rehearsal tries once the state is there.
fn there_and_back(there: &str, back: Option<u32>, to: u32) -> String {
    back.map_or_else(|| there.to_owned(), |schema| format!("back from schema {schema} to {to}"))
}

/// A twin; or how a rehearsal without one ends.
fn twin_of(
    swap: &Swap<'_>,
    of: &Arc<Generation>,
    what: &str,
) -> Result<Result<OfGeneration, Rehearsed>, Trouble> {
    match on_lane(of, "create of its twin", swap.callback, |of| Twin::create(Arc::clone(of)), drop) {
        Ok(Some(twin)) => Ok(Ok(twin)),
        Ok(None) => Ok(Err(Rehearsed::Skipped)),
        Err(hangs @ CallbackError::Hangs { .. }) => Err(failed(what, &hangs.to_string())),
        // Some make something that there may be one of in a process. The contract allows twins; and yet the plugin itself
        // was created.
        Err(error) => Ok(Err(Rehearsed::Impossible(error.to_string()))),
    }
}

fn failed(what: &str, error: &str) -> Trouble {
    let text = format!("failed to rehearse the swap ({what}), no caller waited: {error}");
    Trouble::new(Code::RehearsalFailed, text)
}

type OfGeneration = Twin<Arc<Generation>>;

// Each callback is a job of its own, so that the one that hangs is named. The twin goes with the job: where that does not
// come back, the twin keeps its library. It is dropped, which runs the plugin's code, on the lane alone.

fn take_in(
    swap: &Swap<'_>,
    of: &Arc<Generation>,
    twin: OfGeneration,
    schema: u32,
    state: Exported,
) -> Result<OfGeneration, CallbackError> {
    let callback = "import of its twin";
    let state = match state {
        Exported::Held(plain) => Incoming::Held(plain),
        Exported::Drafted(drafted) => {
            let opener = swap.snapshots.keys().open_file(&swap.old.name, drafted.draft.path());
            let not_taken = |error: OpenError| CallbackError::Prevented { callback, why: error.into() };
            Incoming::Opened(Box::new(opener.map_err(not_taken)?), Some(drafted.draft))
        }
    };
    import_of(of, callback, state, swap.callback, move |_, source| twin.import(schema, source).map(|()| twin))
        .map(|(_, twin)| twin)
}

fn hand_out(
    swap: &Swap<'_>,
    of: &Arc<Generation>,
    twin: OfGeneration,
    schema: u32,
) -> Result<Exported, CallbackError> {
    let (snapshots, keys) = (swap.snapshots, swap.snapshots.keys());
    let draft = || begin_draft(snapshots, &keys, of, schema);
    let taking = Taking { room: Plain::default(), max: swap.max_state, draft: &draft };
    let body = move |_: &Arc<Generation>, lending: Lending<'_>| twin.export(schema, lending);
    export_of(of, "export of its twin", taking, swap.callback, body)
}

fn end(swap: &Swap<'_>, of: &Arc<Generation>, twin: OfGeneration) -> Result<(), CallbackError> {
    let body = move |_: &Arc<Generation>| {
        drop(twin);
        Ok(())
    };
    on_lane(of, "destroy of its twin", swap.callback, body, drop)
}
