//! The token: who can read the file in the home folder may ask for anything.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Duration;

use crate::os;

/// The file, below the home folder.
const FILE: &str = "token";

/// Bytes of randomness; the text has two digits for each.
const BYTES: usize = 32;

/// How long a rename over the old file is tried, where somebody may have it open.
const PATIENCE: Duration = Duration::from_secs(2);

/// What clients must bring; kept as its digest, which is all that it takes to compare.
#[derive(Debug)]
pub(super) struct Token(blake3::Hash);

impl Token {
    /// The one that lies there. One that others could have read, or that is none, is replaced, and so is one that is missing.
    pub(super) fn open(home: &Path) -> io::Result<Self> {
        let path = home.join(FILE);
        match kept(&path) {
            Ok(text) => return Ok(Self(blake3::hash(text.as_bytes()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "the token for HTTP is made anew"),
        }
        let mut bytes = [0; BYTES];
        getrandom::fill(&mut bytes).map_err(io::Error::other)?;
        let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let fresh = home.join("token.new");
        let _ = fs::remove_file(&fresh);
        os::private_file().open(&fresh)?.write_all(text.as_bytes())?;
        os::rename_over(&fresh, &path, PATIENCE)?;
        Ok(Self(blake3::hash(text.as_bytes())))
    }

    /// Whether it is that one. In constant time: digests are compared so, and one says nothing of how much of the text fits.
    pub(super) fn is(&self, given: &[u8]) -> bool {
        blake3::hash(given) == self.0
    }
}

/// What lies there, if only its owner could read it.
fn kept(path: &Path) -> io::Result<String> {
    let text = fs::read_to_string(path)?;
    if is_exposed(&fs::symlink_metadata(path)?) {
        return Err(io::Error::other(format!("`{}` can be read by others", path.display())));
    }
    let text = text.trim();
    if text.len() != 2 * BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(io::Error::other(format!("`{}` holds none", path.display())));
    }
    Ok(text.to_owned())
}

#[cfg(unix)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.mode() & 0o077 != 0
        || metadata.uid() != rustix::process::geteuid().as_raw()
        || !metadata.is_file()
}

/// Windows: the home folder hands down an access list of its owner alone.
#[cfg(windows)]
fn is_exposed(metadata: &fs::Metadata) -> bool {
    !metadata.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_stays_the_same_from_run_to_run_and_another_one_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let token = Token::open(home.path()).unwrap();
        let text = fs::read_to_string(home.path().join(FILE)).unwrap();
        assert!(token.is(text.as_bytes()));
        assert!(Token::open(home.path()).unwrap().is(text.as_bytes()));
        for wrong in ["", "x", &text[1..], &text.replace(&text[..1], "g")] {
            assert!(!token.is(wrong.as_bytes()), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_token_that_others_could_read_is_replaced() {
        use std::os::unix::fs::PermissionsExt as _;
        let home = tempfile::tempdir().unwrap();
        let before = Token::open(home.path()).unwrap();
        let path = home.path().join(FILE);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let after = Token::open(home.path()).unwrap();
        assert_eq!(mode(&path), 0o600);
        let text = fs::read_to_string(&path).unwrap();
        assert!(after.is(text.as_bytes()) && !before.is(text.as_bytes()));
    }

    #[test]
    fn a_file_that_holds_no_token_is_replaced() {
        let home = tempfile::tempdir().unwrap();
        os::private_file().open(home.path().join(FILE)).unwrap().write_all(b"short").unwrap();
        assert!(!Token::open(home.path()).unwrap().is(b"short"));
    }
}
