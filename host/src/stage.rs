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

use hotbay_plugin_api::manifest::Manifest;

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
        match std::fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => os::private_folder(&folder)?,
        }
        let folder = std::fs::canonicalize(folder)?;
        Ok(Self { folder, count: AtomicU64::new(0) })
    }

    /// Writes the verified bytes to a fresh copy.
    pub(crate) fn stage(&self, verified: Verified) -> io::Result<Staged> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let Verified { path: source, digest, manifest, mark, bytes, .. } = verified;
        let name = format!("{}-{}-{count}{}", manifest.name, digest.short(), std::env::consts::DLL_SUFFIX);
        let path = self.folder.join(name);
        let staged = Staged { path, source, digest, manifest, mark, bytes: bytes.len() as u64 };
        os::private_file().open(&staged.path)?.write_all(&bytes)?;
        Ok(staged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staged_copy_tells_its_service() {
        for name in ["echo", "a-b", "a_b-1-2"] {
            let copy = format!("staged/{name}-0123456789abcdef-12{}", std::env::consts::DLL_SUFFIX);
            assert_eq!(service_of(Path::new(&copy)), name);
        }
    }
}
