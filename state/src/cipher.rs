//! The cipher: the one place that knows AES-GCM.
//!
//! Another implementation, or another cipher, comes in here and nowhere else.

use std::fmt;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::aes::Aes192;
use aes_gcm::aes::cipher::consts::{U12, U16};
use aes_gcm::{Aes128Gcm, Aes256Gcm, AesGcm, Error};
use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::key::Key;

type Aes192Gcm = AesGcm<Aes192, U12>;

pub(crate) const NONCE: usize = 12;
pub(crate) const SALT: usize = 32;
pub(crate) const TAG: usize = 16;

/// Keeps subkeys apart from whatever else is derived from a key, and those of one format from those of the next.
const SUBKEY_LABEL: &[u8] = b"hotbay state 1 subkey";

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

    fn key_len(self) -> usize {
        match self {
            Cipher::Aes128Gcm => 16,
            Cipher::Aes192Gcm => 24,
            Cipher::Aes256Gcm => 32,
        }
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

/// The key of one capsule, wiped when dropped.
///
/// A random nonce of 12 bytes must not be relied on for more than 2³² messages under one key, and a host that
/// writes every two seconds for many services gets there. Each capsule has a salt of its own and with it a
/// subkey of its own, under which one message is ever sealed.
pub(crate) struct Subkey {
    cipher: Cipher,
    bytes: Zeroizing<[u8; 32]>,
}

impl Subkey {
    pub(crate) fn derive(key: &Key, salt: &[u8; SALT]) -> Subkey {
        let cipher = key.cipher();
        let mut bytes = Zeroizing::new([0; 32]);
        key.derive(salt, &[SUBKEY_LABEL, &[cipher.code()]], &mut bytes[..cipher.key_len()]);
        Subkey { cipher, bytes }
    }

    /// Encrypts `input` into `output`, which has the same length, and returns the tag over `header` and `output`.
    ///
    /// From one buffer into the other: the plain text is never where the capsule is.
    pub(crate) fn encrypt(
        &self,
        nonce: &[u8; NONCE],
        header: &[u8],
        input: &[u8],
        output: &mut [u8],
    ) -> Result<[u8; TAG], Error> {
        let body = InOutBuf::new(input, output).map_err(|_| Error)?;
        match self.cipher {
            Cipher::Aes128Gcm => encrypt::<Aes128Gcm>(self.bytes(), nonce, header, body),
            Cipher::Aes192Gcm => encrypt::<Aes192Gcm>(self.bytes(), nonce, header, body),
            Cipher::Aes256Gcm => encrypt::<Aes256Gcm>(self.bytes(), nonce, header, body),
        }
    }

    /// Decrypts `input` into `output` if `tag` is the tag over `header` and `input`; if not, `output` is not written.
    pub(crate) fn decrypt(
        &self,
        nonce: &[u8; NONCE],
        header: &[u8],
        input: &[u8],
        output: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Error> {
        let body = InOutBuf::new(input, output).map_err(|_| Error)?;
        match self.cipher {
            Cipher::Aes128Gcm => decrypt::<Aes128Gcm>(self.bytes(), nonce, header, body, tag),
            Cipher::Aes192Gcm => decrypt::<Aes192Gcm>(self.bytes(), nonce, header, body, tag),
            Cipher::Aes256Gcm => decrypt::<Aes256Gcm>(self.bytes(), nonce, header, body, tag),
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.cipher.key_len()]
    }
}

fn encrypt<C: KeyInit + AeadInOut<NonceSize = U12, TagSize = U16>>(
    key: &[u8],
    nonce: &[u8; NONCE],
    header: &[u8],
    body: InOutBuf<'_, '_, u8>,
) -> Result<[u8; TAG], Error> {
    let cipher = C::new_from_slice(key).map_err(|_| Error)?;
    cipher.encrypt_inout_detached(nonce.into(), header, body).map(Into::into)
}

fn decrypt<C: KeyInit + AeadInOut<NonceSize = U12, TagSize = U16>>(
    key: &[u8],
    nonce: &[u8; NONCE],
    header: &[u8],
    body: InOutBuf<'_, '_, u8>,
    tag: &[u8; TAG],
) -> Result<(), Error> {
    let cipher = C::new_from_slice(key).map_err(|_| Error)?;
    cipher.decrypt_inout_detached(nonce.into(), header, body, tag.into())
}
