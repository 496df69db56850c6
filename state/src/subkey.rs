//! What is derived from a key for one capsule alone: its subkey, its nonces, and what authenticates its header.
//!
//! A random nonce of 12 bytes must not be relied on for more than 2³² messages under one key, and a host that
//! writes every two seconds for many services gets there. Each capsule has a salt of its own and with it a
//! subkey of its own, whose nonces are counted.

use zeroize::Zeroizing;

use crate::cipher::{Aead, Cipher, NONCE};
use crate::key::{Key, Salted};

pub(crate) const SALT: usize = 32;
pub(crate) const CHECK: usize = 16;

/// Of a nonce: the rest is the counter of chunks and the mark of the last one.
pub(crate) const PREFIX: usize = NONCE - 5;

// They keep what is derived apart: none of them is how another one begins. So do the two of the key's id and of format 1.
const SUBKEY: &[u8] = b"hotbay state 2 subkey";
const NONCES: &[u8] = b"hotbay state 2 nonces";
const KEY_CHECK: &[u8] = b"hotbay state 2 key check";
const HEADER: &[u8] = b"hotbay state 2 header";
const SUBKEY_1: &[u8] = b"hotbay state 1 subkey";

/// The cipher under a capsule's own key, and how its nonces begin.
pub(crate) struct Stream {
    pub(crate) aead: Box<dyn Aead>,
    pub(crate) prefix: [u8; PREFIX],
}

/// All that is derived from a key for the capsule with one salt.
pub(crate) struct Subkeys {
    cipher: Cipher,
    salted: Salted,
}

impl Subkeys {
    pub(crate) fn new(key: &Key, salt: &[u8; SALT]) -> Self {
        Self { cipher: key.cipher(), salted: key.salted(salt) }
    }

    /// What seals and opens the capsule's chunks.
    pub(crate) fn stream(&self) -> Stream {
        Stream { aead: self.keyed(SUBKEY), prefix: self.derive(&[NONCES]) }
    }

    /// The cipher in format 1, where nonces are in the header.
    pub(crate) fn message_1(&self) -> Box<dyn Aead> {
        self.keyed(SUBKEY_1)
    }

    /// Says, with its salt, which key a capsule is for. The tags of AES-GCM do not: one can be right under two keys.
    pub(crate) fn key_check(&self) -> [u8; CHECK] {
        self.derive(&[KEY_CHECK])
    }

    /// Authenticates a header, whose bytes before this one are `head`.
    pub(crate) fn header_tag(&self, head: &[u8]) -> [u8; CHECK] {
        self.derive(&[HEADER, head])
    }

    fn keyed(&self, label: &[u8]) -> Box<dyn Aead> {
        let mut bytes = Zeroizing::new([0; 32]);
        let subkey = &mut bytes[..self.cipher.key_len()];
        self.salted.derive(&[label, &[self.cipher.code()]], subkey);
        self.cipher.keyed(subkey)
    }

    fn derive<const LEN: usize>(&self, info: &[&[u8]]) -> [u8; LEN] {
        let mut out = [0; LEN];
        self.salted.derive(info, &mut out);
        out
    }
}

/// Whether they are the same, in a time that does not tell where they differ.
pub(crate) fn same(one: &[u8; CHECK], two: &[u8; CHECK]) -> bool {
    let differs = one.iter().zip(two).fold(0, |differs, (a, b)| std::hint::black_box(differs | (a ^ b)));
    differs == 0
}
