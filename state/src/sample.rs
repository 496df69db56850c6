//! Capsules for tests: everything fixed, in chunks that are as small as chunks get.

use crate::header::Stamp;
use crate::key::Key;
use crate::seal::{Once, seal_once_into};
use crate::sealer::Sealer;

pub(crate) const STAMP: Stamp<'_> = Stamp {
    service: "echo",
    plugin: "echo",
    plugin_version: "1.0.0",
    schema: 1,
    sequence: 7,
    generation: 2,
    content_type: "application/json",
};

/// The length of a header with this stamp.
pub(crate) const HEAD: usize = 155;

/// A chunk of 64 bytes, and its tag.
pub(crate) const FULL: usize = 80;

/// The bytes 00, 01, … as long as is asked for.
pub(crate) fn key(len: u8) -> Key {
    Key::new(&(0..len).collect::<Vec<_>>()).unwrap()
}

/// The smallest chunks, and a salt that `salt` decides.
pub(crate) fn small(salt: u8) -> Once {
    let salt = std::array::from_fn(|i| salt.wrapping_add(u8::try_from(i).unwrap()));
    Once { salt, created_unix_ms: 1_700_000_000_000, chunk_log2: 6 }
}

/// Bytes of a state of which no two chunks are alike.
pub(crate) fn state(len: usize) -> Vec<u8> {
    (0..len).map(|i| u8::try_from((i * 7 + i / 64) % 251).unwrap()).collect()
}

/// Sealed at once, its length known.
pub(crate) fn sealed(key: &Key, stamp: &Stamp<'_>, plain: &[u8], once: Once) -> Vec<u8> {
    let mut capsule = Vec::new();
    seal_once_into(key, stamp, plain, once, &mut capsule).unwrap();
    capsule
}

/// Sealed as a stream, its length not known.
pub(crate) fn streamed(key: &Key, stamp: &Stamp<'_>, plain: &[u8], once: Once) -> Vec<u8> {
    let mut sealer = Sealer::once(key, stamp, None, Vec::new(), once).unwrap();
    sealer.push(plain).unwrap();
    sealer.finish().unwrap().0
}

/// The capsule with two chunks exchanged.
pub(crate) fn swapped(capsule: &[u8], one: usize, two: usize) -> Vec<u8> {
    let mut order: Vec<usize> = (0..capsule[HEAD..].len().div_ceil(FULL)).collect();
    order.swap(one, two);
    ordered(capsule, &order)
}

/// The capsule with these of its chunks.
pub(crate) fn ordered(capsule: &[u8], order: &[usize]) -> Vec<u8> {
    let chunks: Vec<&[u8]> = capsule[HEAD..].chunks(FULL).collect();
    let mut out = capsule[..HEAD].to_vec();
    order.iter().for_each(|chunk| out.extend_from_slice(chunks[*chunk]));
    out
}
