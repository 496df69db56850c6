//! Rehearsal: twins of both generations take a copy of the state there and back, while nobody waits.

use std::sync::Arc;

use hotbay_plugin_api::abi::{Limited, Status};

use super::Swap;
use crate::config::Rehearse;
use crate::fault;
use crate::ffi::Twin;
use crate::kernel::generation::Generation;
use crate::start::{CallbackError, Plain, export_in, on_lane};

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
pub(super) fn rehearse(swap: &Swap<'_>, new: &Arc<Generation>, schema: u32) -> Result<Rehearsed, String> {
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
    fault::point("rehearse", &old.name).map_err(|e| format!("failed to rehearse the swap: {e}"))?;
    // Beside calls: it shows one moment.
    let state = match export_in(old, schema, Plain::default(), swap.max_state, swap.callback) {
        Ok(state) => state,
        // Who forces a swap knows that the old one is in trouble.
        Err(error) if swap.force => return Ok(Rehearsed::Impossible(error.to_string())),
        Err(error) => return Err(failed("the state's copy", &error.to_string())),
    };
    let bytes = state.len() as u64;
    let there = format!("from schema {schema} to {}", to.writes);
    let twin = match twin_of(swap, new, &there)? {
        Ok(twin) => twin,
        Err(without) => return Ok(without),
    };
    let back = new.hands_to(from);
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
) -> Result<Result<OfGeneration, Rehearsed>, String> {
    match on_lane(of, "create of its twin", swap.callback, |of| Twin::create(Arc::clone(of)), drop) {
        Ok(Some(twin)) => Ok(Ok(twin)),
        Ok(None) => Ok(Err(Rehearsed::Skipped)),
        Err(hangs @ CallbackError::Hangs { .. }) => Err(failed(what, &hangs.to_string())),
        // Some make something that there may be one of in a process. The contract allows twins; and yet the plugin itself
        // was created.
        Err(error) => Ok(Err(Rehearsed::Impossible(error.to_string()))),
    }
}

fn failed(what: &str, error: &str) -> String {
    format!("failed to rehearse the swap ({what}), no caller waited: {error}")
}

type OfGeneration = Twin<Arc<Generation>>;

// Each callback is a job of its own, so that the one that hangs is named. The twin goes with the job: where that does not
// come back, the twin keeps its library. It is dropped, which runs the plugin's code, on the lane alone.

fn take_in(
    swap: &Swap<'_>,
    of: &Arc<Generation>,
    twin: OfGeneration,
    schema: u32,
    state: Plain,
) -> Result<OfGeneration, CallbackError> {
    let body = move |_: &Arc<Generation>| twin.import(schema, &state).map(|()| twin);
    on_lane(of, "import of its twin", swap.callback, body, drop)
}

fn hand_out(
    swap: &Swap<'_>,
    of: &Arc<Generation>,
    twin: OfGeneration,
    schema: u32,
) -> Result<Plain, CallbackError> {
    let max = swap.max_state;
    let body = move |of: &Arc<Generation>| {
        let mut limited = Limited::new(Vec::new(), usize::try_from(max).unwrap_or(usize::MAX));
        twin.export(schema, &mut limited)?;
        if limited.is_exceeded() {
            let error = CallbackError::TooLarge { plugin: of.name.to_string(), max };
            return Err((Status::FAILED, error.to_string()));
        }
        Ok(Plain::new(limited.into_inner()))
    };
    on_lane(of, "export of its twin", swap.callback, body, drop)
}

fn end(swap: &Swap<'_>, of: &Arc<Generation>, twin: OfGeneration) -> Result<(), CallbackError> {
    let body = move |_: &Arc<Generation>| {
        drop(twin);
        Ok(())
    };
    on_lane(of, "destroy of its twin", swap.callback, body, drop)
}
