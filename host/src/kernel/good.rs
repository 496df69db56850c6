//! The last good version of each service: `.hotbay/good/`. Its bytes, what they are (`<service>.json`), and for as long as
//! the version after it is on probation the state that it had when it was replaced (`<service>.state`).
//!
//! A version that is about to be replaced is kept before anything of the next one runs (`.hotbay/pending/`): one that brings
//! the host down does so at any step. It becomes the last good one when the next one serves, or the host died meanwhile.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotbay_state::{KeyId, KeyRing, OpenError, Store, StoreError};

use super::files::Candidate;
use super::generation::Generation;
use super::kept::{Kept, bytes_path, copy_bytes, is_bytes};
use super::records::{Records, remove};
use crate::swap::{Capsule, Sealed};
use crate::verify::Digest;

/// A version that is kept while another tries to take its place.
#[derive(Debug)]
pub(crate) struct Pending {
    kept: Kept,
    path: PathBuf,
}

/// The folder. Operations write, one at a time per service; the loop reads.
#[derive(Debug)]
pub(crate) struct Good {
    records: Records<Kept>,
    pending: Records<Kept>,
    states: Store,
    state_of_services: PathBuf,
    kept: Mutex<BTreeMap<String, Candidate>>,
    // Of which version a record lies ready to be the pending one.
    ready: Mutex<BTreeMap<String, Digest>>,
}

impl Good {
    /// Opens the folder, and removes bytes and state that no record names.
    pub(crate) fn open(home: &Path) -> Result<Self, GoodError> {
        let (records, all) = Records::<Kept>::open(home.join("good"))?;
        let (pending, interrupted) = Records::<Kept>::open(home.join("pending"))?;
        let states = Store::open(records.folder())?.keeping(1);
        let state_of_services = home.join("state");
        let good = Self {
            records,
            pending,
            states,
            state_of_services,
            kept: Mutex::default(),
            ready: Mutex::default(),
        };
        for (name, kept) in all {
            if let Some(candidate) = good.candidate_of(&name, kept) {
                good.lock().insert(name, candidate);
            }
        }
        for (name, kept) in interrupted {
            good.recover(&name, kept);
        }
        good.sweep()?;
        Ok(good)
    }

    /// The version to go back to.
    pub(crate) fn of(&self, service: &str) -> Option<Candidate> {
        self.lock().get(service).cloned()
    }

