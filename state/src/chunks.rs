//! The chunks of one capsule: STREAM, after Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its
//! Nonce-Reuse Misuse-Resistance" (CRYPTO 2015).
//!
//! Each chunk is a message of its own. Its nonce says which one it is and whether it is the last, so none is taken for
//! another one or for the end; the whole header is its associated data, so none is taken for another file's.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use zeroize::Zeroizing;

use crate::cipher::{NONCE, Refused, TAG};
use crate::error::OpenError;
use crate::layout;
use crate::spread::{spread, threads};
use crate::subkey::{PREFIX, Stream};

/// How many chunks a thread takes at once.
const BATCH: usize = 4;

/// How far a chunk that is not in its place is looked for, either way.
const NEAR: u64 = 64;

/// Seals and opens the chunks of one capsule.
pub(crate) struct Chunks {
    stream: Stream,
    head: Vec<u8>,
    len: usize,
}

impl Chunks {
    /// Of the capsule with this header, in chunks of `len` bytes of state.
    pub(crate) fn new(stream: Stream, head: Vec<u8>, len: usize) -> Chunks {
        Chunks { stream, head, len }
    }

    /// How many bytes of state a chunk holds, but for the last.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// Seals one chunk into `sealed`, which is longer by the tag.
    pub(crate) fn seal(
        &self,
        index: u64,
        last: bool,
        plain: &[u8],
        sealed: &mut [u8],
    ) -> Result<(), Refused> {
        let (body, tag) = sealed.split_last_chunk_mut::<TAG>().ok_or(Refused)?;
        let nonce = self.nonce(index, last)?;
        *tag = self.stream.aead.seal(&nonce, &self.head, plain, body)?;
        Ok(())
    }

    /// Opens one chunk into `plain`, which is shorter by the tag.
    pub(crate) fn open(
        &self,
        index: u64,
        last: bool,
        sealed: &[u8],
        plain: &mut [u8],
    ) -> Result<(), Refused> {
        let (body, tag) = sealed.split_last_chunk::<TAG>().ok_or(Refused)?;
        self.stream.aead.open(&self.nonce(index, last)?, &self.head, body, tag, plain)
    }

    /// Seals a state into `sealed`, which is as long as its chunks. Large ones on several threads.
    pub(crate) fn seal_all(&self, plain: &[u8], sealed: &mut [u8]) -> Result<(), Refused> {
        if plain.is_empty() {
            return self.seal(0, true, plain, sealed);
        }
        let last = layout::chunks(plain.len() as u64, self.len) - 1;
        let refused = AtomicBool::new(false);
        let batches = plain.chunks(BATCH * self.len).zip(sealed.chunks_mut(BATCH * (self.len + TAG)));
        spread(batches.enumerate(), threads(plain.len()), |(batch, (plain, sealed))| {
            let chunks = plain.chunks(self.len).zip(sealed.chunks_mut(self.len + TAG));
            for (index, (plain, sealed)) in ((batch * BATCH) as u64..).zip(chunks) {
                if self.seal(index, index == last, plain, sealed).is_err() {
                    refused.store(true, Ordering::Relaxed);
                }
            }
        });
        if refused.into_inner() { Err(Refused) } else { Ok(()) }
    }

