//! Opening: a capsule to bytes.

use std::fmt;

use zeroize::{Zeroize as _, Zeroizing};

use crate::chunks::Chunks;
use crate::cipher::{Aead, NONCE, TAG};
use crate::error::OpenError;
use crate::header::{Body, Frame, Header};
use crate::key::Key;
use crate::subkey::{self, Subkeys};

#[cfg(test)]
mod tests;

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

/// Opens a capsule that must be the state of `service`.
///
/// # Errors
/// [`OpenError`] names the way in which it is wrong. Nothing of a state is given out that is not authentic to its end.
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

/// Reads what a capsule says of itself, without a key, and so **without knowing whether it is true**: only
/// [`open`] finds a forged header. Good for showing; decide nothing by it.
///
/// # Errors
/// [`OpenError`] if it is no capsule, or not exactly as long as it says.
pub fn read_header(sealed: &[u8]) -> Result<Header, OpenError> {
    Frame::parse(sealed, sealed.len() as u64).map(|(frame, _)| frame.header)
}

fn open_over(
    key: &Key,
    service: &str,
    sealed: &[u8],
    plain: &mut Zeroizing<Vec<u8>>,
) -> Result<Header, OpenError> {
    let (frame, head) = Frame::parse(sealed, sealed.len() as u64)?;
    let (head, body) = sealed.split_at(head);
    let lock = unlock(key, service, &frame, head)?;
    let len = frame.header.plain_len;
    match lock {
        Unlocked::Message(message) => message.open(head, body, room_for(len, body, plain)?)?,
        Unlocked::Chunks { chunks, declared } => opened_by(&chunks, len, declared.is_some(), body, plain)?,
    }
    Ok(frame.header)
}

/// Opens all of a state of `len` bytes that follows a header of format 2; `plain` is empty after an error.
pub(crate) fn opened_by(
    chunks: &Chunks,
    len: u64,
    declared: bool,
    body: &[u8],
    plain: &mut Zeroizing<Vec<u8>>,
) -> Result<(), OpenError> {
    room_for(len, body, plain)
        .and_then(|plain| chunks.open_all(body, plain, declared))
        .inspect_err(|_| plain.zeroize())
}

/// Room for a state of so many bytes: no longer than what it is decrypted from, which is in memory already. The header has no say in it.
fn room_for<'p>(len: u64, body: &[u8], plain: &'p mut Zeroizing<Vec<u8>>) -> Result<&'p mut [u8], OpenError> {
    let len = usize::try_from(len).ok().filter(|len| *len <= body.len());
    let len = len.ok_or(OpenError::Damaged { chunk: 0 })?;
    if plain.capacity() < len {
        *plain = Zeroizing::new(vec![0; len]);
    }
    plain.resize(len, 0);
    Ok(plain)
}

/// Who can open what follows a header.
pub(crate) enum Unlocked {
    /// Of format 1. Its header is not known to be authentic before the message is open.
    Message(Message),
    /// Of format 2. Its header is authentic.
    Chunks { chunks: Chunks, declared: Option<u64> },
}

/// The one message of a capsule of format 1.
pub(crate) struct Message {
    aead: Box<dyn Aead>,
    nonce: [u8; NONCE],
}

impl Message {
    /// Opens the message and its tag into `plain`, which is shorter by the tag.
    pub(crate) fn open(&self, head: &[u8], sealed: &[u8], plain: &mut [u8]) -> Result<(), OpenError> {
        let damaged = OpenError::Damaged { chunk: 0 };
        let Some((body, tag)) = sealed.split_last_chunk::<TAG>() else { return Err(damaged) };
        self.aead.open(&self.nonce, head, body, tag, plain).map_err(|_| damaged)
    }
}

/// Holds a header against the key, and against the service whose state is asked for.
pub(crate) fn unlock(key: &Key, service: &str, frame: &Frame, head: &[u8]) -> Result<Unlocked, OpenError> {
    let header = &frame.header;
    let of_service = || match header.service == service {
        true => Ok(()),
        false => Err(OpenError::OtherService { found: header.service.clone(), asked: service.to_owned() }),
    };
    let same_id = header.key_id == key.id();
    let wrong_key = || Err(OpenError::WrongKey { sealed_with: header.key_id, ours: key.id() });
    // The length of the key decides the cipher, and the key is the right one: nobody writes another.
    let of_cipher = || match header.cipher == key.cipher() {
        true => Ok(()),
        false => Err(OpenError::BadHeader { problem: "its cipher is not the one of its key" }),
    };
    let subkeys = Subkeys::new(key, &frame.salt);
    match frame.body {
        Body::Message { nonce } => {
            of_service()?;
            if !same_id {
                return wrong_key();
            }
            of_cipher()?;
            Ok(Unlocked::Message(Message { aead: subkeys.message_1(), nonce }))
        }
        Body::Chunks { chunk_len, declared, key_check, tag } => {
            let checked = subkey::same(&key_check, &subkeys.key_check());
            match (same_id, checked) {
                (false, false) => return wrong_key(),
                (true, true) => {}
                // One of them speaks for our key: what contradicts it was changed.
                _ => return Err(OpenError::HeaderChanged),
            }
            of_cipher()?;
            let before = &head[..head.len() - tag.len()];
            if !subkey::same(&tag, &subkeys.header_tag(before)) {
                return Err(OpenError::HeaderChanged);
            }
            of_service()?;
            let chunks = Chunks::new(subkeys.stream(), head.to_vec(), chunk_len);
            Ok(Unlocked::Chunks { chunks, declared })
        }
    }
}
