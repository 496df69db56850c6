//! The state on its way from one generation to the next: sealed, also in memory.

use std::sync::Arc;
use std::time::Duration;

use hotbay_state::Stamp;

use crate::error::chain;
use crate::kernel::generation::Generation;
use crate::kernel::snapshots::Snapshots;
use crate::start::import;

/// Sealed state in flight.
#[derive(Debug)]
pub(crate) struct Capsule {
    pub(crate) sealed: Vec<u8>,
    pub(crate) schema: u32,
    pub(crate) plain_len: u64,
    pub(crate) digest: blake3::Hash,
}

impl Capsule {
    /// Seals what `from` exported.
    pub(crate) fn seal(snapshots: &Snapshots, from: &Generation, state: &[u8]) -> Result<Self, String> {
        let schema = from.manifest().state.as_ref().map_or(0, |schema| schema.writes);
        let stamp = Stamp {
            service: &from.name,
            plugin_version: &from.manifest().version,
            schema,
            sequence: snapshots.next_sequence(&from.name),
            generation: from.number,
        };
        let sealed = hotbay_state::seal(&snapshots.key, &stamp, state).map_err(|e| chain(&e))?;
        Ok(Self { sealed, schema, plain_len: state.len() as u64, digest: blake3::hash(state) })
    }

    /// Opens the capsule and gives the state to `into`, which has never been started.
    pub(crate) fn carry_into(
        &self,
        snapshots: &Snapshots,
        into: &Arc<Generation>,
        deadline: Duration,
    ) -> Result<(), String> {
        let opened = hotbay_state::open(&snapshots.key, &into.name, &self.sealed).map_err(|e| chain(&e))?;
        give(into, self.schema, &opened.plain, deadline)
    }
}

/// Imports opened state, where the plugin's manifest says that it reads this schema.
pub(crate) fn give(
    into: &Arc<Generation>,
    schema: u32,
    plain: &[u8],
    deadline: Duration,
) -> Result<(), String> {
    let reads = into.manifest().state.as_ref();
    if let Some(reads) = reads.filter(|reads| !reads.accepts(schema)) {
        let others: Vec<String> = reads.reads.iter().chain([&reads.writes]).map(u32::to_string).collect();
        return Err(format!(
            "failed to carry the state over: it has schema {schema}, version {} reads {}; give it a migration from {schema}",
            into.manifest().version,
            others.join(", ")
        ));
    }
    import(into, schema, plain.into(), deadline).map_err(|e| e.to_string())
}
