//! From one key to the next: all that is sealed with another than the primary is sealed anew, beside what goes on.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use hotbay_state::{KeyId, KeyRing, Resealed, StoreError};

use super::{Snapshots, turn};
use crate::error::chain;
use crate::swap::{Capsule, Sealed};

/// How a rotation went, or goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Files that are to be looked at.
    pub(crate) files: usize,
    /// Files that were sealed anew.
    pub(crate) resealed: usize,
    /// Files that could not be: they need the key that they are sealed with.
    pub(crate) failed: Vec<String>,
}

impl Snapshots {
    /// Whether there is anything for [`Snapshots::reseal`] to do: another key than the primary, and a file that needs it.
    pub(crate) fn is_to_be_resealed(&self) -> bool {
        self.store.is_to_be_resealed(&self.keys()).unwrap_or(false)
    }

    /// Writes `HEAD` with the primary.
    pub(crate) fn rewrite_head(&self) -> Result<(), StoreError> {
        self.head.rewrite(&self.store, &self.keys())
    }

    /// Takes other keys into use. When this returns, nothing is about to be written that was sealed with the primary before.
    pub(crate) fn exchange_keys(&self, keys: KeyRing) {
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        drop(self.publishing.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Seals every file that needs it with the primary. Each is replaced in one step: cut off anywhere, it goes on from there at the
    /// next start. `tell` hears of each file.
    pub(crate) fn reseal(&self, mut tell: impl FnMut(&Progress)) -> Result<Progress, StoreError> {
        let mut progress = Progress::default();
        // What a swap or a save wrote meanwhile is sealed with the primary already, and what it moved under a number is seen by
        // another look.
        loop {
            let all = self.store.sealed()?;
            progress.files = all.len();
            let before = progress.resealed;
            progress.failed.clear();
            for sealed in &all {
                match self.reseal_file(sealed) {
                    Ok(Resealed::Anew) => progress.resealed += 1,
                    Ok(_) => continue,
                    Err(error) => progress.failed.push(chain(&error)),
                }
                tell(&progress);
            }
            if progress.resealed == before {
                break;
            }
        }
        self.rewrite_head()?;
        Ok(progress)
    }

    fn reseal_file(&self, sealed: &hotbay_state::Sealed) -> Result<Resealed, StoreError> {
        crate::fault::point("reseal", &sealed.service)
            .map_err(|source| StoreError::Folder { path: sealed.path.clone(), source })?;
        let writing = self.writing(&sealed.service);
        let _turn = turn(&writing);
        self.store.reseal(&self.keys(), sealed)
    }

    /// Gives a capsule, sealed with the primary, to who keeps it beside the snapshots. Until that is done, no key is retired that it
    /// was sealed with.
    pub(crate) fn keep_beside<T>(
        &self,
        service: &str,
        capsule: &Capsule,
        keep: impl FnOnce(&Capsule) -> io::Result<T>,
    ) -> io::Result<T> {
        let _publishing = self.publishing.read().unwrap_or_else(PoisonError::into_inner);
        let keys = self.keys();
        let header = match &capsule.sealed {
            // A rotation may have sealed it anew where it lies.
            Sealed::File(path) => keys.open_file(service, path).map(|opened| opened.header().clone()),
            _ => capsule.header(service),
        };
        let header = header.map_err(|e| io::Error::other(chain(&e)))?;
        if header.key_id == keys.primary().id() {
            return keep(capsule);
        }
        let again = self.sealed_again(&keys, service, capsule, header.sequence, false);
        keep(&again.map_err(|error| io::Error::other(error.text))?)
    }

    /// The files that need a key.
    pub(crate) fn needs(&self, key: KeyId) -> Result<Vec<PathBuf>, StoreError> {
        self.store.needs(key)
    }
}
