//! Bytes of a version that served, kept in the home folder: what they are, and where they lie.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use hotbay_plugin_api::manifest::Manifest;
use serde::{Deserialize, Serialize};

use super::clock;
use super::files::Candidate;
use super::generation::Generation;
use crate::os;
use crate::verify::Digest;

/// What is known of kept bytes. They are verified like any other file when they are loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Kept {
    version: String,
    digest: String,
    kept_unix_ms: u64,
    manifest: Manifest,
}

impl Kept {
    pub(crate) fn of(generation: &Generation) -> Self {
        let manifest = generation.manifest().clone();
        Self {
            version: manifest.version.clone(),
            digest: generation.digest().as_str().to_owned(),
            kept_unix_ms: clock::unix_ms(),
            manifest,
        }
    }

    /// The candidate that lies in a folder, if it does.
    pub(crate) fn in_folder(self, folder: &Path, service: &str) -> Option<Candidate> {
        let Kept { version, digest, manifest, .. } = self;
        let digest = Digest::parse(&digest)?;
        let version = semver::Version::parse(&version).ok()?;
        let fits = manifest.name == service && manifest.version == version.to_string();
        let path = bytes_path(folder, service, &digest);
        (fits && path.is_file()).then_some(Candidate { path, digest, manifest, version })
    }
}

/// Where the bytes of this digest are kept. A dot is in no service's name.
pub(crate) fn bytes_path(folder: &Path, service: &str, digest: &Digest) -> PathBuf {
    folder.join(format!("{service}.{}{}", digest.short(), std::env::consts::DLL_SUFFIX))
}

/// Copies bytes to where they are kept: nobody else reads them there.
pub(super) fn copy_bytes(from: &Path, to: &Path) -> io::Result<()> {
    io::copy(&mut File::open(from)?, &mut os::private_file().open(to)?).map(drop)
}

/// Whether it is a name of kept bytes, as far as it ends like one.
pub(crate) fn is_bytes(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == std::env::consts::DLL_EXTENSION)
}
