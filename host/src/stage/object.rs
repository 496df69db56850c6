//! What a library is mapped from, in the probe and in the host.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::copy::PrivateCopy;
use crate::os::SealedFile;
use crate::verify::Digest;

/// A file of the host's own, or a sealed one in memory. Whoever has it keeps that open.
#[derive(Debug, Clone)]
pub(crate) struct Object {
    service: Arc<str>,
    form: Form,
}

#[derive(Debug, Clone)]
enum Form {
    Copy(Arc<PrivateCopy>),
    Sealed(Arc<SealedFile>),
}

/// How another process comes by it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Way {
    /// By its path, and what its bytes are.
    Path(PathBuf, String),
    /// It is handed down as standard error, and listed by this name.
    HandedDown(PathBuf),
}

impl Object {
    /// A copy that was written under this path, of the bytes with this digest.
    pub(super) fn copied(service: &str, path: &Path, digest: &Digest) -> std::io::Result<Self> {
        let copy = Arc::new(PrivateCopy::hold(path, digest)?);
        Ok(Self { service: service.into(), form: Form::Copy(copy) })
    }

    /// A name, of nothing that is mapped.
    #[cfg(test)]
    pub(crate) fn named(service: &str, path: &Path) -> Self {
        Self { service: service.into(), form: Form::Copy(Arc::new(PrivateCopy::of_nothing(path))) }
    }

    pub(crate) fn sealed_in(service: &str, sealed: SealedFile) -> Self {
        Self { service: service.into(), form: Form::Sealed(Arc::new(sealed)) }
    }

    /// The other end of [`Object::hand_down`].
    pub(crate) fn come_by(service: &str, way: &Way) -> std::io::Result<Self> {
        match way {
            Way::Path(path, digest) => {
                Self::copied(service, path, &Digest::parse(digest).ok_or(std::io::ErrorKind::InvalidData)?)
            }
            Way::HandedDown(name) => Ok(Self::sealed_in(service, SealedFile::inherited(name)?)),
        }
    }

    /// For a child, with what is to be its standard error.
    pub(crate) fn hand_down(&self) -> std::io::Result<(Way, Stdio)> {
        match &self.form {
            Form::Copy(copy) => {
                let digest = copy.digest().map(|digest| digest.as_str().to_owned()).unwrap_or_default();
                Ok((Way::Path(copy.path().to_owned(), digest), Stdio::null()))
            }
            Form::Sealed(sealed) => Ok((Way::HandedDown(sealed.name().to_owned()), sealed.for_child()?)),
        }
    }

    pub(super) fn sealed(&self) -> Option<&SealedFile> {
        match &self.form {
            Form::Copy(_) => None,
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
            Form::Copy(copy) => copy.path(),
            Form::Sealed(sealed) => sealed.path(),
        }
    }

    /// How the system lists it where it is mapped: a path, or the name of a file in memory. No two of this process have one.
    pub(crate) fn name(&self) -> &Path {
        match &self.form {
            Form::Copy(copy) => copy.path(),
            Form::Sealed(sealed) => sealed.name(),
        }
    }

    /// Whether what would be mapped is what was verified. Of what is sealed nobody has to look.
    pub(crate) fn is_as_verified(&self) -> std::io::Result<bool> {
        match &self.form {
            Form::Copy(copy) => copy.is_as_verified(),
            Form::Sealed(_) => Ok(true),
        }
    }

    /// Holds a copy no longer against who would write to it: it goes.
    pub(crate) fn let_go(&self) {
        if let Form::Copy(copy) = &self.form {
            copy.let_go();
        }
    }

    /// Removes its file, where it has one. Windows removes no file that is mapped, so it was left when the library was.
    pub(crate) fn remove(&self) {
        if let Form::Copy(copy) = &self.form {
            copy.let_go();
            let _ = std::fs::remove_file(copy.path());
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
