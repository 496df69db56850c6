//! The state on its way from one generation to the next: sealed, in memory or in a file of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hotbay_state::{Draft, Drafting, HELD, Header, KeyRing, OpenError, Prepared, Reopen, Stamp};

use crate::error::{Code, Trouble};
use crate::fault;
use crate::kernel::generation::Generation;
use crate::kernel::snapshots::Snapshots;
use crate::start::{Drafted, Exported, Incoming, Plain, import};

/// Sealed state in flight.
#[derive(Debug)]
pub(crate) struct Capsule {
    pub(crate) sealed: Sealed,
    /// The keys that there were when it was sealed: by now the one that it needs may be no one's else.
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) schema: u32,
    pub(crate) sequence: u64,
    pub(crate) plain_len: u64,
    /// Of the state, where it was taken: the next snapshot of the same state need not be written.
    pub(crate) digest: Option<blake3::Hash>,
}

/// Where the sealed bytes are.
#[derive(Debug)]
pub(crate) enum Sealed {
    Held(Vec<u8>),
    /// In a file that goes with the last who has it.
    Draft(Arc<Draft>),
    /// In a file of a store, which nobody but the service's own operations replaces or removes.
    File(PathBuf),
}

/// Memory for the state in the clear and sealed, and the capsule's own keys: taken and derived while nobody waits for it.
#[derive(Debug, Default)]
pub(crate) struct Room {
    pub(crate) plain: Plain,
    pub(crate) sealed: Vec<u8>,
    pub(crate) prepared: Option<Prepared>,
}

/// What was used to seal, to be used again: memory of a state that was held, and the keys of its capsule.
#[derive(Debug, Default)]
pub(crate) struct Again {
    pub(crate) plain: Plain,
    pub(crate) reopen: Option<Reopen>,
}

impl Room {
    /// Room for so many bytes of state, and some more: it may grow until it is exported. What is not held in memory needs no more than
    /// what is.
    pub(crate) fn for_state(bytes: u64) -> Self {
        let with_more = bytes.saturating_add(bytes / 8).min(HELD);
        let sealed = if bytes > HELD { 0 } else { hotbay_state::max_sealed_len(with_more) };
        Self { plain: Plain::new(faulted_in(with_more)), sealed: faulted_in(sealed), prepared: None }
    }
}

/// Runs what seals and opens over nothing, and derives the keys of the next capsule: what a processor has not run for a while takes it
/// several times as long, and that and the keys are most of the time of a small state. `None` where there are no random bytes: sealing says so.
pub(super) fn warm_up(keys: &KeyRing) -> Option<Prepared> {
    let (plugin, plugin_version) = ("warm-up", "0.0.0");
    let stamp = Stamp { service: plugin, plugin, plugin_version, ..Stamp::default() };
    let (mut sealed, mut plain) = (Vec::new(), Plain::default());
    let (_, reopen) = Prepared::new(keys.primary()).ok()?.seal_into(&stamp, &[], &mut sealed).ok()?;
    std::hint::black_box(reopen.open_into(keys, plugin, &sealed, &mut plain)).ok();
    Prepared::new(keys.primary()).ok()
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

/// What is said of the state that a generation writes in this schema, as snapshot number `sequence`.
fn stamp(from: &Generation, schema: u32, sequence: u64) -> Stamp<'_> {
    let shape = from.manifest().state.as_ref();
    Stamp {
        service: &from.name,
        // A plugin has the name of the service that it registers.
        plugin: &from.manifest().name,
        plugin_version: &from.manifest().version,
        schema,
        sequence,
        generation: from.number,
        content_type: shape.and_then(|shape| shape.content_type_of(schema)).unwrap_or_default(),
    }
}

/// Begins a draft of what `from` writes in this schema, sealed with the primary of `keys`.
pub(crate) fn begin_draft(
    snapshots: &Snapshots,
    keys: &KeyRing,
    from: &Generation,
    schema: u32,
) -> Result<Drafting, Trouble> {
    fault::point("seal", &from.name).map_err(not_sealed)?;
    let stamp = stamp(from, schema, snapshots.next_sequence(&from.name));
    Ok(snapshots.store().draft(keys.primary(), &stamp)?)
}

fn not_sealed(error: std::io::Error) -> Trouble {
    Trouble::new(Code::StateNotWritten, format!("failed to seal the state: {error}"))
}

impl Capsule {
    /// What `from` exported in this schema, sealed into memory that is there, with keys that are, unless it is sealed already. `keys` were
    /// there before it was exported.
    pub(crate) fn seal(
        snapshots: &Snapshots,
        keys: Arc<KeyRing>,
        from: &Generation,
        schema: u32,
        state: Exported,
        room: Room,
    ) -> Result<(Self, Again), Trouble> {
        let plain_len = state.len();
        let (sealed, sequence, again, digest) = match state {
            Exported::Drafted(Drafted { draft, digest }) => {
                let sequence = draft.header().sequence;
                (Sealed::Draft(draft), sequence, Again::default(), Some(digest))
            }
            Exported::Held(plain) => {
                fault::point("seal", &from.name).map_err(not_sealed)?;
                let stamp = stamp(from, schema, snapshots.next_sequence(&from.name));
                let Room { mut sealed, prepared, .. } = room;
                // The primary may be another one since.
                let prepared = prepared.filter(|prepared| prepared.key_id() == keys.primary().id());
                let prepared = prepared.map_or_else(|| Prepared::new(keys.primary()), Ok)?;
                let (header, reopen) = prepared.seal_into(&stamp, &plain, &mut sealed)?;
                (Sealed::Held(sealed), header.sequence, Again { plain, reopen: Some(reopen) }, None)
            }
        };
        Ok((Self { sealed, keys, schema, sequence, plain_len, digest }, again))
    }

