//! What a library is mapped from, in the probe and in the host.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::os::SealedFile;

/// A file of the host's own, or a sealed one in memory. Whoever has it keeps that open.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    service: Arc<str>,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    File(Arc<Path>),
    Sealed(Arc<SealedFile>),
}

/// How another process comes by it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Way {
    /// By its path.
    Path(PathBuf),
    /// It is handed down as standard error, and listed by this name.
    HandedDown(PathBuf),
}

impl Object {
    pub(crate) fn file(service: &str, path: &Path) -> Self {
        Self { service: service.into(), form: Form::File(path.into()) }
    }

    pub(crate) fn sealed_in(service: &str, sealed: SealedFile) -> Self {
        Self { service: service.into(), form: Form::Sealed(Arc::new(sealed)) }
    }

    /// The other end of [`Object::hand_down`].
    pub(crate) fn come_by(service: &str, way: &Way) -> std::io::Result<Self> {
        match way {
            Way::Path(path) => Ok(Self::file(service, path)),
            Way::HandedDown(name) => Ok(Self::sealed_in(service, SealedFile::inherited(name)?)),
        }
    }

    /// For a child, with what is to be its standard error.
    pub(crate) fn hand_down(&self) -> std::io::Result<(Way, Stdio)> {
        match &self.form {
            Form::File(path) => Ok((Way::Path(path.to_path_buf()), Stdio::null())),
            Form::Sealed(sealed) => Ok((Way::HandedDown(sealed.name().to_owned()), sealed.for_child()?)),
        }
    }

    pub(super) fn sealed(&self) -> Option<&SealedFile> {
        match &self.form {
            Form::File(_) => None,
            Form::Sealed(sealed) => Some(sealed),
        }
    }

    /// Whose plugin it is.
    pub(crate) fn service(&self) -> &str {
        &self.service
    }

    /// What the system's loader opens it by: a path that no other object of this process has, or had.
    pub(crate) fn path(&self) -> &Path {
        match &self.form {
            Form::File(path) => path,
            Form::Sealed(sealed) => sealed.path(),
        }
    }

    /// How the system lists it where it is mapped: a path, or the name of a file in memory. No two of this process have one.
    pub(crate) fn name(&self) -> &Path {
        match &self.form {
            Form::File(path) => path,
            Form::Sealed(sealed) => sealed.name(),
        }
    }

    /// Removes its file, where it has one. Windows removes no file that is mapped, so it was left when the library was.
    pub(crate) fn remove(&self) {
        if let Form::File(path) = &self.form {
            let _ = std::fs::remove_file(path);
        }
    }

    /// Whether it is this one.
    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name().display().fmt(f)
    }
}
