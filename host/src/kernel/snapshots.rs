//! Durable state of all services: the keys, the store, and what was written last.

mod exchange;
mod head;
mod rotate;
#[cfg(test)]
mod tests;

pub(crate) use exchange::ImportError;
#[cfg(feature = "cli")]
pub(crate) use rotate::Progress;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use hotbay_state::{HELD, Header, KeyRing, OpenError, Store, StoreError};

use super::clock;
use super::generation::Generation;
use super::view::Snapshot;
use crate::error::{Code, Trouble};
use crate::start::{Exported, Incoming};
use crate::swap::{Again, Capsule, Room, Sealed};
use head::KeptHead;

/// Writes and reads the snapshots of services.
#[derive(Debug)]
pub(crate) struct Snapshots {
    keys: RwLock<Arc<KeyRing>>,
    // Whoever gives a file its name reads it, from before it looks which key seals: who exchanges the keys waits for them.
    publishing: RwLock<()>,
    store: Store,
    head: KeptHead,
    last: Mutex<BTreeMap<String, Last>>,
}

/// The newest snapshot of a service.
#[derive(Debug, Clone, Default)]
struct Last {
    // The highest number that was given away; `None` until the files were looked at.
    sequence: Option<u64>,
    // Digest and schema of what is on disk: the same is not written again.
    written: Option<(blake3::Hash, u32)>,
    shown: Option<Snapshot>,
    // Somebody waits for the next one to be durable.
    demanded: bool,
    // What is on disk is newer than what is to be written: it is kept under another name before.
    aside_first: bool,
    // What was gone back from because it was damaged, and whether somebody was told.
    recovered: Option<(String, bool)>,
    // Whoever writes a file of the service holds it: operations take turns, but a rotation goes on beside them.
    writing: Arc<Mutex<()>>,
}

/// The newest snapshot of a service, to be imported.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) header: Header,
    pub(crate) state: Incoming,
}

