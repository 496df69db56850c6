//! Sealing: bytes to a capsule.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::chunks::Chunks;
use crate::error::SealError;
use crate::header::{FORMAT, Header, Stamp, encode};
use crate::key::{Key, fill_random};
use crate::layout::{self, CHUNK_LOG2};
use crate::name;
use crate::open::Opened;
use crate::subkey::{SALT, Subkeys};

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
    let plain_len = plain.len() as u64;
    let (header, chunks) = begin(key, stamp, Some(plain_len), once)?;
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
    chunks.seal_all(plain, body).map_err(|_| too_large())?;
    Ok(header)
}

/// The header of a capsule whose state is `declared` long, or of a length that nobody knows yet, and who seals its chunks.
pub(crate) fn begin(
    key: &Key,
    stamp: &Stamp<'_>,
    declared: Option<u64>,
    once: Once,
) -> Result<(Header, Chunks), SealError> {
    if !name::is_service(stamp.service) {
        return Err(SealError::Service { service: stamp.service.to_owned() });
    }
    for (field, text) in [
        ("plugin's name", stamp.plugin),
        ("plugin version", stamp.plugin_version),
        ("content type", stamp.content_type),
    ] {
        if !name::is_text(text) {
            return Err(SealError::Text { field, text: text.to_owned() });
        }
    }
    let chunk_len = layout::chunk_len(once.chunk_log2).expect("ours, or a test's that takes care");
    if let Some(len) = declared.filter(|len| !layout::is_countable(*len, chunk_len)) {
        return Err(SealError::TooLarge { len });
    }
    let header = Header {
        format: FORMAT,
        service: stamp.service.to_owned(),
        plugin: stamp.plugin.to_owned(),
        plugin_version: stamp.plugin_version.to_owned(),
        schema: stamp.schema,
        sequence: stamp.sequence,
        generation: stamp.generation,
        created_unix_ms: once.created_unix_ms,
        key_id: key.id(),
        cipher: key.cipher(),
        plain_len: declared.unwrap_or(0),
        content_type: stamp.content_type.to_owned(),
    };
    let subkeys = Subkeys::new(key, &once.salt);
    let mut head = encode(&header, &once.salt, &subkeys.key_check(), once.chunk_log2, declared);
    let tag = subkeys.header_tag(&head);
    head.extend_from_slice(&tag);
    Ok((header, Chunks::new(&subkeys, head, chunk_len)))
}

/// Milliseconds since 1970. A clock set before that is as good as none.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
