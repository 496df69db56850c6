//! What a host reads and writes of its folders itself: at its start, and when a file is added.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::{HostError, os};

pub(super) fn readable_folder(path: &Path) -> Result<PathBuf, HostError> {
    let failed = |source| HostError::Plugins { path: path.to_owned(), source };
    // Read once: a folder that exists and cannot be read would look empty.
    std::fs::read_dir(path).map_err(failed)?;
    std::fs::canonicalize(path).map_err(failed)
}

pub(crate) fn lock(home: &Path) -> Result<File, HostError> {
    let path = home.join("lock");
    let failed = |source| HostError::Home { path: path.clone(), source };
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(HostError::Locked { path }),
        Err(std::fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Writes beside the target under a hidden name, then renames: whoever looks sees the old file or the new one.
pub(super) fn copy_in(bytes: &[u8], folder: &Path, path: &Path) -> std::io::Result<()> {
    use std::io::Write as _;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let fresh = folder.join(format!(".{name}.{}-{count}.tmp", std::process::id()));
    let written = (|| {
        let mut file = File::create(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        os::rename_over(&fresh, path, Duration::from_secs(2))
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}
