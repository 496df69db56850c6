//! Sealing and opening: bytes to a capsule, and back.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use zeroize::{Zeroize as _, Zeroizing};

use crate::cipher::{NONCE, SALT, Subkey, TAG};
use crate::error::{OpenError, SealError};
use crate::header::{FORMAT, Frame, Header, MAX_HEADER, Stamp};
use crate::key::{Key, fill_random};
use crate::name;

#[cfg(test)]
mod tests;

/// The longest state that can be sealed: 64 GiB less 32 bytes.
///
/// In format 1 the state is one message, and this is where AES-GCM's counter of 32 bits ends, for any
/// implementation. Capsule and state are both in memory whole; that is the limit met first.
pub const MAX_PLAIN: u64 = aes_gcm::P_MAX;

/// A capsule is longer than its state by so many bytes, at most.
pub const MAX_OVERHEAD: usize = MAX_HEADER + TAG;

/// A capsule that was opened: authentic in every byte.
#[non_exhaustive]
pub struct Opened {
    /// What the capsule says of itself.
    pub header: Header,
    /// The state, wiped when dropped.
    pub plain: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for Opened {
    // By hand: the derived one would print the state.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opened").field("header", &self.header).finish_non_exhaustive()
    }
}

/// Seals `plain` and returns the capsule.
///
/// # Errors
/// [`SealError`] if the stamp has a service or version that cannot be written, `plain` is longer than
/// [`MAX_PLAIN`], or there are no random bytes.
pub fn seal(key: &Key, stamp: &Stamp<'_>, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    seal_with_header(key, stamp, plain).map(|(capsule, _)| capsule)
}

/// The same into `capsule`, in place of what it holds: memory that it has is used again.
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

/// Opens a capsule that must be the state of `service`.
///
/// # Errors
/// [`OpenError`] names the way in which it is wrong; [`OpenError::Damaged`] where only the tag can tell.
pub fn open(key: &Key, service: &str, sealed: &[u8]) -> Result<Opened, OpenError> {
    let mut plain = Zeroizing::default();
    let header = open_into(key, service, sealed, &mut plain)?;
    Ok(Opened { header, plain })
}

/// The same into `plain`, in place of what it holds: memory that it has is used again.
///
/// # Errors
/// As [`open`]; `plain` is empty then.
pub fn open_into(
    key: &Key,
    service: &str,
    sealed: &[u8],
    plain: &mut Zeroizing<Vec<u8>>,
) -> Result<Header, OpenError> {
    open_over(key, service, sealed, plain).inspect_err(|_| plain.zeroize())
}

fn open_over(
    key: &Key,
    service: &str,
    sealed: &[u8],
    plain: &mut Zeroizing<Vec<u8>>,
) -> Result<Header, OpenError> {
    let (Frame { header, salt, nonce }, header_len) = Frame::parse(sealed, sealed.len() as u64)?;
    if header.service != service {
        return Err(OpenError::OtherService { found: header.service, asked: service.to_owned() });
    }
    if header.key_id != key.id() {
        return Err(OpenError::WrongKey { sealed_with: header.key_id, ours: key.id() });
    }
    // The id is derived from the key, and the length of the key decides the cipher: nobody writes another.
    if header.cipher != key.cipher() {
        return Err(OpenError::BadHeader { problem: "its cipher is not the one of its key" });
    }
    let (head, rest) = sealed.split_at(header_len);
    let (body, tag) = rest.split_last_chunk::<TAG>().ok_or(OpenError::Damaged)?;
    // As long as what it is decrypted from, which is in memory already: the header has no say in it.
    if plain.capacity() < body.len() {
        *plain = Zeroizing::new(vec![0; body.len()]);
    }
    plain.resize(body.len(), 0);
    let subkey = Subkey::derive(key, &salt);
    subkey.decrypt(&nonce, head, body, plain, tag).map_err(|_| OpenError::Damaged)?;
    Ok(header)
}

