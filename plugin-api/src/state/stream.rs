//! State on its way: a writer and a reader over what the host lends, which holds no more than a piece at a time.

use std::io;

use crate::Result;
use crate::abi::{Failed, In, Out, RawBuffer, RawReader};

/// Where state is written to. The host may take what was written at any time, so no state needs to be in its memory whole.
///
/// An `io::Write`, to be used without a buffer of one's own: each write is a copy into memory that is lent.
#[derive(Debug)]
pub struct StateWriter<'a> {
    buffer: &'a mut RawBuffer,
}

impl<'a> StateWriter<'a> {
    pub(crate) fn new(buffer: &'a mut RawBuffer) -> Self {
        Self { buffer }
    }

    pub(crate) fn of(out: Out<'a>) -> Self {
        Self { buffer: out.lent() }
    }

    #[cold]
    #[inline(never)]
    fn write_over_the_end(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = io::Write::write(self, bytes)?;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

impl io::Write for StateWriter<'_> {
    #[inline]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match self.buffer.write_some(bytes) {
            0 => Err(io::Error::other("the host takes no more of it")),
            count => Ok(count),
        }
    }

    /// Who serializes writes many small parts. They mostly have room, and are written without a call then.
    #[inline(always)]
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.buffer.write_within(bytes) { Ok(()) } else { self.write_over_the_end(bytes) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where state is read from, piece by piece as the host opens it.
///
/// An `io::BufRead`, to be used without a buffer of one's own.
#[derive(Debug)]
pub struct StateReader<'a> {
    source: In<'a>,
    read: u64,
}

impl<'a> StateReader<'a> {
    pub(crate) fn new(source: In<'a>) -> Self {
        Self { source, read: 0 }
    }

    /// How many bytes are left, where the host knows.
    #[must_use]
    pub fn remaining(&mut self) -> Option<u64> {
        self.raw().total().map(|total| total.saturating_sub(self.read))
    }

    /// All of the state, if it is there in one piece and not yet read: a parser of slices is faster than one of streams.
    /// Whoever uses it says so with `consume`.
    ///
    /// # Errors
    /// The host failed to read on.
    pub fn whole(&mut self) -> io::Result<Option<&[u8]>> {
        let Some(remaining) = self.remaining() else { return Ok(None) };
        let piece = self.raw().piece().map_err(failed)?;
        Ok((piece.len() as u64 == remaining).then_some(piece))
    }

    /// Whether everything was read.
    ///
    /// # Errors
    /// The host failed to read on.
    pub fn is_at_end(&mut self) -> Result<bool> {
        Ok(self.raw().piece().map_err(failed)?.is_empty())
    }

    fn raw(&mut self) -> &mut RawReader {
        self.source.raw()
    }
}

impl io::Read for StateReader<'_> {
    #[inline]
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let raw = self.source.raw();
        let piece = raw.piece().map_err(failed)?;
        let count = piece.len().min(into.len());
        into[..count].copy_from_slice(&piece[..count]);
        raw.consume(count);
        self.read += count as u64;
        Ok(count)
    }
}

impl io::BufRead for StateReader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.raw().piece().map_err(failed)
    }

    fn consume(&mut self, count: usize) {
        self.raw().consume(count);
        self.read += count as u64;
    }
}

#[cold]
fn failed(_: Failed) -> io::Error {
    io::Error::other("the host could not read on")
}