impl Snapshots {
    pub(crate) fn new(keys: KeyRing, store: Store) -> Self {
        let store = store.telling(|path, error| {
            tracing::warn!(%error, "`{}` was replaced and could not be kept beside what replaced it", path.display());
        });
        let head = KeptHead::read(&store, &keys);
        let (keys, publishing) = (RwLock::new(Arc::new(keys)), RwLock::default());
        Self { keys, publishing, store, head, last: Mutex::default() }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// The keys, as they are now.
    pub(crate) fn keys(&self) -> Arc<KeyRing> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Opens the newest snapshot of a service. Where that is damaged, the one before takes its place.
    pub(crate) fn load(&self, service: &str) -> Result<Option<Stored>, StoreError> {
        let keys = self.keys();
        let found = {
            let writing = self.writing(service);
            let _turn = turn(&writing);
            let known = self.head.get();
            self.store.seek(&keys, &known, service, HELD, || self.next_sequence(service))?
        };
        if let Some(first) = found.quarantined.first() {
            let sequence = found.whole.as_ref().map_or(0, |whole| whole.header.sequence);
            let created = found.whole.as_ref().map_or(0, |whole| whole.header.created_unix_ms);
            let known = self.head.highest(service);
            let age = Duration::from_millis(clock::unix_ms().saturating_sub(created));
            let text = format!(
                "the newest snapshot was damaged ({}) and is kept as {}; it goes on from snapshot {} (`HEAD` knew of {known}), \
                 which was {age:?} old, as {sequence}: what changed since is lost",
                first.reason,
                first.path.display(),
                found.went_back_to.unwrap_or_default()
            );
            tracing::error!(plugin = service, "{text}");
            self.lock().entry(service.to_owned()).or_default().recovered = Some((text, false));
        }
        // The number is looked for now: whoever seals behind a gate must not wait for the disk.
        let _ = self.highest(service);
        let Some(whole) = found.whole else { return Ok(None) };
        let (header, state) = match whole.plain {
            Some(plain) => {
                self.note(&whole.header, Some((blake3::hash(&plain), whole.header.schema)));
                (whole.header, Incoming::Held(plain))
            }
            None => {
                // A rotation may have sealed it anew meanwhile.
                let opener = self.store.open_at(&self.keys(), service, None)?;
                let gone = || StoreError::Load {
                    path: self.store.path(service),
                    source: OpenError::Read { source: std::io::ErrorKind::NotFound.into() },
                };
                let opener = opener.ok_or_else(gone)?;
                self.note(opener.header(), None);
                (opener.header().clone(), Incoming::Opened(Box::new(opener), None))
            }
        };
        Ok(Some(Stored { header, state }))
    }

    /// Keeps the service's file under another name, so that the service begins with empty state.
    pub(crate) fn set_aside(&self, service: &str) -> Result<Option<PathBuf>, StoreError> {
        let highest = self.highest(service);
        let writing = self.writing(service);
        let aside = {
            let _turn = turn(&writing);
            // Of a service that never had any there is nothing to tell.
            let before = self.head.get().of(service);
            if highest > 0 {
                self.head.note_aside(&self.store, &self.keys(), service, highest);
            }
            self.store.set_aside(service).inspect_err(|_| {
                // It is not discarded: what there is may be gone back to as before.
                self.head.take_back(&self.store, &self.keys(), service, before);
            })?
        };
        if let Some(last) = self.lock().get_mut(service) {
            (last.written, last.shown, last.recovered) = (None, None, None);
        }
        Ok(aside)
    }

    /// Writes an earlier state in place of a newer one, which is kept aside; answers where, and under which number. Until that is
    /// done nothing else is written for the service either: what goes on from the earlier state would replace the newer one.
    pub(crate) fn put_back(
        &self,
        service: &str,
        earlier: &Capsule,
    ) -> Result<(Option<PathBuf>, u64), Trouble> {
        self.keep_next_aside(service);
        let aside = self.keep_aside(service)?;
        // Under a new number: one that is lower than what there was would be taken for an old file that somebody put back.
        let (keys, sequence) = (self.keys(), self.next_sequence(service));
        let capsule = self.sealed_again(&keys, service, earlier, sequence, true)?;
        self.save_capsule(service, &capsule)?;
        self.head.note_put_back(service, sequence);
        Ok((aside, sequence))
    }

    /// The same state under another number, or another key; sealed `now`, or when it was.
    fn sealed_again(
        &self,
        keys: &Arc<KeyRing>,
        service: &str,
        capsule: &Capsule,
        sequence: u64,
        now: bool,
    ) -> Result<Capsule, Trouble> {
        let opened = capsule.open(service, Again::default())?;
        let (sealed, digest) = match opened {
            Incoming::Held(plain) => {
                let header = capsule.header(service)?;
                let stamp = hotbay_state::Stamp { sequence, ..header.stamp() };
                let sealed = hotbay_state::seal(keys.primary(), &stamp, &plain)?;
                (Sealed::Held(sealed), Some(blake3::hash(&plain)))
            }
            Incoming::Opened(opener, _kept) => {
                let draft = self.store.draft_again(keys.primary(), *opener, sequence, now);
                (Sealed::Draft(Arc::new(draft?)), capsule.digest)
            }
        };
        let Capsule { schema, plain_len, .. } = *capsule;
        Ok(Capsule { sealed, keys: Arc::clone(keys), schema, sequence, plain_len, digest })
    }

    /// Whoever writes next keeps what is there aside.
    pub(crate) fn keep_next_aside(&self, service: &str) {
        self.lock().entry(service.to_owned()).or_default().aside_first = true;
    }

    fn keep_aside(&self, service: &str) -> Result<Option<PathBuf>, Trouble> {
        if !self.lock().get(service).is_some_and(|last| last.aside_first) {
            return Ok(None);
        }
        let refused = |e: std::io::Error| Trouble::new(Code::NotSetAside, e.to_string());
        let kept = crate::fault::point("aside", service).map_err(refused);
        let writing = self.writing(service);
        let kept = kept.and_then(|()| {
            let _turn = turn(&writing);
            Ok(self.store.keep_aside(service)?)
        });
        let aside =
            kept.map_err(|e| e.within(format_args!("failed to keep the newer state of `{service}` aside")))?;
        if let Some(last) = self.lock().get_mut(service) {
            last.aside_first = false;
        }
        Ok(aside)
    }

    /// The number of the next snapshot of a service: above each that it had before.
    pub(crate) fn next_sequence(&self, service: &str) -> u64 {
        let highest = self.highest(service);
        let mut all = self.lock();
        // Somebody else may have taken one since.
        let sequence = all.entry(service.to_owned()).or_default().sequence.get_or_insert(highest);
        *sequence = sequence.saturating_add(1);
        *sequence
    }

    /// The highest number so far, by `HEAD` and by what the files say.
    fn highest(&self, service: &str) -> u64 {
        if let Some(known) = self.lock().get(service).and_then(|last| last.sequence) {
            return known;
        }
        // A folder that cannot be read says so when it is written to.
        let of_files = self.store.highest(&self.keys(), service).unwrap_or(0);
        let highest = of_files.max(self.head.highest(service));
        *self.lock().entry(service.to_owned()).or_default().sequence.get_or_insert(highest)
    }

    /// Seals and writes what a generation exported, unless that is on disk already. Whether it was written. `keys` were there
    /// before it was exported.
    pub(crate) fn save(
        &self,
        from: &Generation,
        keys: Arc<KeyRing>,
        state: Exported,
    ) -> Result<bool, Trouble> {
        let schema = from.schema();
        let digest = state.digest();
        let same = self.lock().get(&*from.name).is_some_and(|last| last.written == Some((digest, schema)));
        // Who asked for it is not told that it is durable by what this process remembers.
        let demanded =
            self.lock().get_mut(&*from.name).is_some_and(|last| std::mem::take(&mut last.demanded));
        let is_this = |newest: Capsule| (newest.digest, newest.schema) == (Some(digest), schema);
        let is_there = || match demanded {
            true => self.newest(&from.name).is_ok_and(|newest| newest.is_some_and(is_this)),
            false => self.store.path(&from.name).exists(),
        };
        if same && is_there() {
            return Ok(false);
        }
        let (capsule, _) = Capsule::seal(self, keys, from, schema, state, Room::default())?;
        self.save_capsule(&from.name, &Capsule { digest: Some(digest), ..capsule })?;
        Ok(true)
    }

    /// Whether there is a snapshot, and nobody is to be told that it is durable: for that the file is looked at.
    pub(crate) fn is_there(&self, service: &str) -> bool {
        let demanded = self.lock().get(service).is_some_and(|last| last.demanded);
        !demanded && self.store.path(service).exists()
    }

    /// The newest durable snapshot, sealed; it was seen that it opens.
    pub(crate) fn newest(&self, service: &str) -> Result<Option<Capsule>, Trouble> {
        let capsule = match Capsule::of_file(&self.keys(), service, &self.store.path(service)) {
            Ok(capsule) => capsule,
            Err(OpenError::Read { source }) if source.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        self.store.check_age(&self.head.get(), service, capsule.sequence)?;
        Ok(Some(capsule))
    }

    /// Writes a capsule that a swap carried.
    pub(crate) fn save_capsule(&self, service: &str, capsule: &Capsule) -> Result<(), Trouble> {
        if let Some(aside) = self.keep_aside(service)? {
            tracing::info!(plugin = service, "the newer state is kept as {}", aside.display());
        }
        if self.is_newest(service, capsule) {
            // What a forced swap fell back on. Written once more it would be a second one of its number, and the first be kept for ever.
            return Ok(());
        }
        // Until it is noted below: what a write that failed has left is not known.
        self.forget_written(service);
        let full = |e| Trouble::new(Code::StateNotWritten, format!("failed to write the snapshot: {e}"));
        crate::fault::point("disk", service).map_err(full)?;
        let writing = self.writing(service);
        let header = {
            // Before the keys are looked at, and until it is written: nobody retires one meanwhile that this was sealed with.
            let _publishing = self.publishing.read().unwrap_or_else(PoisonError::into_inner);
            let _turn = turn(&writing);
            let (header, keys) = (capsule.header(service)?, self.keys());
            let is_current = header.key_id == keys.primary().id();
            match &capsule.sealed {
                Sealed::Held(sealed) if is_current => self.store.save_sealed(service, sealed),
                Sealed::Draft(draft) if is_current => self.store.publish(draft),
                // The keys were rotated since it was sealed: nothing is written with one that may be retired in a moment. And what is a
                // file already is written as one of its own.
                _ => {
                    let again = self.sealed_again(&keys, service, capsule, header.sequence, false)?;
                    match &again.sealed {
                        Sealed::Held(sealed) => self.store.save_sealed(service, sealed),
                        Sealed::Draft(draft) => self.store.publish(draft),
                        Sealed::File(_) => unreachable!("it was sealed just now"),
                    }
                }
            }?;
            header
        };
        self.note(&header, capsule.digest.map(|digest| (digest, capsule.schema)));
        Ok(())
    }

    /// Whether a capsule is what lies on the disk as the newest, whatever it was sealed with since.
    fn is_newest(&self, service: &str, capsule: &Capsule) -> bool {
        let known = self.lock().get(service).and_then(|last| last.shown.as_ref().map(|shown| shown.sequence));
        let is_there = |path| {
            let opened = self.keys().open_file(service, path);
            opened.is_ok_and(|opened| opened.header().sequence == capsule.sequence)
        };
        known == Some(capsule.sequence) && is_there(&self.store.path(service))
    }

    /// Somebody is to be told that the next state is on the disk: the file is opened before it is taken for written already.
    pub(crate) fn demand(&self, service: &str) {
        self.lock().entry(service.to_owned()).or_default().demanded = true;
    }

    fn forget_written(&self, service: &str) {
        if let Some(last) = self.lock().get_mut(service) {
            last.written = None;
        }
    }

    /// Writes `HEAD`, if anything was saved since; unless it is `due` only when that was a while ago.
    pub(crate) fn keep_head(&self, due: bool) {
        self.head.write(&self.store, &self.keys(), due);
    }

    /// The newest durable snapshot, as far as this run knows.
    pub(crate) fn shown(&self, service: &str) -> Option<Snapshot> {
        self.lock().get(service).and_then(|last| last.shown.clone())
    }

    /// What was gone back from in this run because it was damaged.
    pub(crate) fn recovered(&self, service: &str) -> Option<String> {
        self.lock().get(service).and_then(|last| last.recovered.as_ref()).map(|(text, _)| text.clone())
    }

    /// The same, once.
    pub(crate) fn news(&self, service: &str) -> Option<String> {
        let mut all = self.lock();
        let (text, told) = all.get_mut(service)?.recovered.as_mut()?;
        (!std::mem::replace(told, true)).then(|| text.clone())
    }

    /// A snapshot is durable.
    fn note(&self, header: &Header, written: Option<(blake3::Hash, u32)>) {
        self.head.note(&header.service, header.sequence);
        let mut all = self.lock();
        let last = all.entry(header.service.clone()).or_default();
        last.sequence = last.sequence.max(Some(header.sequence));
        last.written = written;
        last.shown = Some(header.clone().into());
    }

    fn writing(&self, service: &str) -> Arc<Mutex<()>> {
        Arc::clone(&self.lock().entry(service.to_owned()).or_default().writing)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Last>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn turn(writing: &Mutex<()>) -> MutexGuard<'_, ()> {
    writing.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the file itself is what is wrong, not the disk or the folder.
pub(crate) fn is_unreadable(error: &StoreError) -> bool {
    matches!(error, StoreError::Older { .. } | StoreError::Gone { .. })
        || std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<OpenError>)
}
