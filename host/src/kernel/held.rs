//! Services that were stopped on purpose: one empty file each in `.hotbay/stopped/`, so that they stay stopped over a
//! restart of the host.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use hotbay_plugin_api::manifest::is_valid_name;

use crate::os;

/// The set, in memory and on disk.
#[derive(Debug)]
pub(crate) struct Held {
    folder: PathBuf,
    names: BTreeSet<String>,
}

impl Held {
    pub(crate) fn open(home: &Path) -> io::Result<Self> {
        let folder = home.join("stopped");
        os::private_folder(&folder)?;
        let mut names = BTreeSet::new();
        for entry in std::fs::read_dir(&folder)? {
            names.extend(entry?.file_name().into_string().ok().filter(|name| is_valid_name(name)));
        }
        Ok(Self { folder, names })
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    pub(crate) fn hold(&mut self, name: &str) -> io::Result<()> {
        std::fs::write(self.folder.join(name), b"")?;
        self.names.insert(name.to_owned());
        Ok(())
    }

    pub(crate) fn release(&mut self, name: &str) -> io::Result<()> {
        match std::fs::remove_file(self.folder.join(name)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => self.names.remove(name),
        };
        Ok(())
    }
}
