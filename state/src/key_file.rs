//! Keys in files.

use std::fs::Metadata;
use std::io::{self, Read as _};
use std::path::Path;

use zeroize::Zeroizing;

use crate::durable::{self, Onto, Step, folder_of};
use crate::error::KeyError;
use crate::key::{Key, KeyId};
use crate::os;
use crate::ring::KeyRing;

#[cfg(test)]
mod tests;

/// More than any text of as many keys as a ring has, with white space around them. A path to something else, a log or a disk, is
/// then refused for its length without being read into memory.
const MAX_FILE: u64 = 4096;

impl KeyRing {
    /// Reads keys from a file: their text (see [`KeyRing::parse`]), or one key's raw 16, 24 or 32 bytes.
    ///
    /// What could be either is text; of random bytes, one file in 2⁴⁴ could.
    ///
    /// On Unix the file must belong to the user we run as, or to root, and nobody else may use it. On Windows
    /// its access list is what protects it; one that is made here is the user's alone, another is not examined.
    ///
    /// # Errors
    /// [`KeyError`] says what to do about it; a missing file is [`KeyError::Read`] with
    /// [`io::ErrorKind::NotFound`].
    pub fn load(path: &Path) -> Result<KeyRing, KeyError> {
        load(path, os::check_private)
    }

    /// Takes keys from what a key file holds.
    ///
    /// # Errors
    /// As [`KeyRing::parse`], or [`KeyError::Length`] where it is no text of keys and of no length that a raw key has.
    pub fn from_file(bytes: &[u8]) -> Result<KeyRing, KeyError> {
        let as_text = str::from_utf8(bytes).map_err(|_| KeyError::Text).and_then(KeyRing::parse);
        // Raw bytes are the last resort, and their error the better one where the file is plainly no text of a key.
        as_text.or_else(|text| match Key::given(bytes) {
            // It could be raw too, and stays what it is: nobody means the digits of zeroes as a key.
            _ if matches!(text, KeyError::Guessable { .. }) => Err(text),
            Err(_) if matches!(text, KeyError::Length { .. } | KeyError::TooMany { .. }) => Err(text),
            raw => Ok(raw?.into()),
        })
    }

    /// Reads keys that a service manager laid into a folder of its own for this program, as systemd does with a credential.
    ///
    /// As [`KeyRing::load`], but the group may be able to read it, as far as its mode goes: systemd lets the service's user read
    /// a file of root's by an access list, and a mode shows the most that such a list allows as the group's.
    ///
    /// # Errors
    /// As [`KeyRing::load`].
    pub fn load_credential(path: &Path) -> Result<KeyRing, KeyError> {
        load(path, os::check_credential)
    }

    /// Reads keys from a file, or makes a new one there if the file is missing: for the first run.
    ///
    /// Returns the ring, and whether it was created. The file is complete and durable before it has its name: a
    /// crash leaves it whole or missing. It is never overwritten; of two hosts that create it at once, one
    /// creates, and both get that one's key. The folder must exist: a path into a disk that is not mounted
    /// shall not become a new key.
    ///
    /// # Errors
    /// [`KeyError`], as for [`KeyRing::load`]; [`KeyError::Create`] if the file is missing and cannot be made.
    pub fn load_or_create(path: &Path) -> Result<(KeyRing, bool), KeyError> {
        match KeyRing::load(path) {
            Err(KeyError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            loaded => return Ok((loaded?, false)),
        }
        let ring = KeyRing::from(Key::generate()?);
        match durable::write(path, Onto::Nothing, ring.to_text().as_bytes()) {
            Ok(()) => Ok((ring, true)),
            Err(error)
                if error.step == Step::Rename && error.source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Ok((KeyRing::load(path)?, false))
            }
            Err(source) => Err(KeyError::Create { path: path.to_owned(), source }),
        }
    }

    /// Makes a new key and writes it into the file as the primary, with those that were there below it, in one step. From when
    /// this returns the file is durable: what is sealed with the new key can be read again.
    ///
    /// Whoever calls it sees to it that nobody else writes the file at the same time.
    ///
    /// # Errors
    /// [`KeyError`], as for [`KeyRing::load`]; [`KeyError::Create`] if the file cannot be replaced.
    pub fn rotate_file(path: &Path) -> Result<KeyRing, KeyError> {
        let ring = KeyRing::load(path)?.rotated(Key::generate()?)?;
        ring.write(path)?;
        Ok(ring)
    }

    /// Takes a key out of the file, for good: what still needs it can be read no more. See to both, that nothing does and that
    /// nobody else writes the file, before.
    ///
    /// # Errors
    /// As [`KeyRing::without`] and [`KeyRing::rotate_file`].
    pub fn retire_from_file(path: &Path, id: KeyId) -> Result<KeyRing, KeyError> {
        let ring = KeyRing::load(path)?.without(id)?;
        ring.write(path)?;
        Ok(ring)
    }

    fn write(&self, path: &Path) -> Result<(), KeyError> {
        // Behind a link lies the file that others know, too: it is what changes, and the link stays.
        let file = std::fs::canonicalize(path);
        let file = file.as_deref().unwrap_or(path);
        remove_leftovers(file);
        durable::write(file, Onto::Anything, self.to_text().as_bytes())
            .map_err(|source| KeyError::Create { path: path.to_owned(), source })
    }
}

/// Removes what interrupted writes of the file left: it holds keys, also those that are retired.
fn remove_leftovers(file: &Path) {
    let Ok(entries) = std::fs::read_dir(folder_of(file)) else { return };
    let name = file.file_name().and_then(|name| name.to_str());
    for entry in entries.flatten() {
        let left = entry.file_name();
        let target = left.to_str().and_then(durable::meant_for);
        if target.is_some() && target == name {
            durable::remove_leftover(&entry.path());
        }
    }
}

fn load(
    path: &Path,
    check: impl FnOnce(&Metadata, &Path) -> Result<(), KeyError>,
) -> Result<KeyRing, KeyError> {
    let read = |source| KeyError::Read { path: path.to_owned(), source };
    // One open file is examined and read, so that it cannot be exchanged between the two.
    let file = os::open_file(path).map_err(read)?;
    check(&file.metadata().map_err(read)?, path)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE as usize));
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(read)?;
    KeyRing::from_file(&bytes)
        .map_err(|source| KeyError::Content { path: path.to_owned(), source: Box::new(source) })
}
