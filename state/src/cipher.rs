//! The ciphers, and the seam behind which their implementations stand.
//!
//! What is sealed by one implementation is opened by another: a cipher is a standard, and its bytes are the same.
//! `aes-gcm` is what there is by default; the feature `aws-lc` puts `aws-lc-rs` in its place.

use std::fmt;

use serde::{Serialize, Serializer};

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(any(test, not(feature = "aws-lc")))]
mod rust_crypto;

#[cfg(test)]
mod tests;

#[cfg(feature = "aws-lc")]
use aws_lc as implementation;
#[cfg(not(feature = "aws-lc"))]
use rust_crypto as implementation;

pub(crate) const NONCE: usize = 12;
pub(crate) const TAG: usize = 16;

/// The longest message: where the counter of 32 bits ends.
#[cfg(feature = "aws-lc")]
const MAX_MESSAGE: u64 = (1 << 36) - 32;

/// The cipher that a capsule is sealed with. The length of the key decides it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cipher {
    /// For a key of 16 bytes.
    Aes128Gcm,
    /// For a key of 24 bytes.
    Aes192Gcm,
    /// For a key of 32 bytes.
    Aes256Gcm,
}

impl Cipher {
    pub(crate) fn for_key(len: usize) -> Option<Cipher> {
        [Cipher::Aes128Gcm, Cipher::Aes192Gcm, Cipher::Aes256Gcm]
            .into_iter()
            .find(|cipher| cipher.key_len() == len)
    }

    /// The byte that stands for it in a header.
    pub(crate) fn code(self) -> u8 {
        match self {
            Cipher::Aes128Gcm => 1,
            Cipher::Aes192Gcm => 2,
            Cipher::Aes256Gcm => 3,
        }
    }

    pub(crate) fn from_code(code: u8) -> Option<Cipher> {
        [Cipher::Aes128Gcm, Cipher::Aes192Gcm, Cipher::Aes256Gcm]
            .into_iter()
            .find(|cipher| cipher.code() == code)
    }

    pub(crate) fn key_len(self) -> usize {
        match self {
            Cipher::Aes128Gcm => 16,
            Cipher::Aes192Gcm => 24,
            Cipher::Aes256Gcm => 32,
        }
    }

    /// The cipher with its key, which must be [as long](Self::key_len) as it asks for.
    pub(crate) fn keyed(self, key: &[u8]) -> Box<dyn Aead> {
        implementation::keyed(self, key)
    }
}

impl fmt::Display for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Cipher::Aes128Gcm => "AES-128-GCM",
            Cipher::Aes192Gcm => "AES-192-GCM",
            Cipher::Aes256Gcm => "AES-256-GCM",
        })
    }
}

impl Serialize for Cipher {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A message was refused: it is not what was sealed, or too long.
#[derive(Debug)]
pub(crate) struct Refused;

/// An implementation of a cipher that has its key, which it wipes when dropped.
///
/// From one buffer into another: no plain text is ever where the capsule is for longer than a chunk takes.
pub(crate) trait Aead: Send + Sync {
    /// Encrypts `plain` into `body`, of the same length, and returns the tag over `ad` and `body`.
    fn seal(
        &self,
        nonce: &[u8; NONCE],
        ad: &[u8],
        plain: &[u8],
        body: &mut [u8],
    ) -> Result<[u8; TAG], Refused>;

    /// Decrypts `body` into `plain`, of the same length, if `tag` is the tag over `ad` and `body`; if not, what `plain`
    /// holds is of no use.
    fn open(
        &self,
        nonce: &[u8; NONCE],
        ad: &[u8],
        body: &[u8],
        tag: &[u8; TAG],
        plain: &mut [u8],
    ) -> Result<(), Refused>;
}
