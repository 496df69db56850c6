//! Discover: which files of the plugins folder could be plugins, without reading them.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::os;

/// A file that could be a plugin, open and standing still as far as its fingerprint tells.
#[derive(Debug)]
pub(crate) struct Discovered {
    pub(crate) path: PathBuf,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) file: File,
}

/// What tells one content of a path from the next without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    len: u64,
    modified: Option<SystemTime>,
    identity: [u64; 4],
}

impl Fingerprint {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self { len: metadata.len(), modified: metadata.modified().ok(), identity: os::identity(metadata) }
    }

    /// How long the file stood still, as its own time stamp tells; `None` when it is not to be trusted.
    pub(crate) fn still_for(&self) -> Option<std::time::Duration> {
        self.modified.and_then(|modified| modified.elapsed().ok())
    }
}

/// Why a path of the plugins folder cannot be read as a plugin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum DiscoverError {
    /// A link: what is behind it is not for its folder to vouch for.
    #[error(
        "failed to take it: it is a link, and links are not followed; add what it points to with `hotbay add FILE`, or copy it"
    )]
    Link,
    /// A folder, FIFO, socket or device.
    #[error("failed to read it as a plugin: it is {what}, not a file; remove it from the plugins folder")]
    NoFile { what: &'static str },
    /// Its writer lets nobody read it yet.
    #[error("failed to open it: the program that writes it lets nobody read it; close it there")]
    Held,
    /// The system refuses.
    #[error("failed to open it: {0}")]
    Open(#[from] io::Error),
}

impl DiscoverError {
    /// Whether the same file may be readable later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, Self::Open(_) | Self::Held)
    }

    /// Whether its writer keeps it to itself.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self, Self::Held)
    }
}

/// The paths of the folder that are named like a library of this system, sorted. Flat: folders are not entered.
pub(crate) fn scan(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if is_library_name(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Whether the name says library: this system's suffix, and not hidden (writers' temporary files are).
pub(crate) fn is_library_name(path: &Path) -> bool {
    let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(is_library_extension)
}

fn is_library_extension(extension: &std::ffi::OsStr) -> bool {
    // Windows tells no `a` from `A` in a file's name, and installers write both.
    if cfg!(windows) {
        return extension.eq_ignore_ascii_case(std::env::consts::DLL_EXTENSION);
    }
    extension == std::env::consts::DLL_EXTENSION
}

/// Opens a path of the scan. The last part of it may be no link; whoever means what is behind one resolves it before.
pub(crate) fn discover(path: &Path) -> Result<Discovered, DiscoverError> {
    // Looked at before it is opened: opening a FIFO or a device can wait, or do something.
    require_file(&std::fs::symlink_metadata(path)?)?;
    let file = os::patient_reader().open(path).map_err(|error| {
        if os::is_held(&error) {
            DiscoverError::Held
        } else if os::is_link(&error) {
            DiscoverError::Link
        } else {
            error.into()
        }
    })?;
    let metadata = file.metadata()?;
    require_file(&metadata)?;
    Ok(Discovered { path: path.to_owned(), fingerprint: Fingerprint::of(&metadata), file })
}

/// The fingerprint of a path now, or `None` when it is gone. Of a link its own: it is not followed.
pub(crate) fn fingerprint(path: &Path) -> Option<Fingerprint> {
    std::fs::symlink_metadata(path).ok().map(|metadata| Fingerprint::of(&metadata))
}

fn require_file(metadata: &Metadata) -> Result<(), DiscoverError> {
    if metadata.is_file() {
        return Ok(());
    }
    if metadata.is_symlink() {
        return Err(DiscoverError::Link);
    }
    let what = if metadata.is_dir() { "a folder" } else { "a FIFO, socket or device" };
    Err(DiscoverError::NoFile { what })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_libraries_of_this_system_are_seen() {
        let suffix = std::env::consts::DLL_SUFFIX;
        assert!(is_library_name(Path::new(&format!("plugins/libecho{suffix}"))));
        assert!(!is_library_name(Path::new(&format!("plugins/.libecho{suffix}"))));
        assert!(!is_library_name(Path::new("plugins/README.md")));
        let loud = format!("plugins/ECHO{}", suffix.to_uppercase());
        assert_eq!(is_library_name(Path::new(&loud)), cfg!(windows));
        assert!(!is_library_name(Path::new(&format!("plugins/libecho{suffix}.tmp"))));
    }
}
