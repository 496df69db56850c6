//! Sealing while the state is still being written.

use std::fmt;
use std::io::{self, Write};

use zeroize::Zeroizing;

use crate::chunks::Chunks;
use crate::cipher::{Refused, TAG};
use crate::error::SealError;
use crate::header::{Header, Stamp};
use crate::key::Key;
use crate::prepared::Prepared;
use crate::seal::Once;

#[cfg(test)]
mod tests;

/// A writer that seals what is written to it and writes the capsule to another one, chunk by chunk.
///
/// It holds one chunk in the clear and one sealed, whatever the state's length, and takes no memory after it was made.
/// A capsule is whole when [`finish`](Self::finish) has said so: what was written until then, or what a sealer that was
/// dropped has left, is refused as truncated.
pub struct Sealer<W> {
    to: W,
    header: Header,
    chunks: Chunks,
    /// How long the state is to be, where that is known.
    declared: Option<u64>,
    /// The chunk that is being filled. A full one waits for what follows: whether it is the last is in its seal.
    plain: Zeroizing<Vec<u8>>,
    sealed: Vec<u8>,
    index: u64,
    taken: u64,
    failed: bool,
}

impl<W: Write> Sealer<W> {
    /// Begins a capsule and writes its header.
    ///
    /// `len` is the state's length in bytes, where it is known: then the capsule says it from the start, and a reader can
    /// tell a truncation anywhere before it decrypts anything.
    ///
    /// # Errors
    /// As [`seal`](crate::seal()), and [`SealError::Write`] if the header cannot be written.
    pub fn new(key: &Key, stamp: &Stamp<'_>, len: Option<u64>, to: W) -> Result<Sealer<W>, SealError> {
        Sealer::once(key, stamp, len, to, Once::draw()?)
    }

    pub(crate) fn once(
        key: &Key,
        stamp: &Stamp<'_>,
        declared: Option<u64>,
        mut to: W,
        once: Once,
    ) -> Result<Sealer<W>, SealError> {
        let (header, chunks) = Prepared::once(key, once).begin(stamp, declared)?;
        to.write_all(chunks.head()).map_err(|source| SealError::Write { source })?;
        let plain = Zeroizing::new(Vec::with_capacity(chunks.len()));
        let sealed = vec![0; chunks.len() + TAG];
        Ok(Sealer { to, header, chunks, declared, plain, sealed, index: 0, taken: 0, failed: false })
    }

    /// Seals `plain` as the next part of the state.
    ///
    /// # Errors
    /// [`SealError::Length`] if the state becomes longer than was said, [`SealError::TooLarge`] if it has more chunks than
    /// can be counted, [`SealError::Write`] if the capsule cannot be written. The capsule is of no use then, and each
    /// later call fails.
    pub fn push(&mut self, mut plain: &[u8]) -> Result<(), SealError> {
        self.usable()?;
        let got = self.taken.saturating_add(plain.len() as u64);
        if let Some(declared) = self.declared.filter(|declared| got > *declared) {
            self.failed = true;
            return Err(SealError::Length { declared, got });
        }
        self.taken = got;
        let full = self.chunks.len();
        while !plain.is_empty() {
            if self.plain.len() == full {
                self.seal_held(false)?;
            }
            if self.plain.is_empty() && plain.len() > full {
                // What fills a chunk by itself, and is followed, need not be copied.
                let (chunk, rest) = plain.split_at(full);
                self.seal_chunk(chunk, false)?;
                plain = rest;
                continue;
            }
            let (part, rest) = plain.split_at(plain.len().min(full - self.plain.len()));
            self.plain.extend_from_slice(part);
            plain = rest;
        }
        Ok(())
    }

    /// Seals the last chunk, and so the end. Returns the writer, flushed, and the header.
    ///
    /// # Errors
    /// As [`push`](Self::push); [`SealError::Length`] also if the state is shorter than was said.
    pub fn finish(mut self) -> Result<(W, Header), SealError> {
        self.usable()?;
        if let Some(declared) = self.declared.filter(|declared| self.taken != *declared) {
            return Err(SealError::Length { declared, got: self.taken });
        }
        self.seal_held(true)?;
        self.to.flush().map_err(|source| SealError::Write { source })?;
        self.header.plain_len = self.taken;
        Ok((self.to, self.header))
    }

    fn seal_held(&mut self, last: bool) -> Result<(), SealError> {
        let plain = std::mem::take(&mut self.plain);
        let sealed = self.seal_chunk(&plain, last);
        self.plain = plain;
        self.plain.clear();
        sealed
    }

    fn seal_chunk(&mut self, plain: &[u8], last: bool) -> Result<(), SealError> {
        let sealed = &mut self.sealed[..plain.len() + TAG];
        let written = match self.chunks.seal(self.index, last, plain, sealed) {
            Err(Refused) => Err(SealError::TooLarge { len: self.taken }),
            Ok(()) => self.to.write_all(sealed).map_err(|source| SealError::Write { source }),
        };
        self.failed = written.is_err();
        self.index += 1;
        written
    }

    fn usable(&self) -> Result<(), SealError> {
        match self.failed {
            true => Err(SealError::Write { source: io::Error::other("it failed before") }),
            false => Ok(()),
        }
    }
}

/// As [`push`](Sealer::push). To flush it seals nothing: a chunk ends where it is full.
impl<W: Write> Write for Sealer<W> {
    fn write(&mut self, plain: &[u8]) -> io::Result<usize> {
        self.push(plain).map_err(|error| match error {
            SealError::Write { source } => source,
            error => io::Error::new(io::ErrorKind::InvalidInput, error),
        })?;
        Ok(plain.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

impl<W> fmt::Debug for Sealer<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By hand: the derived one would print the state.
        f.debug_struct("Sealer")
            .field("header", &self.header)
            .field("taken", &self.taken)
            .finish_non_exhaustive()
    }
}
