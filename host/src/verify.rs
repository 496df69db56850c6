//! Verify: read the bytes once, parse them whole, and read the manifest, without running an instruction of them.

mod anatomy;
mod bytes;
mod elf;
mod library_file;
mod mark;
mod needs;
mod pe;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use hotbay_plugin_api::abi::{CONTRACT_MAJOR, CONTRACT_MINOR};
use hotbay_plugin_api::manifest::{Manifest, is_valid_name};

pub use anatomy::{Anatomy, ThreadLocals};
pub(crate) use bytes::Bytes;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use library_file::manifest_for_any_machine;
pub(crate) use mark::Mark;
pub use needs::{Needed, Place};

use crate::config::{Schema, Unread};
use crate::discover::{Discovered, Fingerprint};
use crate::fault;

/// No plugin is larger. The cap keeps a sparse file of terabytes from filling the memory.
const MAX_BYTES: u64 = 1 << 30;

/// A file whose bytes are a plugin's, as far as can be told without running them.
#[derive(Debug)]
pub(crate) struct Verified {
    pub(crate) path: PathBuf,
    pub(crate) fingerprint: Fingerprint,
    pub(crate) digest: Digest,
    pub(crate) manifest: Manifest,
    pub(crate) version: semver::Version,
    pub(crate) mark: Option<Mark>,
    pub(crate) anatomy: Anatomy,
    pub(crate) bytes: Bytes,
    /// See [`held`].
    pub(crate) source: Option<File>,
}

/// BLAKE3 of a file's bytes, hex.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Digest(std::sync::Arc<str>);

impl Digest {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self::from_hash(blake3::hash(bytes))
    }

    /// As [`Digest::of`], of what was read piece by piece.
    pub(crate) fn from_hash(hash: blake3::Hash) -> Self {
        Self(hash.to_hex().as_str().into())
    }

    /// A digest as it was written down.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digits = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(digits)).then(|| Self(text.into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it for people and file names.
    pub(crate) fn short(&self) -> &str {
        &self.0[..16]
    }
}

/// A file that is refused, with what could be read of it.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) digest: Option<Digest>,
    pub(crate) bytes: Option<u64>,
    pub(crate) manifest: Option<Box<Manifest>>,
    pub(crate) anatomy: Option<Box<Anatomy>>,
    pub(crate) error: VerifyError,
}

impl Refused {
    /// Whether the same file may be readable later.
    pub(crate) fn may_pass(&self) -> bool {
        self.error.may_pass()
    }

    /// Whether a writer that is still at it could explain the refusal.
    pub(crate) fn may_be_unfinished(&self) -> bool {
        matches!(self.error, VerifyError::Moving | VerifyError::Empty | VerifyError::Broken(_))
    }

    /// Whether its writer keeps a part of it to itself.
    pub(crate) fn is_held(&self) -> bool {
        matches!(&self.error, VerifyError::Read(error) if crate::os::is_held(error))
    }
}

