//! Several keys: one that seals, and those that what was sealed before still needs.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use crate::error::{KeyError, OpenError};
use crate::header::Header;
use crate::key::{Key, KeyId};
use crate::open::{self, Opened};
use crate::opener::Opener;
use crate::os;

/// The most keys that a ring has.
pub(crate) const MAX_KEYS: usize = 32;

/// Keys by their id: the first, the *primary*, seals and opens; the others only open.
///
/// Cheap to clone: the keys are shared, and wiped when the last clone goes.
#[derive(Clone, Debug)]
pub struct KeyRing {
    // Never empty.
    keys: Vec<Arc<Key>>,
}

impl From<Key> for KeyRing {
    /// A ring of one.
    fn from(primary: Key) -> Self {
        KeyRing { keys: vec![Arc::new(primary)] }
    }
}

impl KeyRing {
    /// Takes keys from text: one or more, the primary first, each as [`Key::parse`] takes it, with white space between them.
    ///
    /// # Errors
    /// As [`Key::parse`], for the first that is none; [`KeyError::TooMany`].
    pub fn parse(text: &str) -> Result<KeyRing, KeyError> {
        let mut words = text.split_ascii_whitespace();
        let mut ring = KeyRing::from(Key::parse(words.next().unwrap_or_default())?);
        for word in words {
            ring.push(Arc::new(Key::parse(word)?))?;
        }
        Ok(ring)
    }

    /// The key that seals.
    #[must_use]
    pub fn primary(&self) -> &Key {
        &self.keys[0]
    }

    /// The key of this id.
    #[must_use]
    pub fn get(&self, id: KeyId) -> Option<&Key> {
        self.keys.iter().find(|key| key.id() == id).map(|key| &**key)
    }

