//! What is made ready, and found out, before the gate closes: whatever takes time while nobody waits.

use std::sync::Arc;
use std::time::Duration;

use hotbay_state::HELD;

use super::carry::{Capsule, Room, handed, readable};
use super::rehearse::{Rehearsed, rehearse};
use super::{Stages, Swap};
use crate::error::{Code, Trouble};
use crate::kernel::clock;
use crate::kernel::generation::Generation;
use crate::start::{CallbackError, Plain, size};

/// Where nobody knows how much state there is.
const UNKNOWN: u64 = 64 * 1024;

/// What goes behind the gate.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) room: Room,
    /// Whether so much state as is expected, and some more, is held in memory.
    is_held: bool,
    /// The one in which the state goes over.
    pub(super) schema: u32,
    pub(super) fallback: Option<Fallback>,
}

impl Ready {
    /// Whether nothing is to be done between the steps, and the state goes over in memory.
    pub(super) fn goes_at_once(&self, swap: &Swap<'_>, new: &Generation) -> bool {
        let is_plain = self.fallback.is_none() && self.is_held && self.schema == swap.old.schema();
        is_plain && new.plugin.is_stateful() && readable(new, self.schema).is_ok()
    }
}

/// What a forced swap goes on from, should the old generation not hand its state over.
#[derive(Debug)]
pub(super) struct Fallback {
    pub(super) capsule: Capsule,
    /// Why there is no use in asking for the state again: the last time that hung.
    pub(super) hangs: Option<Trouble>,
    sequence: u64,
    created_unix_ms: u64,
}

impl Fallback {
    /// What it costs to go on from here.
    pub(super) fn cost(&self, why: &str) -> String {
        let age = Duration::from_millis(clock::unix_ms().saturating_sub(self.created_unix_ms));
        format!(
            "went on from snapshot {}, which was {age:?} old: what changed since is lost; {why}",
            self.sequence
        )
    }
}

/// Makes ready. Why the swap would fail, where that can be told.
pub(super) fn ready(swap: &Swap<'_>, new: &Arc<Generation>, stages: &mut Stages) -> Result<Ready, Trouble> {
    let mut bytes = swap.snapshots.shown(&swap.old.name).map(|snapshot| snapshot.bytes);
    let mut schema = swap.old.schema();
    if swap.old.manifest().state.is_some() && new.plugin.is_stateful() {
        schema = handed(swap.old, new)?;
        let rehearsed = stages.guarded("rehearse", || rehearse(swap, new, schema));
        stages.rehearsal = Some(match &rehearsed {
            Ok(rehearsed) => rehearsed.to_string(),
            Err(reason) => reason.to_string(),
        });
        if let Rehearsed::Passed(size) = rehearsed? {
            bytes = Some(size);
        }
    }
    let fallback = match swap.force {
        true => Some(stages.guarded("fallback", || fallback(swap, new, schema))?),
        false => None,
    };
    bytes = bytes.or(fallback.as_ref().map(|fallback| fallback.capsule.plain_len));
    if bytes.is_none() {
        bytes = stages.time("size", || first_size(swap, schema))?;
    }
    let bytes = bytes.unwrap_or(UNKNOWN).min(swap.max_state);
    let room = stages.time("allocate", || Room::for_state(bytes));
    Ok(Ready { room, is_held: bytes.saturating_add(bytes / 8) <= HELD, schema, fallback })
}

/// How long a state is of which there is no snapshot yet: written once to nobody, so that there is memory for it before callers wait.
/// An export that fails does so behind the gate as well, and is undone there.
fn first_size(swap: &Swap<'_>, schema: u32) -> Result<Option<u64>, Trouble> {
    match size(swap.old, schema, swap.max_state, swap.callback) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(hangs @ CallbackError::Hangs { .. }) => Err(hangs.into()),
        Err(_) => Ok(None),
    }
}

/// The newest capsule that there can be: of this moment, where the old generation exports beside its calls; else the
/// durable snapshot.
fn fallback(swap: &Swap<'_>, new: &Generation, schema: u32) -> Result<Fallback, Trouble> {
    let (snapshots, old) = (swap.snapshots, swap.old);
    let keys = snapshots.keys();
    let exported = swap.export(&keys, schema, Plain::default());
    let (capsule, hangs) = match exported {
        Ok(state) => (Capsule::seal(snapshots, keys, old, schema, state, Room::default())?.0, None),
        Err(error) => {
            let none = || {
                let text = format!(
                    "failed to force the swap: service `{}` has no snapshot to go on from, and {error}",
                    old.name
                );
                Trouble::new(Code::NothingToForceFrom, text)
            };
            let capsule = snapshots.newest(&old.name)?.ok_or_else(none)?;
            readable(new, capsule.schema)?;
            let hangs = matches!(error, CallbackError::Hangs { .. }).then(|| error.into());
            (capsule, hangs)
        }
    };
    let header = capsule.header(&old.name)?;
    let (sequence, created_unix_ms) = (header.sequence, header.created_unix_ms);
    Ok(Fallback { capsule, hangs, sequence, created_unix_ms })
}
