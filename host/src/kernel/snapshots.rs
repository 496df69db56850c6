//! Durable state of all services: the key, the store, and what was written last.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use hotbay_state::{Key, OpenError, Opened, Store, StoreError};

use super::generation::Generation;
use super::view::Snapshot;
use crate::error::chain;
use crate::swap::Capsule;

/// Writes and reads the snapshots of services.
#[derive(Debug)]
pub(crate) struct Snapshots {
    pub(crate) key: Key,
    store: Store,
    last: Mutex<BTreeMap<String, Last>>,
}

/// The newest snapshot of a service.
#[derive(Debug, Clone, Default)]
struct Last {
    sequence: u64,
    // Digest and schema of what is on disk: the same is not written again.
    written: Option<(blake3::Hash, u32)>,
    shown: Option<Snapshot>,
    // What is on disk is newer than what is to be written: it is kept under another name before.
    aside_first: bool,
}

impl Snapshots {
    pub(crate) fn new(key: Key, store: Store) -> Self {
        Self { key, store, last: Mutex::default() }
    }

    /// Opens the newest snapshot of a service.
    pub(crate) fn load(&self, service: &str) -> Result<Option<Opened>, StoreError> {
        let opened = self.store.load(&self.key, service)?;
        if let Some(opened) = &opened {
            let header = &opened.header;
            let shown = Snapshot {
                sequence: header.sequence,
                schema: header.schema,
                bytes: header.plain_len,
                created_unix_ms: header.created_unix_ms,
            };
            let written = Some((blake3::hash(&opened.plain), header.schema));
            let mut all = self.lock();
            let last = all.entry(service.to_owned()).or_default();
            (last.sequence, last.written, last.shown) = (header.sequence, written, Some(shown));
        }
        Ok(opened)
    }

    /// Keeps the service's file under another name, so that the service begins with empty state.
    pub(crate) fn set_aside(&self, service: &str) -> Result<Option<PathBuf>, StoreError> {
        let aside = self.store.set_aside(service)?;
        if let Some(last) = self.lock().get_mut(service) {
            (last.written, last.shown) = (None, None);
        }
        Ok(aside)
    }

    /// Writes an earlier state in place of a newer one, which is kept aside; answers where. Until that is done nothing else is
    /// written for the service either: what goes on from the earlier state would replace the newer one.
    pub(crate) fn put_back(&self, service: &str, earlier: &Capsule) -> Result<Option<PathBuf>, String> {
        self.lock().entry(service.to_owned()).or_default().aside_first = true;
        let aside = self.keep_aside(service)?;
        self.save_capsule(service, earlier)?;
        Ok(aside)
    }

    fn keep_aside(&self, service: &str) -> Result<Option<PathBuf>, String> {
        if !self.lock().get(service).is_some_and(|last| last.aside_first) {
            return Ok(None);
        }
        let kept = crate::fault::point("aside", service).map_err(|e| e.to_string());
        let kept = kept.and_then(|()| self.store.keep_aside(service).map_err(|e| chain(&e)));
        let aside = kept.map_err(|e| format!("failed to keep the newer state of `{service}` aside: {e}"))?;
        if let Some(last) = self.lock().get_mut(service) {
            last.aside_first = false;
        }
        Ok(aside)
    }

    /// The number of the next snapshot of a service.
    pub(crate) fn next_sequence(&self, service: &str) -> u64 {
        let mut all = self.lock();
        let last = all.entry(service.to_owned()).or_default();
        last.sequence += 1;
        last.sequence
    }

    /// Seals and writes what a generation exported, unless that is on disk already. Whether it was written.
    pub(crate) fn save(&self, from: &Generation, state: &[u8]) -> Result<bool, String> {
        let schema = from.manifest().state.as_ref().map_or(0, |schema| schema.writes);
        let digest = blake3::hash(state);
        let same = self.lock().get(&*from.name).is_some_and(|last| last.written == Some((digest, schema)));
        if same && self.store.path(&from.name).exists() {
            return Ok(false);
        }
        let capsule = Capsule::seal(self, from, state, Vec::new())?;
        self.save_capsule(&from.name, &Capsule { digest: Some(digest), ..capsule })?;
        Ok(true)
    }

    /// The newest durable snapshot, sealed; it was seen that it opens.
    pub(crate) fn newest(&self, service: &str) -> Result<Option<Capsule>, String> {
        let Some(sealed) = self.store.load_sealed(service).map_err(|e| chain(&e))? else { return Ok(None) };
        let opened = hotbay_state::open(&self.key, service, &sealed).map_err(|e| chain(&e))?;
        let (schema, plain_len) = (opened.header.schema, opened.header.plain_len);
        Ok(Some(Capsule { sealed, schema, plain_len, digest: Some(blake3::hash(&opened.plain)) }))
    }

    /// Writes a capsule that a swap carried.
    pub(crate) fn save_capsule(&self, service: &str, capsule: &Capsule) -> Result<(), String> {
        if let Some(aside) = self.keep_aside(service)? {
            tracing::info!(plugin = service, "the newer state is kept as {}", aside.display());
        }
        crate::fault::point("disk", service).map_err(|e| format!("failed to write the snapshot: {e}"))?;
        self.store.save_sealed(service, &capsule.sealed).map_err(|e| chain(&e))?;
        let header = hotbay_state::read_header(&capsule.sealed).map_err(|e| chain(&e))?;
        let mut all = self.lock();
        let last = all.entry(service.to_owned()).or_default();
        last.written = capsule.digest.map(|digest| (digest, capsule.schema));
        last.shown = Some(Snapshot {
            sequence: header.sequence,
            schema: header.schema,
            bytes: header.plain_len,
            created_unix_ms: header.created_unix_ms,
        });
        Ok(())
    }

    /// The newest durable snapshot, as far as this run knows.
    pub(crate) fn shown(&self, service: &str) -> Option<Snapshot> {
        self.lock().get(service).and_then(|last| last.shown.clone())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the file itself is what is wrong, not the disk or the folder.
pub(crate) fn is_unreadable(error: &StoreError) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<OpenError>)
}
