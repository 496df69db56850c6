//! A copy of verified bytes under a private name, for where the system has no sealed files: it is held from when it is written
//! until it goes, and looked at once more before it is mapped.
//!
//! Windows lets nobody write, replace or remove a file that is held like this, nor write to one that is mapped. On other systems
//! whoever runs as the host's own user can: what was changed is not mapped, but between the last look and the mapping, and
//! while it is mapped, nothing but the mode of the file and its folder keeps others away.

use std::fs::File;
use std::io::{self, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::os;
use crate::verify::Digest;

/// The copy, held unless it was let go.
#[derive(Debug)]
pub(super) struct PrivateCopy {
    path: PathBuf,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    file: File,
    digest: Digest,
}

impl PrivateCopy {
    /// Writes a new file that nobody is to write to again.
    pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
        // What is there is another's: it stays.
        let mut file = os::private_file().open(path)?;
        let written = file.write_all(bytes).and_then(|()| os::make_unwritable(&file));
        written.inspect_err(|_| _ = std::fs::remove_file(path))
    }

    /// Holds a copy that was written, of the bytes with this digest.
    pub(super) fn hold(path: &Path, digest: &Digest) -> io::Result<Self> {
        let file = os::holding_reader().open(path)?;
        let held = Mutex::new(Some(Held { file, digest: digest.clone() }));
        Ok(Self { path: path.to_owned(), held })
    }

    /// One that nobody maps.
    #[cfg(test)]
    pub(super) fn of_nothing(path: &Path) -> Self {
        Self { path: path.to_owned(), held: Mutex::default() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whose bytes these are.
    pub(super) fn digest(&self) -> Option<Digest> {
        self.lock().as_ref().map(|held| held.digest.clone())
    }

    /// Whether it has the bytes that were verified, and its path still leads to it.
    pub(super) fn is_as_verified(&self) -> io::Result<bool> {
        let mut lock = self.lock();
        let Some(Held { file, digest }) = &mut *lock else { return Ok(false) };
        file.rewind()?;
        let mut hasher = blake3::Hasher::new();
        hasher.update_reader(&mut *file)?;
        let there = os::identity(&std::fs::symlink_metadata(&self.path)?);
        Ok(Digest::from_hash(hasher.finalize()) == *digest && there == os::identity(&file.metadata()?))
    }

    /// Holds it no longer: Windows removes nothing that is held.
    pub(super) fn let_go(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_was_changed_or_replaced_is_not_as_verified() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        PrivateCopy::write(&path, b"as they were").unwrap();
        let copy = PrivateCopy::hold(&path, &Digest::of(b"as they were")).unwrap();
        assert!(copy.is_as_verified().unwrap() && copy.is_as_verified().unwrap());
        // Windows refuses what the others let the file's own user do.
        #[cfg(unix)]
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let written = std::fs::write(&path, b"other bytes");
        assert_eq!(written.is_err(), cfg!(windows), "{written:?}");
        assert_eq!(copy.is_as_verified().unwrap(), cfg!(windows));
        let beside = folder.path().join("beside");
        PrivateCopy::write(&beside, b"as they were").unwrap();
        let replaced = std::fs::rename(&beside, &path);
        assert_eq!(replaced.is_err(), cfg!(windows), "{replaced:?}");
        assert_eq!(copy.is_as_verified().unwrap(), cfg!(windows));
        copy.let_go();
        assert!(!copy.is_as_verified().unwrap());
        std::fs::remove_file(&path).unwrap();
    }
}