/// Why a file is no plugin that this host can load.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum VerifyError {
    /// Reading failed.
    #[error("failed to read it: {0}")]
    Read(#[from] std::io::Error),
    /// There is no memory for it.
    #[error("{0}")]
    NoRoom(String),
    /// It changed while it was read.
    #[error("failed to read it: it is still being written")]
    Moving,
    /// It has no bytes.
    #[error("failed to read it as a library: it is empty; copy it again")]
    Empty,
    /// It is too large.
    #[error("failed to read it: it has {0} bytes, the limit is {MAX_BYTES}")]
    TooLarge(u64),
    /// It is of no known format.
    #[error("failed to read it as a library: it is no ELF, PE or Mach-O file")]
    NoLibrary,
    /// It is cut off or damaged.
    #[error("failed to read it as a library: it is incomplete or damaged ({0}); copy it again")]
    Broken(String),
    /// It is of another system or processor.
    #[error(
        "failed to load it on this machine: it is built for {found}, this host is {ours}; build it for this target"
    )]
    OtherTarget { found: String, ours: String },
    /// It holds several architectures.
    #[error(
        "failed to read it: it is a universal file of several architectures; add the one for this machine"
    )]
    Universal,
    /// It is an executable or object file.
    #[error("failed to load it: it is {0}, not a shared library; set `crate-type = [\"cdylib\"]`")]
    NotShared(&'static str),
    /// It exports no manifest or header.
    #[error("failed to find a plugin in it: it is a library without `{0}`; export one with `export_plugin!`")]
    NoPlugin(&'static str),
    /// The manifest cannot be read.
    #[error("failed to read its manifest: {0}; rebuild it with this host's hotbay-plugin-api")]
    Manifest(String),
    /// The contract is another.
    #[error(
        "failed to agree on the contract: it was built for {0}, this host speaks {CONTRACT_MAJOR}.{CONTRACT_MINOR}; rebuild it with this host's hotbay-plugin-api"
    )]
    Contract(String),
    /// The service's name is not allowed.
    #[error(
        "failed to register the service: its name `{0}` is not allowed; names match [a-z0-9_-]{{1,64}} and are no device names of Windows"
    )]
    Name(String),
    /// The version is not semver.
    #[error("failed to read its version `{0}`: {1}; versions are semver, such as 1.2.3")]
    Version(String, semver::Error),
    /// The schema of its configuration is none that this host understands.
    #[error(
        "failed to read the schema of its configuration: `{place}` {why}; leave that out, and look at it in `create` and `on_config`"
    )]
    Schema { place: String, why: String },
    /// A panic of the plugin would end the host.
    #[error(
        "failed to accept it: it is built with panic = \"abort\", its panics would end the host; build it with panic = \"unwind\""
    )]
    Aborts,
    /// What it links to is not there.
    #[error("failed to find `{library}`, which it links to: {}", where_it_is_missing(*beside))]
    Missing { library: String, beside: bool },
    /// Its thread-locals do not fit twice.
    #[error(
        "failed to accept it: its thread-locals, {bytes} bytes, are of the initial-exec model, and the system's loader has room of \
         {rest} bytes for all such libraries that come late, where a swap needs it twice; build what it links in without that model \
         (jemalloc: its feature `disable_initial_exec_tls`)"
    )]
    ThreadLocals { bytes: u64, rest: u64 },
}

impl VerifyError {
    /// Whether it is none of the file's own.
    pub(crate) fn may_pass(&self) -> bool {
        // A library that is missing may be installed without a trace in this file.
        matches!(self, Self::Read(_) | Self::NoRoom(_) | Self::Missing { .. })
    }
}

fn where_it_is_missing(beside: bool) -> &'static str {
    if beside {
        "it is in none of the folders that the system's loader looks in, and `$ORIGIN` is none of them, since what is mapped is a \
         private copy of the file; install it, name its folder in full, or link it in"
    } else {
        "it is in none of the folders that the system's loader looks in; install it, start the host with its folder in \
         `LD_LIBRARY_PATH`, or link it in"
    }
}

/// Reads and checks a discovered file.
pub(crate) fn verify(discovered: Discovered) -> Result<Verified, Refused> {
    let Discovered { path, fingerprint, mut file } = discovered;
    let refuse = |error| Refused { digest: None, bytes: None, manifest: None, anatomy: None, error };
    let bytes = Bytes::read(&mut file, &path, fingerprint).map_err(refuse)?;
    let (digest, len) = (Digest::of(&bytes), bytes.len() as u64);
    let refuse = |manifest: Option<Box<Manifest>>, anatomy: Option<Anatomy>, error| Refused {
        digest: Some(digest.clone()),
        bytes: Some(len),
        manifest,
        anatomy: anatomy.map(Box::new),
        error,
    };
    let read = within(|| {
        // By the file's name: whose it is, nobody knows yet.
        let _ = fault::point("read", &path.file_stem().unwrap_or_default().to_string_lossy());
        let read = library_file::read(&bytes)?;
        let manifest = read_manifest(read.json);
        Ok((read, manifest))
    });
    let (library_file::Read { mark, anatomy, .. }, manifest) =
        read.map_err(|error| refuse(None, None, error))?;
    let (manifest, version) = match manifest {
        Ok(read) => read,
        Err((manifest, error)) => return Err(refuse(manifest, Some(anatomy), error)),
    };
    if let Err(error) = check_anatomy(&anatomy) {
        return Err(refuse(Some(Box::new(manifest)), Some(anatomy), error));
    }
    let source = held(file);
    Ok(Verified { path, fingerprint, digest, manifest, version, mark, anatomy, bytes, source })
}

