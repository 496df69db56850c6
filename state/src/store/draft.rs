//! Drafts: state that is sealed into a file of its own while it is still being written, to become the snapshot later, or not.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Store;
use super::older::OF_ANOTHER_NAME;
use crate::durable::{self, Step, Temporary, WriteError, step};
use crate::error::{OpenError, SealError, StoreError};
use crate::header::{Header, Stamp};
use crate::key::Key;
use crate::opener::Opener;
use crate::ring::KeyRing;
use crate::seal::Once;
use crate::sealer::Sealer;

#[cfg(test)]
mod tests;

/// A draft that is being written. Dropped before [`finish`](Self::finish), nothing is left of it.
#[derive(Debug)]
pub struct Drafting {
    sealer: Sealer<Temporary>,
    // What it is meant for.
    path: PathBuf,
}

/// A whole capsule in a file of its own, which [`Store::publish`] gives the name of the snapshot as well. The file goes with this
/// value, however that ended.
#[derive(Debug)]
pub struct Draft {
    file: Temporary,
    header: Header,
    // How the one attempt to force it to the disk ended.
    synced: Mutex<Option<bool>>,
}

impl Store {
    /// Begins a draft of the next snapshot of a service.
    ///
    /// # Errors
    /// [`StoreError::Service`], [`StoreError::Seal`], or [`StoreError::Save`] if the file cannot be made.
    pub fn draft(&self, key: &Key, stamp: &Stamp<'_>) -> Result<Drafting, StoreError> {
        let path = self.checked_path(stamp.service)?;
        let once = Once::draw().map_err(|source| StoreError::Seal { path: path.clone(), source })?;
        begin(path, key, stamp, once)
    }

    /// A draft of what is read to its end, under number `sequence` and sealed with this key. It says of itself what it said
    /// before; also when it was sealed first, unless that is `now`.
    ///
    /// # Errors
    /// [`StoreError::Capsule`] with what is wrong with what is read, else as [`Store::draft`].
    pub fn draft_again(
        &self,
        key: &Key,
        opener: Opener<impl Read>,
        sequence: u64,
        now: bool,
    ) -> Result<Draft, StoreError> {
        let path = self.checked_path(&opener.header().service)?;
        draft_of(path, key, opener, sequence, now)
    }

    /// Makes a draft the newest snapshot of its service; the one before is kept under its number. When this returns it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Save`]. The old snapshot stays, and the draft is what it was: unless it could not be forced to the disk, it may
    /// be published again.
    pub fn publish(&self, draft: &Draft) -> Result<(), StoreError> {
        let service = &draft.header.service;
        let path = self.checked_path(service)?;
        draft
            .place(&path, || self.keep_under_number(service))
            .map_err(|source| StoreError::Save { path, source })?;
        // As after any save.
        let _ = self.prune(service, self.keep);
        Ok(())
    }

    /// Opens one of the snapshots that there are while it is read: the newest, or the one of this number.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`], or [`StoreError::Load`] with what its header tells of it.
    pub fn open_at(
        &self,
        keys: &KeyRing,
        service: &str,
        sequence: Option<u64>,
    ) -> Result<Option<Opener<File>>, StoreError> {
        let path = match sequence {
            None => self.checked_path(service)?,
            Some(sequence) => self.path_at(service, sequence)?,
        };
        match keys.open_file(service, &path) {
            Ok(opener) => match sequence.filter(|asked| *asked != opener.header().sequence) {
                None => Ok(Some(opener)),
                Some(_) => {
                    let source = OpenError::BadHeader { problem: OF_ANOTHER_NAME };
                    Err(StoreError::Load { path, source })
                }
            },
            Err(OpenError::Read { source }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Load { path, source }),
        }
    }
}

pub(super) fn draft_of(
    path: PathBuf,
    key: &Key,
    mut opener: Opener<impl Read>,
    sequence: u64,
    now: bool,
) -> Result<Draft, StoreError> {
    let header = opener.header().clone();
    let mut once = Once::draw().map_err(|source| StoreError::Seal { path: path.clone(), source })?;
    if !now {
        once.created_unix_ms = header.created_unix_ms;
    }
    let stamp = Stamp { sequence, ..header.stamp() };
    let mut drafting = begin(path, key, &stamp, once)?;
    loop {
        match opener.next_chunk() {
            Ok(Some(chunk)) => drafting.push(chunk)?,
            Ok(None) => return drafting.finish(),
            Err(source) => return Err(StoreError::Capsule { path: drafting.path, source }),
        }
    }
}

fn begin(path: PathBuf, key: &Key, stamp: &Stamp<'_>, once: Once) -> Result<Drafting, StoreError> {
    let file = step(Step::Create, &path, || Temporary::create(&path))
        .map_err(|source| StoreError::Save { path: path.clone(), source })?;
    match Sealer::once(key, stamp, None, file, once) {
        Ok(sealer) => Ok(Drafting { sealer, path }),
        Err(error) => Err(failed(path, error)),
    }
}

/// What the file said is an error of the file.
fn failed(path: PathBuf, error: SealError) -> StoreError {
    match error {
        SealError::Write { source } => {
            StoreError::Save { path, source: WriteError { step: Step::Write, source } }
        }
        source => StoreError::Seal { path, source },
    }
}

impl Drafting {
    /// Seals `plain` as the next part of the state.
    ///
    /// # Errors
    /// [`StoreError::Save`] or [`StoreError::Seal`]; the draft is of no use then.
    pub fn push(&mut self, plain: &[u8]) -> Result<(), StoreError> {
        self.sealer.push(plain).map_err(|error| failed(self.path.clone(), error))
    }

    /// Seals the end. Nothing is forced to the disk yet.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn finish(self) -> Result<Draft, StoreError> {
        let (mut file, header) = self.sealer.finish().map_err(|error| failed(self.path, error))?;
        file.close();
        Ok(Draft { file, header, synced: Mutex::default() })
    }
}

impl Draft {
    /// What the capsule says of itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file, for as long as this value lives.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Gives it the name `path` as well.
    pub(super) fn place(&self, path: &Path, keep: impl FnOnce() -> io::Result<()>) -> Result<(), WriteError> {
        self.sync(path)?;
        durable::place(&self.file, path, keep)
    }

    /// Once: after a failure the system may have dropped what it could not write, and report success.
    fn sync(&self, path: &Path) -> Result<(), WriteError> {
        let mut synced = self.synced.lock().unwrap_or_else(PoisonError::into_inner);
        match *synced {
            Some(true) => Ok(()),
            Some(false) => {
                let again = io::Error::other("it failed before, and is not tried again on the same file");
                Err(WriteError { step: Step::Sync, source: again })
            }
            None => {
                let done = step(Step::Sync, path, || self.file.sync());
                *synced = Some(done.is_ok());
                done
            }
        }
    }
}
