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

/// Where a host's folders are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Where temporary files are.
    Temporary,
    /// On the disk that programs are built on: where temporary files are may be memory.
    Disk,
    /// In memory, where the system has a folder for that.
    Memory,
}

/// Linux has one; of other systems none is known.
const IN_MEMORY: &str = "/dev/shm";

impl Place {
    pub(crate) fn is_there(self) -> bool {
        self != Place::Memory || (cfg!(target_os = "linux") && Path::new(IN_MEMORY).is_dir())
    }

    /// A folder there that goes with the value.
    pub(crate) fn folder(self) -> Result<TempDir> {
        let mut named = tempfile::Builder::new();
        named.prefix("hotbay-bench-");
        let made = match self {
            Place::Temporary => named.tempdir(),
            Place::Disk => {
                let program = std::env::current_exe().context("failed to find this program")?;
                named.tempdir_in(program.parent().context("a program lies in a folder")?)
            }
            Place::Memory => named.tempdir_in(IN_MEMORY),
        };
        made.context("failed to make a folder")
    }
}

/// A running host with its folders.
#[derive(Debug)]
pub(crate) struct Bay {
    // Before the folders: it ends while they are there.
    pub(crate) host: Host,
    folder: TempDir,
}

impl Bay {
    /// Starts a host on these plugins, in a folder at this place.
    pub(crate) fn open(
        place: Place,
        libraries: &Path,
        plugins: &[&str],
        set: impl FnOnce(&mut Config),
    ) -> Result<Self> {
        let folder = place.folder()?;
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
