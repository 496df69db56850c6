//! The signature of a file: `FILE.minisig` beside it.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::keys::{KeyId, PublicKey};
use crate::os;
use crate::verify::Digest;

/// A signature has four lines, of which the comments may be long.
const MAX_BYTES: u64 = 16 << 10;

const SUFFIX: &str = ".minisig";

/// Where the signature of a file lies.
pub(crate) fn path_of(library: &Path) -> PathBuf {
    let mut name = library.file_name().unwrap_or_default().to_owned();
    name.push(SUFFIX);
    library.with_file_name(name)
}

/// Where it lies until the file is there that it is for: `hotbay add` replaces two files, and at no moment may the one that
/// is there be beside a signature of the other.
pub(crate) fn path_until_there(library: &Path, digest: &Digest) -> PathBuf {
    let name = library.file_name().unwrap_or_default().to_string_lossy();
    library.with_file_name(format!(".{name}.{}{SUFFIX}", digest.short()))
}

/// A signature that can be read. Nothing is known of whether it fits.
pub(crate) struct Signature {
    pub(crate) text: String,
    pub(crate) id: KeyId,
    signature: minisign_verify::Signature,
}

impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signature").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why something is no signature.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoSignature {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("it is {0}, not a file")]
    NoFile(&'static str),
    #[error("it is no signature of minisign, or incomplete")]
    Malformed,
}

/// Reads the signature file at `path`, if there is one.
pub(crate) fn read(path: &Path) -> Result<Option<Signature>, NoSignature> {
    let metadata = match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        found => found?,
    };
    if metadata.is_symlink() {
        return Err(NoSignature::NoFile("a link"));
    }
    let file: File = os::patient_reader().open(path)?;
    if !file.metadata()?.is_file() {
        return Err(NoSignature::NoFile("a folder, FIFO, socket or device"));
    }
    let mut text = String::new();
    let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
    match read {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(NoSignature::Malformed),
        read => read?,
    };
    Signature::parse(text).map(Some)
}

impl Signature {
    pub(crate) fn parse(text: String) -> Result<Self, NoSignature> {
        if text.len() as u64 > MAX_BYTES {
            return Err(NoSignature::Malformed);
        }
        let signature = minisign_verify::Signature::decode(&text).map_err(|_| NoSignature::Malformed)?;
        let id = text.lines().nth(1).and_then(KeyId::within).ok_or(NoSignature::Malformed)?;
        Ok(Self { text, id, signature })
    }

    /// Whether this key has made it over these bytes. The way without a hash, which `minisign -l` still has, does not count:
    /// what it signs may be taken for the hash of something else.
    pub(crate) fn is_of(&self, key: &PublicKey, bytes: &[u8]) -> bool {
        key.key.verify(bytes, &self.signature, false).is_ok()
    }

    /// What is signed with it beside the bytes.
    pub(crate) fn comment(&self) -> &str {
        self.signature.trusted_comment()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_signature_lies_beside_its_file() {
        assert_eq!(path_of(Path::new("p/libecho.so")), Path::new("p/libecho.so.minisig"));
        let hidden = path_until_there(Path::new("p/libecho.so"), &Digest::of(b""));
        assert!(hidden.starts_with("p") && !crate::discover::is_library_name(&hidden));
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("none")).unwrap().is_none());
        assert!(read(folder.path()).is_err());
        let long = folder.path().join("long");
        std::fs::write(&long, "x".repeat(MAX_BYTES as usize + 1)).unwrap();
        assert!(matches!(read(&long), Err(NoSignature::Malformed)));
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "(\\PC{0,80}\n){0,6}") {
            let _ = Signature::parse(text);
        }

        #[test]
        fn any_second_line_is_read_without_a_panic(line in "[A-Za-z0-9+/]{0,120}={0,2}", comment in "\\PC{0,40}") {
            let _ = Signature::parse(format!("untrusted comment: x\n{line}\ntrusted comment: {comment}\n{line}\n"));
        }
    }
}
