//! A host on folders of its own.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use hotbay::{Config, Host};
use tempfile::TempDir;

/// How long a host may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running host with its folders.
#[derive(Debug)]
pub(crate) struct Bay {
    // Before the folders: it ends while they are there.
    pub(crate) host: Host,
    folder: TempDir,
}

impl Bay {
    /// Starts a host on these plugins.
    pub(crate) fn open(libraries: &Path, plugins: &[&str], set: impl FnOnce(&mut Config)) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("hotbay-bench-").tempdir()?;
        let place = folder.path().join("plugins");
        fs::create_dir(&place)?;
        for plugin in plugins {
            let (from, to) = (library(libraries, plugin), library(&place, plugin));
            fs::copy(&from, to).with_context(|| format!("failed to copy `{}`", from.display()))?;
        }
        let mut config = Config::default();
        config.plugins = place;
        config.home = folder.path().join(".hotbay");
        set(&mut config);
        let host = Host::start(config).context("failed to start the host")?;
        if !host.ready(PATIENCE) {
            bail!("the host was not ready within {} s", PATIENCE.as_secs());
        }
        for plugin in plugins {
            let row = host.status(plugin)?.row;
            if row.version.is_none() || row.generation.is_none() {
                bail!("`{plugin}` does not run: {:?}", row.reason);
            }
        }
        Ok(Self { host, folder })
    }

    /// Writes a version beside the plugins folder, ready to be renamed to the place of `plugin`.
    pub(crate) fn prepare(&self, bytes: &[u8], plugin: &str) -> Result<Ready> {
        let beside = self.folder.path().join("beside");
        let mut file = fs::File::create(&beside).context("failed to create the next version")?;
        file.write_all(bytes).context("failed to write the next version")?;
        // As whoever replaces a file in one step does. Else the file system writes it within the rename, which is measured.
        file.sync_all().context("failed to write the next version to the disk")?;
        Ok(Ready { beside, place: library(&self.folder.path().join("plugins"), plugin) })
    }
}

/// A version that can take its place in one step.
#[derive(Debug)]
pub(crate) struct Ready {
    beside: PathBuf,
    place: PathBuf,
}

impl Ready {
    pub(crate) fn rename(self) -> Result<()> {
        fs::rename(self.beside, self.place).context("failed to put the next version into the plugins folder")
    }
}

/// The library of a plugin in a folder.
#[must_use]
pub fn library(folder: &Path, plugin: &str) -> PathBuf {
    folder.join(format!("{}{plugin}{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX))
}
