//! What is derived from a key for one capsule alone: its subkey, its nonces, and what authenticates its header.
//!
//! A random nonce of 12 bytes must not be relied on for more than 2³² messages under one key, and a host that
//! writes every two seconds for many services gets there. Each capsule has a salt of its own and with it a
//! subkey of its own, whose nonces are counted.

use zeroize::Zeroizing;

use crate::cipher::{Aead, Cipher, NONCE};
use crate::key::Key;

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

/// The cipher under the capsule's own key, and how its nonces begin.
pub(crate) fn derive(key: &Key, salt: &[u8; SALT]) -> (Box<dyn Aead>, [u8; PREFIX]) {
    let mut prefix = [0; PREFIX];
    key.derive(salt, &[NONCES], &mut prefix);
    (keyed(key, salt, SUBKEY), prefix)
}

/// The same in format 1, where nonces are in the header.
pub(crate) fn derive_1(key: &Key, salt: &[u8; SALT]) -> Box<dyn Aead> {
    keyed(key, salt, SUBKEY_1)
}

fn keyed(key: &Key, salt: &[u8; SALT], label: &[u8]) -> Box<dyn Aead> {
    let cipher: Cipher = key.cipher();
    let mut bytes = Zeroizing::new([0; 32]);
    let subkey = &mut bytes[..cipher.key_len()];
    key.derive(salt, &[label, &[cipher.code()]], subkey);
    cipher.keyed(subkey)
}

/// Says, with its salt, which key a capsule is for. The tags of AES-GCM do not: one can be right under two keys.
pub(crate) fn key_check(key: &Key, salt: &[u8; SALT]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    key.derive(salt, &[KEY_CHECK], &mut check);
    check
}

/// Authenticates a header, whose bytes before this one are `head`.
pub(crate) fn header_tag(key: &Key, salt: &[u8; SALT], head: &[u8]) -> [u8; CHECK] {
    let mut tag = [0; CHECK];
    key.derive(salt, &[HEADER, head], &mut tag);
    tag
}

/// Whether they are the same, in a time that does not tell where they differ.
pub(crate) fn same(one: &[u8; CHECK], two: &[u8; CHECK]) -> bool {
    let differs = one.iter().zip(two).fold(0, |differs, (a, b)| std::hint::black_box(differs | (a ^ b)));
    differs == 0
}
