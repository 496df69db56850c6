//! The state on its way from one generation to the next: sealed, also in memory.

use std::sync::Arc;
use std::time::Duration;

use hotbay_state::Stamp;

use crate::error::chain;
use crate::fault;
use crate::kernel::generation::Generation;
use crate::kernel::snapshots::Snapshots;
use crate::start::{Plain, import};

/// Sealed state in flight.
#[derive(Debug)]
pub(crate) struct Capsule {
    pub(crate) sealed: Vec<u8>,
    pub(crate) schema: u32,
    pub(crate) plain_len: u64,
    /// Of the state, where it was taken: the next snapshot of the same state need not be written.
    pub(crate) digest: Option<blake3::Hash>,
}

/// Memory for the state in the clear and sealed, taken while nobody waits for it.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) plain: Plain,
    pub(crate) sealed: Vec<u8>,
}

impl Room {
    /// Room for so many bytes of state, and some more: it may grow until it is exported.
    pub(crate) fn for_state(bytes: u64) -> Self {
        let bytes = bytes.saturating_add(bytes / 8);
        let sealed = faulted_in(hotbay_state::max_sealed_len(bytes));
        Self { plain: Plain::new(faulted_in(bytes)), sealed }
    }
}

/// Memory whose every page is there: the system hands out fresh ones at their first touch, one by one.
fn faulted_in(bytes: u64) -> Vec<u8> {
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut memory = Vec::new();
    // Where there is not so much, whoever needs it will say so.
    if memory.try_reserve_exact(bytes).is_ok() {
        memory.resize(bytes, 1);
    }
    std::hint::black_box(memory)
}

impl Capsule {
    /// Seals what `from` exported in this schema into memory that is there.
    pub(crate) fn seal(
        snapshots: &Snapshots,
        from: &Generation,
        schema: u32,
        state: &[u8],
        mut sealed: Vec<u8>,
    ) -> Result<Self, String> {
        fault::point("seal", &from.name).map_err(|e| format!("failed to seal the state: {e}"))?;
        let shape = from.manifest().state.as_ref();
        let stamp = Stamp {
            service: &from.name,
            // A plugin has the name of the service that it registers.
            plugin: &from.manifest().name,
            plugin_version: &from.manifest().version,
            schema,
            sequence: snapshots.next_sequence(&from.name),
            generation: from.number,
            content_type: shape.and_then(|shape| shape.content_type_of(schema)).unwrap_or_default(),
        };
        hotbay_state::seal_into(snapshots.keys().primary(), &stamp, state, &mut sealed)
            .map_err(|e| chain(&e))?;
        Ok(Self { sealed, schema, plain_len: state.len() as u64, digest: None })
    }

    /// The same of which only the bytes are missing.
    pub(crate) fn without_bytes(&self) -> Self {
        let Self { schema, plain_len, digest, .. } = *self;
        Self { sealed: Vec::new(), schema, plain_len, digest }
    }

    /// Opens the capsule and gives the state to `into`, which has never been started. The state comes back.
    pub(crate) fn carry_into(
        &self,
        snapshots: &Snapshots,
        into: &Arc<Generation>,
        mut plain: Plain,
        deadline: Duration,
    ) -> Result<Plain, String> {
        snapshots.keys().open_into(&into.name, &self.sealed, &mut plain).map_err(|e| chain(&e))?;
        give(into, self.schema, plain, deadline)
    }
}

/// Imports opened state, where the plugin's manifest says that it reads this schema. The state comes back.
pub(crate) fn give(
    into: &Arc<Generation>,
    schema: u32,
    plain: Plain,
    deadline: Duration,
) -> Result<Plain, String> {
    readable(into, schema)?;
    import(into, schema, plain, deadline).map_err(|e| e.to_string())
}

/// The schema in which `from` hands its state to `into`.
pub(super) fn handed(from: &Generation, into: &Generation) -> Result<u32, String> {
    let next = into.manifest().state.as_ref();
    let handed = next.and_then(|next| from.hands_to(next)).unwrap_or(from.schema());
    readable(into, handed).map(|()| handed)
}

/// Whether the plugin's manifest says that it reads this schema.
pub(crate) fn readable(into: &Generation, schema: u32) -> Result<(), String> {
    let reads = into.manifest().state.as_ref();
    let Some(reads) = reads.filter(|reads| !reads.accepts(schema)) else { return Ok(()) };
    let others: Vec<String> = reads.reads.iter().chain([&reads.writes]).map(u32::to_string).collect();
    Err(format!(
        "failed to carry the state over: it has schema {schema}, version {} reads {}; declare a step from {schema} there, or one back in the version that wrote it",
        into.manifest().version,
        others.join(", ")
    ))
}