    /// A snapshot of a service that was seen to be whole, in memory or where it lies.
    pub(crate) fn of_file(keys: &Arc<KeyRing>, service: &str, path: &Path) -> Result<Self, OpenError> {
        let opener = keys.open_file(service, path)?;
        let plain_len = opener.header().plain_len;
        let (sealed, header, digest) = if plain_len > HELD {
            let mut opener = opener;
            let mut hasher = blake3::Hasher::new();
            while let Some(chunk) = opener.next_chunk()? {
                hasher.update(chunk);
            }
            (Sealed::File(path.to_owned()), opener.finish()?, hasher.finalize())
        } else {
            let sealed = std::fs::read(path).map_err(|source| OpenError::Read { source })?;
            let opened = keys.open(service, &sealed)?;
            (Sealed::Held(sealed), opened.header, blake3::hash(&opened.plain))
        };
        let Header { schema, sequence, plain_len, .. } = header;
        let keys = Arc::clone(keys);
        Ok(Self { sealed, keys, schema, sequence, plain_len, digest: Some(digest) })
    }

    /// What it says of itself.
    pub(crate) fn header(&self, service: &str) -> Result<Header, OpenError> {
        match &self.sealed {
            Sealed::Held(sealed) => hotbay_state::read_header(sealed),
            Sealed::Draft(draft) => Ok(draft.header().clone()),
            Sealed::File(path) => Ok(self.keys.open_file(service, path)?.header().clone()),
        }
    }

    /// The state of a service, to be imported.
    pub(crate) fn open(&self, service: &str, again: Again) -> Result<Incoming, OpenError> {
        let Again { mut plain, reopen } = again;
        let (path, kept) = match &self.sealed {
            Sealed::Held(sealed) => {
                match reopen {
                    Some(reopen) => reopen.open_into(&self.keys, service, sealed, &mut plain)?,
                    None => self.keys.open_into(service, sealed, &mut plain)?,
                };
                return Ok(Incoming::Held(plain));
            }
            Sealed::Draft(draft) => (draft.path(), Some(Arc::clone(draft))),
            Sealed::File(path) => (path.as_path(), None),
        };
        Ok(Incoming::Opened(Box::new(self.keys.open_file(service, path)?), kept))
    }

    /// Opens the capsule and gives the state to `into`, which has never been started. Memory of a state that is held comes back.
    pub(crate) fn carry_into(
        &self,
        into: &Arc<Generation>,
        again: Again,
        deadline: Duration,
    ) -> Result<Option<Plain>, Trouble> {
        let state = self.open(&into.name, again)?;
        let is_held = matches!(state, Incoming::Held(_));
        let plain = give(into, self.schema, state, deadline)?;
        Ok(is_held.then_some(plain))
    }
}

/// Imports opened state, where the plugin's manifest says that it reads this schema. Memory that it was in comes back.
pub(crate) fn give(
    into: &Arc<Generation>,
    schema: u32,
    state: Incoming,
    deadline: Duration,
) -> Result<Plain, Trouble> {
    readable(into, schema)?;
    Ok(import(into, schema, state, deadline)?)
}

/// The schema in which `from` hands its state to `into`.
pub(super) fn handed(from: &Generation, into: &Generation) -> Result<u32, Trouble> {
    let next = into.manifest().state.as_ref();
    let handed = next.and_then(|next| from.hands_to(next)).unwrap_or(from.schema());
    readable(into, handed).map(|()| handed)
}

/// Whether the plugin's manifest says that it reads this schema.
pub(crate) fn readable(into: &Generation, schema: u32) -> Result<(), Trouble> {
    let reads = into.manifest().state.as_ref();
    let Some(reads) = reads.filter(|reads| !reads.accepts(schema)) else { return Ok(()) };
    let others: Vec<String> = reads.reads.iter().chain([&reads.writes]).map(u32::to_string).collect();
    let text = format!(
        "failed to carry the state over: it has schema {schema}, version {} reads {}; declare a step from {schema} there, or one back in the version that wrote it",
        into.manifest().version,
        others.join(", ")
    );
    Err(Trouble::new(Code::SchemaNotRead, text))
}

#[cfg(test)]
mod tests {
    use hotbay_state::Key;

    use super::*;
    use crate::linked::{Bay, Idle};

    #[test]
    fn state_is_sealed_with_the_key_that_is_the_primary_by_then() {
        let bay = Bay::new();
        let (_, generation) = bay.serve::<Idle>();
        let [before, now] = [(); 2].map(|()| Arc::new(KeyRing::from(Key::generate().unwrap())));
        for prepared in [warm_up(&before), warm_up(&now), None] {
            let room = Room { prepared, ..Room::default() };
            let state = Exported::Held(Plain::new(b"state".to_vec()));
            let sealed = Capsule::seal(&bay.snapshots, Arc::clone(&now), &generation, 1, state, room);
            let (capsule, again) = sealed.unwrap();
            let Sealed::Held(sealed) = &capsule.sealed else { unreachable!("it is short") };
            assert_eq!(*now.open("idle", sealed).unwrap().plain, b"state");
            let Incoming::Held(opened) = capsule.open("idle", again).unwrap() else { unreachable!() };
            assert_eq!(*opened, b"state");
        }
    }
}
