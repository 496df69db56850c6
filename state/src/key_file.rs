//! Keys in files.

use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::durable::{self, Onto, Step};
use crate::error::KeyError;
use crate::key::Key;
use crate::os;

#[cfg(test)]
mod tests;

/// More than any text of a key with white space around it. A path to something else, a log or a disk, is then
/// refused for its length without being read into memory.
const MAX_FILE: u64 = 1024;

impl Key {
    /// Reads a key from a file: its text (see [`Key::parse`]), or its raw 16, 24 or 32 bytes.
    ///
    /// What could be either is text; of random bytes, one file in 2⁴⁴ could.
    ///
    /// On Unix the file must belong to the user we run as, or to root, and nobody else may use it. On Windows
    /// its access list is what protects it; one that is made here is the user's alone, another is not examined.
    ///
    /// # Errors
    /// [`KeyError`] says what to do about it; a missing file is [`KeyError::Read`] with
    /// [`io::ErrorKind::NotFound`].
    pub fn load(path: &Path) -> Result<Key, KeyError> {
        load(path, os::check_private)
    }

    /// Reads a key that a service manager laid into a folder of its own for this program, as systemd does with a credential.
    ///
    /// As [`Key::load`], but the group may be able to read it, as far as its mode goes: systemd lets the service's user read a
    /// file of root's by an access list, and a mode shows the most that such a list allows as the group's.
    ///
    /// # Errors
    /// As [`Key::load`].
    pub fn load_credential(path: &Path) -> Result<Key, KeyError> {
        load(path, os::check_credential)
    }

    /// Reads a key from a file, or makes a new one there if the file is missing: for the first run.
    ///
    /// Returns the key, and whether it was created. The file is complete and durable before it has its name: a
    /// crash leaves it whole or missing. It is never overwritten; of two hosts that create it at once, one
    /// creates, and both get that one's key. The folder must exist: a path into a disk that is not mounted
    /// shall not become a new key.
    ///
    /// # Errors
    /// [`KeyError`], as for [`Key::load`]; [`KeyError::Create`] if the file is missing and cannot be made.
    pub fn load_or_create(path: &Path) -> Result<(Key, bool), KeyError> {
        match Key::load(path) {
            Err(KeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            loaded => return Ok((loaded?, false)),
        }
        let key = Key::generate()?;
        match durable::write(path, Onto::Nothing, key.to_text().as_bytes()) {
            Ok(()) => Ok((key, true)),
            Err(error)
                if error.step == Step::Rename && error.source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Ok((Key::load(path)?, false))
            }
            Err(source) => Err(KeyError::Create { path: path.to_owned(), source }),
        }
    }
}

fn load(path: &Path, check: impl FnOnce(&Metadata, &Path) -> Result<(), KeyError>) -> Result<Key, KeyError> {
    let read = |source| KeyError::Read { path: path.to_owned(), source };
    // One open file is examined and read, so that it cannot be exchanged between the two.
    let file = os::open_file(path).map_err(read)?;
    check(&file.metadata().map_err(read)?, path)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(read)?;
    from_file(&bytes).map_err(|source| KeyError::Content { path: path.to_owned(), source: Box::new(source) })
}

fn from_file(bytes: &[u8]) -> Result<Key, KeyError> {
    let as_text = str::from_utf8(bytes).map_err(|_| KeyError::Text).and_then(Key::parse);
    // Raw bytes are the last resort, and their error the better one where the file is plainly no text of a key.
    as_text.or_else(|text| match Key::new(bytes) {
        Err(_) if matches!(text, KeyError::Length { .. }) => Err(text),
        raw => raw,
    })
}
