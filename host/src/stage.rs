//! Stage: the verified bytes where they are mapped from, never the dropped file itself.
//!
//! A loader returns the old library for a path that is already open, a mapped file that is truncated kills, and
//! Windows locks it. So each load has an [`Object`] of its own, which nobody else writes: on Linux the sealed file in memory
//! that was verified, elsewhere a copy under a fresh private name, held against writing.
//!
//! On macOS the copy keeps the signature, which lies in the bytes: the linker puts an ad-hoc one into each library for aarch64,
//! where the kernel runs nothing without. It is checked once per file, not per path, and remembered with the file: so a copy
//! is always a new file, never an old one written anew, which would be ended for a signature that no longer fits. The mark of
//! a download (`com.apple.quarantine`) is no part of the bytes, and is not on the copy. A host that is itself signed with the
//! hardened runtime needs the entitlement `com.apple.security.cs.disable-library-validation`. None of it was run yet.

mod copy;
mod object;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use hotbay_plugin_api::manifest::Manifest;
use memmap2::Mmap;

use copy::PrivateCopy;
pub(crate) use object::{Object, Way};

use crate::kernel::patience::look_until;
use crate::os;
use crate::verify::{Bytes, Digest, Mark, Verified};

/// Verified bytes that can be mapped. Dropping them removes their copy on disk.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) object: Object,
    pub(crate) source: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) mark: Option<Mark>,
    pub(crate) bytes: u64,
    /// The file that was dropped, open.
    #[expect(dead_code, reason = "it is held")]
    pub(crate) held: Option<File>,
    /// Where their copy on disk lies, or will lie, and once it does.
    pub(crate) copy: (PathBuf, OnceLock<()>),
    /// Where they were read, until somebody has the time to unmap it: that takes as long as a small plugin's start.
    pub(crate) read: Mutex<Option<Mmap>>,
}

impl Drop for Staged {
    fn drop(&mut self) {
        let (path, is_there) = &self.copy;
        self.object.let_go();
        if is_there.get().is_some() {
            // Where Windows still maps it, the next start of the host removes it.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Staged {
    /// Unmaps where the bytes were read. Whoever looks whether the library is gone does it first.
    pub(crate) fn forget_read(&self) {
        drop(self.read.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Their copy on disk, which is never written again. Where they are mapped from a sealed file it is made here, by who asks
    /// first: nobody who waits for a plugin's first answer waits for the disk.
    pub(crate) fn on_disk(&self) -> io::Result<&Path> {
        let (path, is_there) = &self.copy;
        if let (Some(sealed), None) = (self.object.sealed(), is_there.get()) {
            // What an attempt left that failed.
            let _ = std::fs::remove_file(path);
            let mut copy = os::private_file().open(path)?;
            let written = sealed.reader().and_then(|mut from| io::copy(&mut from, &mut copy));
            written.inspect_err(|_| _ = std::fs::remove_file(path))?;
            let _ = is_there.set(());
        }
        Ok(path)
    }
}

/// The folder of copies.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: PathBuf,
    count: AtomicU64,
}

impl Stage {
    /// Prepares the folder, and removes what an earlier run left. The caller holds the lock of the home.
    pub(crate) fn open(home: &Path) -> io::Result<Self> {
        let folder = home.join("staged");
        clear(&folder)?;
        os::private_folder(&folder)?;
        let folder = std::fs::canonicalize(folder)?;
        Ok(Self { folder, count: AtomicU64::new(0) })
    }

    /// Takes the verified bytes over; such as are in no sealed file are written to a fresh copy.
    pub(crate) fn stage(&self, verified: Verified) -> io::Result<Staged> {
        let Verified { path: source, digest, manifest, mark, bytes, source: held, .. } = verified;
        let len = bytes.len() as u64;
        let (object, path, is_there, read) = match bytes {
            Bytes::Sealed(sealed, map) => {
                let object = Object::sealed_in(&manifest.name, sealed);
                (object, self.fresh_path(&manifest.name, &digest), None, Some(map))
            }
            Bytes::Private(bytes) => {
                let path = self.write(&manifest.name, &digest, &bytes)?;
                (Object::copied(&manifest.name, &path, &digest)?, path, Some(()), None)
            }
        };
        let copy = (path, is_there.map_or_else(OnceLock::new, OnceLock::from));
        Ok(Staged { object, source, digest, manifest, mark, bytes: len, held, copy, read: Mutex::new(read) })
    }

    fn write(&self, name: &str, digest: &Digest, bytes: &[u8]) -> io::Result<PathBuf> {
        // Each turn meets a name that an earlier run left; they run out.
        loop {
            let path = self.fresh_path(name, digest);
            match PrivateCopy::write(&path, bytes) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                written => return written.map(|()| path),
            }
        }
    }

    fn fresh_path(&self, name: &str, digest: &Digest) -> PathBuf {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        self.folder.join(format!("{name}-{}-{count}{}", digest.short(), std::env::consts::DLL_SUFFIX))
    }
}

/// Removes what an earlier run left. Windows removes no copy that is mapped, as by a host that was killed and is not gone yet:
/// that is waited for, and what stays even then is in nobody's way.
fn clear(folder: &Path) -> io::Result<()> {
    let (deadline, first, longest) =
        (Duration::from_secs(2), Duration::from_millis(10), Duration::from_millis(50));
    let mut refused = None;
    let done = look_until(deadline, first, longest, || match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some(Ok(())),
        Err(error) if cfg!(windows) && folder.is_dir() => {
            refused = Some(error);
            None
        }
        done => Some(done),
    });
    let Some(done) = done else {
        let why = refused.unwrap_or_else(|| io::ErrorKind::PermissionDenied.into());
        tracing::warn!(
            "failed to remove copies that an earlier host left: {why}; the next start tries again"
        );
        for copy in std::fs::read_dir(folder)?.flatten() {
            let _ = std::fs::remove_file(copy.path());
        }
        return Ok(());
    };
    done
}

#[cfg(all(test, windows))]
mod tests {
    use super::*;

    #[test]
    fn a_copy_that_cannot_be_removed_at_start_is_left() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("staged");
        std::fs::create_dir(&folder).unwrap();
        let [held, other] = ["held", "other"].map(|name| folder.join(name));
        std::fs::write(&other, "").unwrap();
        let mut options = std::fs::OpenOptions::new();
        std::os::windows::fs::OpenOptionsExt::share_mode(&mut options, 0);
        let holder = options.write(true).create_new(true).open(&held).unwrap();
        Stage::open(home.path()).unwrap();
        assert!(held.exists() && !other.exists());
        drop(holder);
        Stage::open(home.path()).unwrap();
        assert!(!held.exists());
    }
}