    /// Whether a file lies here.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        path.starts_with(self.records.folder())
    }

    /// Writes down all that it takes to keep a version that serves: to give it its names is all that is left to be done, and waited
    /// for, when the next one comes.
    pub(crate) fn make_ready(&self, serves: &Generation) -> io::Result<()> {
        self.ready().remove(&*serves.name);
        serves.staged.on_disk()?;
        self.pending.prepare(&serves.name, &Kept::of(serves))?;
        self.ready().insert(serves.name.to_string(), serves.digest().clone());
        Ok(())
    }

    /// Keeps the bytes of a generation, and `state`, the capsule that it gave away.
    pub(crate) fn keep(&self, old: &Generation, state: Option<&Capsule>) -> io::Result<()> {
        let pending = self.keep_pending(old)?;
        self.promote(&old.name, pending, state)
    }

    /// Keeps the bytes of a generation beside those that are kept, until it is known how the attempt to replace it ended.
    pub(crate) fn keep_pending(&self, old: &Generation) -> io::Result<Pending> {
        let name = &*old.name;
        let path = bytes_path(self.records.folder(), name, old.digest());
        // First: where there is no room for it, what is kept stays.
        let copy = old.staged.on_disk()?;
        // It is never written again: a second name for it costs nothing. Windows: a name of what is mapped could not
        // be removed when something newer is kept. By way of another name: what may be the last good version's is there at any moment.
        let beside = path.with_extension("new");
        remove(&beside);
        let linked = cfg!(not(windows))
            && fs::hard_link(copy, &beside).and_then(|()| fs::rename(&beside, &path)).is_ok();
        // Also where both are names of one file already, which a rename leaves as they are.
        remove(&beside);
        let is_there = || fs::read(&path).is_ok_and(|bytes| Digest::of(&bytes) == *old.digest());
        if !linked && !is_there() {
            remove(&path);
            copy_bytes(copy, &path)?;
        }
        let kept = Kept::of(old);
        let is_ready = self.ready().remove(name).is_some_and(|ready| ready == *old.digest());
        if !is_ready || self.pending.put_in_place(name).is_err() {
            self.pending.write(name, &kept, false)?;
        }
        Ok(Pending { kept, path })
    }

    /// The attempt succeeded: what is pending is the last good version, with `state`.
    pub(crate) fn promote(&self, name: &str, pending: Pending, state: Option<&Capsule>) -> io::Result<()> {
        let Pending { kept, path } = pending;
        self.keep_state(name, state)?;
        self.records.write(name, &kept, false)?;
        self.pending.remove(name);
        if let Some(before) = self.of(name).filter(|before| before.path != path) {
            remove(&before.path);
        }
        if let Some(candidate) = self.candidate_of(name, kept) {
            self.lock().insert(name.to_owned(), candidate);
        }
        Ok(())
    }

    /// The attempt failed: what is pending serves on.
    pub(crate) fn drop_pending(&self, name: &str, pending: &Pending) {
        self.pending.remove(name);
        if self.of(name).is_none_or(|good| good.path != pending.path) {
            remove(&pending.path);
        }
    }

    /// The host died while a version was being replaced: it is the one to go back to, with the state that is on disk. The
    /// next one did not come to write any.
    fn recover(&self, name: &str, kept: Kept) {
        let Some(candidate) = self.candidate_of(name, kept.clone()) else { return self.pending.remove(name) };
        let path = self.states.path(name);
        remove(&path);
        let snapshot = self.state_of_services.join(path.file_name().unwrap_or_default());
        // Also where there is none: what has no state needs none.
        let _ = link_or_copy(&snapshot, &path);
        match self.records.write(name, &kept, false) {
            Ok(()) => self.pending.remove(name),
            // It stays pending, for the next run as well.
            Err(error) => {
                tracing::error!(plugin = name, %error, "failed to note which version is the last good one")
            }
        }
        self.lock().insert(name.to_owned(), candidate);
    }

    fn keep_state(&self, service: &str, state: Option<&Capsule>) -> io::Result<()> {
        let path = self.states.path(service);
        remove(&path);
        let Some(capsule) = state else { return Ok(()) };
        let sealed = match &capsule.sealed {
            Sealed::Held(sealed) => sealed,
            Sealed::Draft(draft) => return link_or_copy(draft.path(), &path),
            Sealed::File(file) => return link_or_copy(file, &path),
        };
        // It was written a moment ago as the service's snapshot; that file is replaced as a whole, never written into.
        let snapshot = self.state_of_services.join(path.file_name().unwrap_or_default());
        let same = begins_like(&snapshot, sealed).unwrap_or(false);
        if same && fs::hard_link(&snapshot, &path).is_ok() {
            return Ok(());
        }
        self.states.save_sealed(service, sealed).map_err(io::Error::other)
    }

    /// The state that the good version had when it was replaced, while that is kept.
    pub(crate) fn state(&self, keys: &Arc<KeyRing>, service: &str) -> Option<Capsule> {
        match Capsule::of_file(keys, service, &self.states.path(service)) {
            Ok(capsule) => Some(capsule),
            Err(OpenError::Read { .. }) => None,
            Err(error) => {
                let error = crate::error::chain(&error);
                tracing::warn!(plugin = service, error, "the state of the last good version cannot be read");
                None
            }
        }
    }

    /// Seals the kept states anew with the primary, where that is to be done: before operations begin, which write them too. What
    /// cannot be opened is told when somebody goes back to it.
    pub(crate) fn reseal(&self, keys: &KeyRing) {
        for sealed in self.states.sealed().unwrap_or_default() {
            if let Err(error) = self.states.reseal(keys, &sealed) {
                let error = crate::error::chain(&error);
                tracing::warn!(
                    plugin = sealed.service,
                    error,
                    "the state of the last good version stays as it is"
                );
            }
        }
    }

    /// The kept states that a key is needed for. They go when the window has passed.
    pub(crate) fn needs(&self, key: KeyId) -> Result<Vec<PathBuf>, StoreError> {
        self.states.needs(key)
    }

    /// The window is passed, or the state is where it belongs: nobody goes back to it any more.
    pub(crate) fn forget_state(&self, service: &str) {
        remove(&self.states.path(service));
    }

    /// The service was removed.
    pub(crate) fn forget(&self, service: &str) {
        self.records.remove(service);
        self.pending.remove(service);
        if self.ready().remove(service).is_some() {
            self.pending.forget_prepared(service);
        }
        self.forget_state(service);
        if let Some(candidate) = self.lock().remove(service) {
            remove(&candidate.path);
        }
    }

    fn candidate_of(&self, service: &str, kept: Kept) -> Option<Candidate> {
        kept.in_folder(self.records.folder(), service)
    }

    fn sweep(&self) -> io::Result<()> {
        let kept = self.lock();
        let mut named: BTreeSet<PathBuf> = BTreeSet::new();
        for (service, candidate) in &*kept {
            named.extend([candidate.path.clone(), self.states.path(service)]);
        }
        for entry in fs::read_dir(self.records.folder())? {
            let path = entry?.path();
            let is_ours = is_bytes(&path) || path.extension().is_some_and(|e| e == "state");
            if is_ours && !named.contains(&path) {
                remove(&path);
            }
        }
        Ok(())
    }

    fn ready(&self) -> MutexGuard<'_, BTreeMap<String, Digest>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Candidate>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn link_or_copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::hard_link(from, to).or_else(|_| fs::copy(from, to).map(drop))
}

/// Whether a file is this capsule: no two have the same salt, and that stands in the first bytes.
fn begins_like(path: &Path, sealed: &[u8]) -> io::Result<bool> {
    let mut file = fs::File::open(path)?;
    let mut start = vec![0; sealed.len().min(512)];
    file.read_exact(&mut start)?;
    Ok(file.metadata()?.len() == sealed.len() as u64 && sealed.starts_with(&start))
}

#[cfg(test)]
mod tests;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GoodError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}