    /// Opens all chunks into `plain`, which is as long as the state. Large ones on several threads.
    ///
    /// `declared`: the header says how long the state is. What `plain` holds after an error is of no use, and not authentic.
    pub(crate) fn open_all(&self, sealed: &[u8], plain: &mut [u8], declared: bool) -> Result<(), OpenError> {
        let full = self.len + TAG;
        let last = layout::chunks(plain.len() as u64, self.len) - 1;
        // The first one that is wrong is named. Batches are given out in order, and each that was is gone through.
        let wrong = AtomicU64::new(u64::MAX);
        if plain.is_empty() {
            self.open(0, true, sealed, plain).unwrap_or_else(|_| wrong.store(0, Ordering::Relaxed));
        } else {
            let batches = sealed.chunks(BATCH * full).zip(plain.chunks_mut(BATCH * self.len));
            spread(batches.enumerate(), threads(sealed.len()), |(batch, (sealed, plain))| {
                if wrong.load(Ordering::Relaxed) < u64::MAX {
                    return;
                }
                let chunks = sealed.chunks(full).zip(plain.chunks_mut(self.len));
                for (index, (sealed, plain)) in ((batch * BATCH) as u64..).zip(chunks) {
                    if self.open(index, index == last, sealed, plain).is_err() {
                        wrong.fetch_min(index, Ordering::Relaxed);
                        break;
                    }
                }
            });
        }
        let wrong = wrong.into_inner();
        if wrong == u64::MAX {
            return Ok(());
        }
        let total = (self.head.len() + sealed.len()) as u64;
        let at = usize::try_from(wrong).unwrap_or(usize::MAX).saturating_mul(full);
        let (_, rest) = sealed.split_at_checked(at).ok_or(OpenError::Damaged { chunk: wrong })?;
        let chunk = &rest[..rest.len().min(full)];
        let (after, is_end) = ((rest.len() - chunk.len()) as u64, wrong == last);
        // Of a length that is not known, chunks may be missing.
        let count = if declared { last + 1 } else { u64::MAX };
        Err(match self.what_is(wrong, is_end, count, chunk) {
            // Where the header says how long the state is, the end is where it has to be.
            Found::NotTheEnd if !declared => {
                OpenError::Truncated { got: total, expected: total + TAG as u64 + 1 }
            }
            Found::TheEnd if !declared => OpenError::Trailing { extra: after },
            found => found.error(wrong),
        })
    }

    /// Looks what a chunk is, of so many, that is not authentic as the one at `index`: on the way to an error, so it may take
    /// its time.
    pub(crate) fn what_is(&self, index: u64, last: bool, count: u64, sealed: &[u8]) -> Found {
        let mut plain = Zeroizing::new(vec![0; sealed.len().saturating_sub(TAG)]);
        let mut is = |index, last| self.open(index, last, sealed, &mut plain).is_ok();
        if is(index, !last) {
            return if last { Found::NotTheEnd } else { Found::TheEnd };
        }
        let near = index.saturating_sub(NEAR)..index.saturating_add(NEAR + 1).min(count);
        let other = near.filter(|other| *other != index).find(|other| is(*other, false) || is(*other, true));
        other.map_or(Found::Nothing, Found::Chunk)
    }

    /// `prefix | index as u32, big-endian | 1 for the last chunk`: as `StreamBE32` of RustCrypto has it.
    fn nonce(&self, index: u64, last: bool) -> Result<[u8; NONCE], Refused> {
        let index = u32::try_from(index).map_err(|_| Refused)?;
        let mut nonce = [0; NONCE];
        nonce[..PREFIX].copy_from_slice(&self.stream.prefix);
        nonce[PREFIX..NONCE - 1].copy_from_slice(&index.to_be_bytes());
        nonce[NONCE - 1] = u8::from(last);
        Ok(nonce)
    }
}

/// What a chunk is that does not belong where it is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// It belongs there, and the state goes on behind it.
    NotTheEnd,
    /// It belongs there, and the state ends with it.
    TheEnd,
    /// It belongs there.
    Chunk(u64),
    /// No chunk of this capsule, as far as was looked.
    Nothing,
}

impl Found {
    pub(crate) fn error(self, chunk: u64) -> OpenError {
        match self {
            Found::Chunk(belongs) => OpenError::Misplaced { chunk, belongs },
            _ => OpenError::Damaged { chunk },
        }
    }
}

/// Reads into `buffer` from `filled` on, until it is full or the reader ends. How much is in it then.
pub(crate) fn fill(from: &mut impl io::Read, buffer: &mut [u8], mut filled: usize) -> io::Result<usize> {
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
