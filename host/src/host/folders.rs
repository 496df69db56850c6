//! What a host reads and writes of its folders itself: at its start, and when a file is added.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::config::ExposedHome;
use crate::trust::exposure;
use crate::{Config, HostError, os};

/// So long a file is tried to be replaced that somebody has open.
pub(super) const IN_USE: Duration = Duration::from_secs(2);

pub(super) fn readable_folder(path: &Path) -> Result<PathBuf, HostError> {
    let failed = |source| HostError::Plugins { path: path.to_owned(), source };
    // Read once: a folder that exists and cannot be read would look empty.
    std::fs::read_dir(path).map_err(failed)?;
    std::fs::canonicalize(path).map_err(failed)
}

/// That nobody else can put another home folder in the place of ours: in it are the keys, the kept versions, and what is trusted.
pub(super) fn unexposed(config: &Config) -> Result<(), HostError> {
    let Some(exposed) = exposure::of_folder(&config.home) else { return Ok(()) };
    let (path, why) = (config.home.clone(), exposed.to_string());
    match config.trust.exposed_home {
        ExposedHome::Refuse => Err(HostError::Exposed { path, why }),
        ExposedHome::Allow => {
            tracing::warn!(
                "others could put another home folder in the place of `{}`: {why}",
                path.display()
            );
            Ok(())
        }
    }
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
pub(super) fn copy_in(bytes: &[u8], path: &Path) -> std::io::Result<()> {
    use std::io::Write as _;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let fresh = path.with_file_name(format!(".{name}.{}-{count}.tmp", std::process::id()));
    let written = (|| {
        // Whatever the user's mask is, others could write it else.
        let mut file = os::private_file().open(&fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        os::rename_over(&fresh, path, IN_USE)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written
}
