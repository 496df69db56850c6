//! The version of each service with state that served last: `.hotbay/served/`. Its bytes, and what they are (`<service>.json`).
//!
//! The state on disk is what that version wrote, and another one may lie in the plugins folder by the time that the service starts again:
//! dropped a moment before the host died, or while there was none. Where that one cannot read the state, this one can, and hands it over.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::files::Candidate;
use super::generation::Generation;
use super::kept::{Kept, bytes_path, copy_bytes, is_bytes};
use super::records::{Records, remove};

/// The folder. Operations write, one at a time per service; the loop reads.
#[derive(Debug)]
pub(crate) struct Served {
    records: Records<Kept>,
    all: Mutex<BTreeMap<String, Candidate>>,
}

impl Served {
    /// Opens the folder, and removes bytes that no record names.
    pub(crate) fn open(home: &Path) -> io::Result<Self> {
        let (records, noted) = Records::<Kept>::open(home.join("served"))?;
        let mut all = BTreeMap::new();
        for (name, kept) in noted {
            match kept.in_folder(records.folder(), &name) {
                Some(candidate) => drop(all.insert(name, candidate)),
                None => records.remove(&name),
            }
        }
        for entry in fs::read_dir(records.folder())? {
            let path = entry?.path();
            if is_bytes(&path) && !all.values().any(|candidate| candidate.path == path) {
                remove(&path);
            }
        }
        Ok(Self { records, all: Mutex::new(all) })
    }

    /// Notes that this version serves. One without state leaves nothing to hand over.
    pub(crate) fn note(&self, serves: &Generation) -> io::Result<()> {
        let name = &*serves.name;
        let is_noted = self.of(name).is_some_and(|noted| noted.digest == *serves.digest());
        if is_noted && serves.plugin.is_stateful() {
            return Ok(());
        }
        // Rather none than another one, should what follows fail.
        self.forget(name);
        if !serves.plugin.is_stateful() {
            return Ok(());
        }
        let (copy, path) =
            (serves.staged.on_disk()?, bytes_path(self.records.folder(), name, serves.digest()));
        remove(&path);
        // It is never written again: a second name for it costs nothing. Windows: a name of what is mapped could not be removed.
        if cfg!(windows) || fs::hard_link(copy, &path).is_err() {
            copy_bytes(copy, &path)?;
        }
        let kept = Kept::of(serves);
        self.records.write(name, &kept, false)?;
        if let Some(candidate) = kept.in_folder(self.records.folder(), name) {
            self.lock().insert(name.to_owned(), candidate);
        }
        Ok(())
    }

    /// The version that served last, if it had state.
    pub(crate) fn of(&self, service: &str) -> Option<Candidate> {
        self.lock().get(service).cloned()
    }

    /// Whether a file lies here.
    pub(crate) fn holds(&self, path: &Path) -> bool {
        path.starts_with(self.records.folder())
    }

    /// Nothing provides the service any more, or it is another version's now.
    pub(crate) fn forget(&self, service: &str) {
        self.records.remove(service);
        if let Some(candidate) = self.lock().remove(service) {
            remove(&candidate.path);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Candidate>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
