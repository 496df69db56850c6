//! A key and its id.

use std::fmt;
use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, STANDARD_PAD_INDIFFERENT, URL_SAFE_PAD_INDIFFERENT};
use hkdf::Hkdf;
use serde::{Serialize, Serializer};
use sha2::Sha256;
use zeroize::{Zeroize as _, Zeroizing};

use crate::cipher::Cipher;
use crate::error::KeyError;

/// Keeps the id apart from every subkey: both come from the key by HKDF, under labels that differ.
const ID_LABEL: &[u8] = b"hotbay key id";

/// The secret that state is sealed with: 16, 24 or 32 bytes, wiped when dropped.
///
/// It is not `Clone`: share it by reference or in an `Arc`, so that its bytes are in one place.
pub struct Key {
    // On the heap, so that moving a `Key` leaves no copy of the bytes behind on the stack.
    bytes: Zeroizing<Vec<u8>>,
    cipher: Cipher,
    id: KeyId,
}

impl Key {
    /// Takes a key from its bytes, which must be random; what comes out of a file or a text is looked at more closely, see
    /// [`Key::parse`].
    ///
    /// # Errors
    /// [`KeyError::Length`] unless there are 16, 24 or 32.
    pub fn new(bytes: &[u8]) -> Result<Key, KeyError> {
        let cipher = Cipher::for_key(bytes.len()).ok_or(KeyError::Length { got: bytes.len() })?;
        let mut id = KeyId([0; 8]);
        Salted::extract(None, bytes).derive(&[ID_LABEL], &mut id.0);
        Ok(Key { bytes: Zeroizing::new(bytes.to_vec()), cipher, id })
    }

    /// Takes a key from text, as in an environment variable: its bytes in hex or base64 (standard or URL-safe,
    /// padded or not), with white space around it.
    ///
    /// Text that could be either, as the 32 hex digits of a 16-byte key could be base64 of 24 bytes, is hex.
    ///
    /// # Errors
    /// [`KeyError::Text`] if it is neither, [`KeyError::Length`] if it decodes to another number of bytes,
    /// [`KeyError::Guessable`] if all of them are the same.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        let text = text.trim();
        let decoded = decode_hex(text)
            .or_else(|| decode_base64(&STANDARD_PAD_INDIFFERENT, text))
            .or_else(|| decode_base64(&URL_SAFE_PAD_INDIFFERENT, text));
        match decoded {
            Some(bytes) if !bytes.is_empty() => Key::given(&bytes),
            _ => Err(KeyError::Text),
        }
    }

    /// Takes a key that a person laid somewhere: not what an empty disk, a cleared buffer or a placeholder leaves there.
    pub(crate) fn given(bytes: &[u8]) -> Result<Key, KeyError> {
        let key = Key::new(bytes)?;
        // Of a random key each byte is another one's but once in 2¹²⁰; how fast this is tells nobody more than that.
        if bytes.windows(2).all(|pair| pair[0] == pair[1]) {
            return Err(KeyError::Guessable { bytes: bytes.len() });
        }
        Ok(key)
    }

    /// Makes a new key of 32 bytes.
    ///
    /// # Errors
    /// [`KeyError::Random`] if the operating system has no random bytes to give.
    pub fn generate() -> Result<Key, KeyError> {
        let mut bytes = Zeroizing::new([0; 32]);
        fill_random(&mut bytes[..]).map_err(|source| KeyError::Random { source })?;
        Key::new(&bytes[..])
    }

    /// Its length: 128, 192 or 256.
    pub fn bits(&self) -> usize {
        8 * self.bytes.len()
    }

    /// What the key is called where it must not be shown: in headers, errors and lists.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The cipher that a key of this length is for.
    pub(crate) fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// What is derived from the key by this salt.
    pub(crate) fn salted(&self, salt: &[u8]) -> Salted {
        Salted::extract(Some(salt), &self.bytes)
    }

    /// The same without a salt, for what has one subkey per key.
    pub(crate) fn unsalted(&self) -> Salted {
        Salted::extract(None, &self.bytes)
    }

    /// The key as the text of a key file.
    pub(crate) fn to_text(&self) -> Zeroizing<String> {
        // Reserved at once: a string that grew would leave a piece of the key where it was before.
        let mut text = Zeroizing::new(String::with_capacity(2 * self.bytes.len() + 1));
        for byte in self.bytes.iter() {
            for digit in [byte >> 4, byte & 15] {
                text.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
            }
        }
        text.push('\n');
        text
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}