/// Reads a file by what was written for files that nobody made to hurt it: a panic there is that file's, and not the host's.
fn within<T>(read: impl FnOnce() -> Result<T, VerifyError>) -> Result<T, VerifyError> {
    let broke_down = |_| VerifyError::Broken("what reads it broke down over it".to_owned());
    catch_unwind(AssertUnwindSafe(read)).map_err(broke_down).flatten()
}

impl Verified {
    /// Looks for what it links to, and refuses it where that is missing. Not on the loop, which waits for no folder that a file names.
    pub(crate) fn require_needs(&mut self) -> Result<(), VerifyError> {
        self.anatomy.look_for_needs();
        let missing = |needed: &&Needed| matches!(needed.place, Place::Missing | Place::MissingBeside);
        self.anatomy.needs.iter().find(missing).map_or(Ok(()), |needed| {
            let (library, beside) = (needed.library.clone(), needed.place == Place::MissingBeside);
            Err(VerifyError::Missing { library, beside })
        })
    }
}

/// A manifest that is refused: as much of it as could be read, and why.
pub(crate) type Wrong = (Option<Box<Manifest>>, VerifyError);

/// The manifest and its version.
pub(crate) fn read_manifest(json: &[u8]) -> Result<(Manifest, semver::Version), Wrong> {
    let manifest: Manifest =
        serde_json::from_slice(json).map_err(|e| (None, VerifyError::Manifest(e.to_string())))?;
    match check(&manifest) {
        Ok(version) => Ok((manifest, version)),
        Err(error) => Err((Some(Box::new(manifest)), error)),
    }
}

/// The dropped file itself, open for as long as its version serves. Whoever replaces a file frees the one before, if nobody has that
/// open: a millisecond or more, in which the folder is locked and the host cannot see what was put there.
///
/// Windows: what somebody has open is not replaced so easily.
fn held(file: File) -> Option<File> {
    cfg!(unix).then_some(file)
}

/// What the file is, for `hotbay check`: also where it is refused.
pub(crate) fn format_of(bytes: &[u8]) -> Option<&'static str> {
    library_file::format(bytes)
}

fn check(manifest: &Manifest) -> Result<semver::Version, VerifyError> {
    // The contract first: under another major the other fields may mean something else.
    let major = manifest.contract.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major != Some(CONTRACT_MAJOR) {
        return Err(VerifyError::Contract(manifest.contract.clone()));
    }
    for name in std::iter::once(&manifest.name).chain(&manifest.requires) {
        if !is_valid_name(name) {
            return Err(VerifyError::Name(name.clone()));
        }
    }
    if let Some(schema) = &manifest.config {
        Schema::read(schema).map_err(|Unread { place, why }| VerifyError::Schema { place, why })?;
    }
    if manifest.panic == "abort" {
        return Err(VerifyError::Aborts);
    }
    semver::Version::parse(&manifest.version).map_err(|e| VerifyError::Version(manifest.version.clone(), e))
}

/// What the system's loader would find out, and tell in its own words or in none.
fn check_anatomy(anatomy: &Anatomy) -> Result<(), VerifyError> {
    match (anatomy.thread_locals, anatomy::rest()) {
        (Some(locals), Some(rest)) if !locals.fit() => {
            Err(VerifyError::ThreadLocals { bytes: locals.bytes, rest })
        }
        _ => Ok(()),
    }
}
