//! Stage: the verified bytes under a fresh private name, never the dropped file itself.
//!
//! A loader returns the old library for a path that is already open, a mapped file that is truncated kills, and
//! Windows locks it. So each load has a copy of its own, named by digest and count, which nobody else writes.
//!
//! On macOS the copy keeps the signature, which lies in the bytes: the linker puts an ad-hoc one into each library for aarch64,
//! where the kernel runs nothing without. It is checked once per file, not per path, and remembered with the file: so a copy
//! is always a new file, never an old one written anew, which would be ended for a signature that no longer fits. The mark of
//! a download (`com.apple.quarantine`) is no part of the bytes, and is not on the copy. A host that is itself signed with the
//! hardened runtime needs the entitlement `com.apple.security.cs.disable-library-validation`. None of it was run yet.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hotbay_plugin_api::manifest::Manifest;

use crate::kernel::patience::look_until;
use crate::os;
use crate::verify::{Digest, Mark, Verified};

/// A staged copy. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) path: PathBuf,
    pub(crate) source: PathBuf,
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) mark: Option<Mark>,
    pub(crate) bytes: u64,
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Where Windows still maps it, the next start of the host removes it.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Whose plugin a staged copy holds.
pub(crate) fn service_of(copy: &Path) -> String {
    let name = copy.file_stem().unwrap_or_default().to_string_lossy();
    // Digest and count come after it.
    name.rsplitn(3, '-').last().unwrap_or_default().to_owned()
}

/// The folder of staged copies.
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

    /// Writes the verified bytes to a fresh copy.
    pub(crate) fn stage(&self, verified: Verified) -> io::Result<Staged> {
        let Verified { path: source, digest, manifest, mark, bytes, .. } = verified;
        // Each turn meets a name that an earlier run left; they run out.
        let (path, mut file) = loop {
            let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
            let name =
                format!("{}-{}-{count}{}", manifest.name, digest.short(), std::env::consts::DLL_SUFFIX);
            let path = self.folder.join(name);
            match os::private_file().open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                file => break (path, file?),
            }
        };
        let staged = Staged { path, source, digest, manifest, mark, bytes: bytes.len() as u64 };
        file.write_all(&bytes)?;
        Ok(staged)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(windows)]
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

    #[test]
    fn a_staged_copy_tells_its_service() {
        for name in ["echo", "a-b", "a_b-1-2"] {
            let copy = format!("staged/{name}-0123456789abcdef-12{}", std::env::consts::DLL_SUFFIX);
            assert_eq!(service_of(Path::new(&copy)), name);
        }
    }
}