/// The name of a [`Key`]: 8 bytes derived from it, from which it cannot be found. Shown as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; 8]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Random bytes of the operating system.
pub(crate) fn fill_random(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(io::Error::other)
}

/// A key that was salted: HKDF-SHA256, extracted once for all that is expanded. It wipes itself.
pub(crate) struct Salted(Hkdf<Sha256>);

impl Salted {
    fn extract(salt: Option<&[u8]>, key: &[u8]) -> Self {
        let (mut extracted, hkdf) = Hkdf::extract(salt, key);
        extracted.as_mut_slice().zeroize();
        Self(hkdf)
    }

    /// Derives `out`; `info` decides what comes out.
    pub(crate) fn derive(&self, info: &[&[u8]], out: &mut [u8]) {
        self.0
            .expand_multi_info(info, out)
            .expect("HKDF-SHA256 gives 8,160 bytes and is asked for 32 at most");
    }
}

// Both wipe what they had decoded where the text turns out to be the other's: most of a key, often.

fn decode_hex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let digits = text.as_bytes();
    let mut bytes = Zeroizing::new(Vec::with_capacity(digits.len() / 2));
    for pair in digits.chunks(2) {
        let [high, low] = *pair else { return None };
        let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}

fn decode_base64(alphabet: &GeneralPurpose, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(text.len())]);
    let len = alphabet.decode_slice(text, &mut bytes).ok()?;
    bytes.truncate(len);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_16_24_and_32_bytes_make_a_key() {
        for len in 0..=64 {
            match Key::new(&vec![7; len]) {
                Ok(_) => assert!([16, 24, 32].contains(&len)),
                Err(KeyError::Length { got }) => assert!(got == len && ![16, 24, 32].contains(&len)),
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn the_same_key_is_read_from_hex_and_from_every_base64() {
        for (len, base64, url) in [
            (16, "+/+/+/+/+/+/+/+/+/+/+w==", "-_-_-_-_-_-_-_-_-_-_-w"),
            (24, "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/", "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_"),
            (
                32,
                "+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/+/8=",
                "-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_-_8",
            ),
        ] {
            let bytes: Vec<u8> = [0xfb, 0xff, 0xbf].into_iter().cycle().take(len).collect();
            let key = Key::new(&bytes).unwrap();
            let hex = key.to_text();
            let upper = hex.to_uppercase();
            for text in [hex.as_str(), &upper, base64, url, &format!(" \t{base64}\r\n")] {
                assert_eq!(Key::parse(text).unwrap().id(), key.id(), "{text}");
            }
        }
    }

    #[test]
    fn text_that_is_no_key_is_refused_and_not_repeated() {
        for text in ["", " ", "secret!", "zz zz", "=="] {
            let error = Key::parse(text).unwrap_err();
            assert!(matches!(error, KeyError::Text), "{error}");
        }
        assert!(matches!(Key::parse("00ff"), Err(KeyError::Length { got: 2 })));
    }

    #[test]
    fn a_text_of_equal_bytes_is_refused_and_told_how_to_make_a_key() {
        for text in ["0".repeat(64), "0a".repeat(16), "FF".repeat(24), "A".repeat(43), "/".repeat(32)] {
            let error = Key::parse(&text).unwrap_err();
            assert!(matches!(error, KeyError::Guessable { bytes: 16 | 24 | 32 }), "{text}: {error}");
            assert!(error.to_string().contains("`hotbay keys init`"), "{error}");
        }
        Key::parse(&format!("{}01", "00".repeat(31))).unwrap();
    }

    #[test]
    fn a_key_shows_its_id_and_nothing_else() {
        let key = Key::new(&[0x41; 32]).unwrap();
        assert_eq!(format!("{key:?}"), format!("Key({})", key.id()));
        assert_eq!(key.id().to_string().len(), 16);
        assert_eq!(serde_json::to_value(key.id()).unwrap(), key.id().to_string());
        assert_ne!(key.id(), Key::new(&[0x41; 16]).unwrap().id());
        assert_ne!(Key::generate().unwrap().id(), Key::generate().unwrap().id());
    }
}