    /// All keys, the primary first.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.keys.iter().map(|key| &**key)
    }

    /// Takes the keys of another ring in, for reading; those that are here already are passed over.
    ///
    /// # Errors
    /// [`KeyError::TooMany`]
    pub fn join(&mut self, other: &KeyRing) -> Result<(), KeyError> {
        other.keys.iter().try_for_each(|key| self.push(Arc::clone(key)))
    }

    /// The ring with a new primary; the one before is kept for reading.
    ///
    /// # Errors
    /// [`KeyError::TooMany`]
    pub fn rotated(&self, primary: Key) -> Result<KeyRing, KeyError> {
        let mut ring = KeyRing::from(primary);
        ring.join(self)?;
        Ok(ring)
    }

    /// The ring without a key.
    ///
    /// # Errors
    /// [`KeyError::Unknown`] if it is not in the ring, [`KeyError::Primary`] if it is what seals.
    pub fn without(&self, id: KeyId) -> Result<KeyRing, KeyError> {
        if self.get(id).is_none() {
            return Err(KeyError::Unknown { id });
        }
        if self.primary().id() == id {
            return Err(KeyError::Primary { id });
        }
        Ok(KeyRing { keys: self.keys.iter().filter(|key| key.id() != id).cloned().collect() })
    }

    /// Opens a capsule with the key that its header names.
    ///
    /// # Errors
    /// As [`open`](crate::open); [`OpenError::WrongKey`] where the ring does not have that key.
    pub fn open(&self, service: &str, sealed: &[u8]) -> Result<Opened, OpenError> {
        open::open(self.for_capsule(sealed), service, sealed)
    }

    /// The same into `plain`, as [`open_into`](crate::open_into).
    ///
    /// # Errors
    /// As [`KeyRing::open`].
    pub fn open_into(
        &self,
        service: &str,
        sealed: &[u8],
        plain: &mut Zeroizing<Vec<u8>>,
    ) -> Result<Header, OpenError> {
        open::open_into(self.for_capsule(sealed), service, sealed, plain)
    }

    /// Opens a capsule while it is read, with the key that its header names.
    ///
    /// # Errors
    /// As [`Opener::new`]; [`OpenError::WrongKey`] where the ring does not have that key.
    pub fn opener<R: Read>(&self, service: &str, from: R) -> Result<Opener<R>, OpenError> {
        Opener::with(|id| self.get(id).unwrap_or_else(|| self.primary()), service, from, None)
    }

    /// The same of a file, whose length tells that of the state.
    ///
    /// # Errors
    /// As [`KeyRing::opener`].
    pub fn open_file(&self, service: &str, path: &Path) -> Result<Opener<File>, OpenError> {
        let file = os::open_file(path).map_err(|source| OpenError::Read { source })?;
        let total = file.metadata().map_err(|source| OpenError::Read { source })?.len();
        Opener::with(|id| self.get(id).unwrap_or_else(|| self.primary()), service, file, Some(total))
    }

    /// The primary also where the header cannot be read, or names a key that is not here: opening says what is wrong.
    fn for_capsule(&self, sealed: &[u8]) -> &Key {
        let named = open::read_header(sealed).ok().and_then(|header| self.get(header.key_id));
        named.unwrap_or_else(|| self.primary())
    }

    /// The ring as the text of a key file, a key per line.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        let texts: Vec<Zeroizing<String>> = self.keys.iter().map(|key| key.to_text()).collect();
        // Reserved at once, as with one key.
        let mut all = Zeroizing::new(String::with_capacity(texts.iter().map(|text| text.len()).sum()));
        texts.iter().for_each(|text| all.push_str(text));
        all
    }

    fn push(&mut self, key: Arc<Key>) -> Result<(), KeyError> {
        if self.get(key.id()).is_some() {
            return Ok(());
        }
        if self.keys.len() == MAX_KEYS {
            return Err(KeyError::TooMany { limit: MAX_KEYS });
        }
        self.keys.push(key);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::STAMP;
    use crate::seal;

    fn key(byte: u8) -> Key {
        Key::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn what_any_key_of_the_ring_sealed_is_opened_and_nothing_else() {
        let ring = KeyRing::from(key(1)).rotated(key(2)).unwrap();
        for byte in [1, 2] {
            let capsule = seal(&key(byte), &STAMP, b"state").unwrap();
            assert_eq!(*ring.open("echo", &capsule).unwrap().plain, b"state");
        }
        let other = seal(&key(3), &STAMP, b"state").unwrap();
        let error = ring.open("echo", &other).unwrap_err();
        let expected = key(3).id();
        assert!(
            matches!(error, OpenError::WrongKey { sealed_with, .. } if sealed_with == expected),
            "{error}"
        );
    }

    #[test]
    fn a_rotated_ring_seals_with_the_new_key_and_the_primary_cannot_be_taken_out() {
        let ring = KeyRing::from(key(1)).rotated(key(2)).unwrap();
        assert_eq!(ring.primary().id(), key(2).id());
        assert!(matches!(ring.without(key(2).id()), Err(KeyError::Primary { .. })));
        assert!(matches!(ring.without(key(9).id()), Err(KeyError::Unknown { .. })));
        let rest = ring.without(key(1).id()).unwrap();
        assert_eq!(rest.keys().map(Key::id).collect::<Vec<_>>(), [key(2).id()]);
    }

    #[test]
    fn a_ring_is_written_and_read_again_in_its_order_each_key_once() {
        // What is read from a text is not one byte again and again.
        let key = |last| Key::new(&[&[7; 31][..], &[last]].concat()).unwrap();
        let mut ring = KeyRing::from(key(1)).rotated(key(2)).unwrap().rotated(key(3)).unwrap();
        ring.join(&KeyRing::from(key(1))).unwrap();
        let again = KeyRing::parse(&ring.to_text()).unwrap();
        let ids = |ring: &KeyRing| ring.keys().map(Key::id).collect::<Vec<_>>();
        assert_eq!(ids(&again), ids(&ring));
        assert_eq!(ids(&ring).len(), 3);
        assert!(matches!(KeyRing::parse(""), Err(KeyError::Text)));
        assert!(matches!(KeyRing::parse(&format!("{} zz", *key(1).to_text())), Err(KeyError::Text)));
    }

    #[test]
    fn a_ring_does_not_grow_without_limit() {
        let mut ring = KeyRing::from(key(0));
        let mut last = Ok(());
        for byte in 1..=u8::try_from(MAX_KEYS).unwrap() {
            last = ring.join(&KeyRing::from(key(byte)));
        }
        assert!(matches!(last, Err(KeyError::TooMany { limit: MAX_KEYS })));
    }
}