/// Reads what a capsule says of itself, without a key, and so **without knowing whether it is true**: only
/// [`open`] finds a forged header. Good for showing; decide nothing by it.
///
/// # Errors
/// [`OpenError`] if it is no capsule, or not exactly as long as it says.
pub fn read_header(sealed: &[u8]) -> Result<Header, OpenError> {
    Frame::parse(sealed, sealed.len() as u64).map(|(frame, _)| frame.header)
}

/// What is different each time; with it given, sealing is a function of its arguments.
pub(crate) struct Once {
    pub(crate) salt: [u8; SALT],
    pub(crate) nonce: [u8; NONCE],
    pub(crate) created_unix_ms: u64,
}

impl Once {
    fn draw() -> Result<Once, SealError> {
        let mut once = Once { salt: [0; SALT], nonce: [0; NONCE], created_unix_ms: unix_ms() };
        fill_random(&mut once.salt).map_err(|source| SealError::Random { source })?;
        fill_random(&mut once.nonce).map_err(|source| SealError::Random { source })?;
        Ok(once)
    }
}

pub(crate) fn seal_with_header(
    key: &Key,
    stamp: &Stamp<'_>,
    plain: &[u8],
) -> Result<(Vec<u8>, Header), SealError> {
    seal_once(key, stamp, plain, Once::draw()?)
}

/// Seals what was opened with another key: it says of itself what it said before, also when it was sealed first.
pub(crate) fn seal_as(key: &Key, opened: &Opened) -> Result<Vec<u8>, SealError> {
    let once = Once { created_unix_ms: opened.header.created_unix_ms, ..Once::draw()? };
    seal_once(key, &opened.header.stamp(), &opened.plain, once).map(|(capsule, _)| capsule)
}

/// Never call this twice with one [`Once`] outside of tests: a nonce used again gives the plain text away.
pub(crate) fn seal_once(
    key: &Key,
    stamp: &Stamp<'_>,
    plain: &[u8],
    once: Once,
) -> Result<(Vec<u8>, Header), SealError> {
    let mut capsule = Vec::new();
    let header = seal_once_into(key, stamp, plain, once, &mut capsule)?;
    Ok((capsule, header))
}

fn seal_once_into(
    key: &Key,
    stamp: &Stamp<'_>,
    plain: &[u8],
    once: Once,
    capsule: &mut Vec<u8>,
) -> Result<Header, SealError> {
    if !name::is_service(stamp.service) {
        return Err(SealError::Service { service: stamp.service.to_owned() });
    }
    if !name::is_version(stamp.plugin_version) {
        return Err(SealError::Version { version: stamp.plugin_version.to_owned() });
    }
    let plain_len = plain.len() as u64;
    let too_large = || SealError::TooLarge { len: plain_len };
    if plain_len > MAX_PLAIN {
        return Err(too_large());
    }
    let header = Header {
        format: FORMAT,
        service: stamp.service.to_owned(),
        plugin_version: stamp.plugin_version.to_owned(),
        schema: stamp.schema,
        sequence: stamp.sequence,
        generation: stamp.generation,
        created_unix_ms: once.created_unix_ms,
        key_id: key.id(),
        cipher: key.cipher(),
        plain_len,
    };
    let frame = Frame { header, salt: once.salt, nonce: once.nonce };
    let head = frame.encode();

    let len = head.len() + plain.len() + TAG;
    if capsule.capacity() < len {
        // One allocation, of zeroes, which the system often has at hand; the cipher writes straight into it.
        *capsule = vec![0; len];
    }
    capsule.resize(len, 0);
    let (front, rest) = capsule.split_at_mut(head.len());
    let (body, tag) = rest.split_at_mut(plain.len());
    front.copy_from_slice(&head);
    let subkey = Subkey::derive(key, &frame.salt);
    // The cipher refuses nothing but a length, which is checked above.
    tag.copy_from_slice(&subkey.encrypt(&frame.nonce, &head, plain, body).map_err(|_| too_large())?);
    Ok(frame.header)
}

/// Milliseconds since 1970. A clock set before that is as good as none.
pub(crate) fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
