//! Sealing: bytes to a capsule.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::chunks::Chunks;
use crate::error::SealError;
use crate::header::{Header, Stamp};
use crate::key::{Key, fill_random};
use crate::layout::{self, CHUNK_LOG2};
use crate::open::Opened;
use crate::prepared::Prepared;
use crate::subkey::SALT;

#[cfg(test)]
mod tests;

/// Seals `plain` and returns the capsule.
///
/// # Errors
/// [`SealError`] if the stamp has a service or a text that cannot be written, `plain` is longer than
/// [`MAX_PLAIN`](crate::MAX_PLAIN), or there are no random bytes.
pub fn seal(key: &Key, stamp: &Stamp<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    seal_with_header(key, stamp, plain).map(|(capsule, _)| capsule)
}

/// The same into `capsule`, in place of what it holds: memory that it has is used again. With
/// [`max_sealed_len`](crate::max_sealed_len) of it, no more is taken.
///
/// # Errors
/// As [`seal`]; what `capsule` holds then is of no use.
pub fn seal_into(
    key: &Key,
    stamp: &Stamp<'_>,
    plain: &[u8],
    capsule: &mut Vec<u8>,
) -> Result<Header, SealError> {
    seal_once_into(key, stamp, plain, Once::draw()?, capsule)
}

pub(crate) fn seal_with_header(
    key: &Key,
    stamp: &Stamp<'_>,
    plain: &[u8],
) -> Result<(Vec<u8>, Header), SealError> {
    seal_new(key, stamp, plain, Once::draw()?)
}

/// Seals what was opened with another key: it says of itself what it said before, also when it was sealed first.
pub(crate) fn seal_as(key: &Key, opened: &Opened) -> Result<Vec<u8>, SealError> {
    seal_anew(key, opened, opened.header.sequence).map(|(capsule, _)| capsule)
}

/// The same under another number.
pub(crate) fn seal_anew(key: &Key, opened: &Opened, sequence: u64) -> Result<(Vec<u8>, Header), SealError> {
    let once = Once { created_unix_ms: opened.header.created_unix_ms, ..Once::draw()? };
    let stamp = Stamp { sequence, ..opened.header.stamp() };
    seal_new(key, &stamp, &opened.plain, once)
}

fn seal_new(key: &Key, stamp: &Stamp<'_>, plain: &[u8], once: Once) -> Result<(Vec<u8>, Header), SealError> {
    let mut capsule = Vec::new();
    let header = seal_once_into(key, stamp, plain, once, &mut capsule)?;
    Ok((capsule, header))
}

/// What is different each time; with it given, sealing is a function of its arguments.
#[derive(Clone)]
pub(crate) struct Once {
    pub(crate) salt: [u8; SALT],
    pub(crate) created_unix_ms: u64,
    pub(crate) chunk_log2: u8,
}

impl Once {
    pub(crate) fn draw() -> Result<Once, SealError> {
        let mut once = Once { salt: [0; SALT], created_unix_ms: unix_ms(), chunk_log2: CHUNK_LOG2 };
        fill_random(&mut once.salt).map_err(|source| SealError::Random { source })?;
        Ok(once)
    }
}

/// Never call this twice with one [`Once`] outside of tests: a nonce used again gives the plain text away.
pub(crate) fn seal_once_into(
    key: &Key,
    stamp: &Stamp<'_>,
    plain: &[u8],
    once: Once,
    capsule: &mut Vec<u8>,
) -> Result<Header, SealError> {
    let (header, chunks) = Prepared::once(key, once).begin(stamp, Some(plain.len() as u64))?;
    seal_by(&chunks, plain, capsule)?;
    Ok(header)
}

/// Seals all of a state behind its header.
pub(crate) fn seal_by(chunks: &Chunks, plain: &[u8], capsule: &mut Vec<u8>) -> Result<(), SealError> {
    let plain_len = plain.len() as u64;
    let too_large = || SealError::TooLarge { len: plain_len };
    let head = chunks.head().len();
    let len = usize::try_from(layout::sealed_len(plain_len, chunks.len()))
        .ok()
        .and_then(|body| body.checked_add(head))
        .ok_or_else(too_large)?;
    if capsule.capacity() < len {
        // One allocation, of zeroes, which the system often has at hand; the cipher writes straight into it.
        *capsule = vec![0; len];
    }
    capsule.resize(len, 0);
    let (front, body) = capsule.split_at_mut(head);
    front.copy_from_slice(chunks.head());
    // The cipher refuses nothing but a length.
    chunks.seal_all(plain, body).map_err(|_| too_large())
}

/// Milliseconds since 1970. A clock set before that is as good as none.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
