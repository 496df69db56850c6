//! Opening while the capsule is still being read.

use std::fmt;
use std::io::{self, Read};

use zeroize::Zeroizing;

use crate::chunks::{Chunks, Found, fill};
use crate::cipher::TAG;
use crate::error::OpenError;
use crate::header::{Frame, Header, MAGIC, Stamp};
use crate::key::{Key, KeyId};
use crate::layout;
use crate::open::{Message, Unlocked, unlock};

#[cfg(test)]
mod tests;

/// A reader that opens a capsule chunk by chunk, and gives each when it is authentic.
///
/// **Plain text is given out before the end of the state was seen.** What came is authentic and is the state from its
/// start, but a capsule that turns out to be truncated or damaged further on ends in an error only there: use nothing of
/// it for good before [`finish`](Self::finish) has returned. [`open`](crate::open()) gives nothing out before.
///
/// It holds two chunks, whatever the state's length, and takes no memory after it was made. A capsule of format 1 is one
/// message, and is held whole.
pub struct Opener<R> {
    from: R,
    frame: Frame,
    rest: Rest,
    /// What was read and not opened yet: `filled` of it.
    sealed: Vec<u8>,
    filled: usize,
    /// The chunk that was opened last, and how much of it [`Read`] has given out.
    plain: Zeroizing<Vec<u8>>,
    given: usize,
    /// How many bytes of the capsule were read.
    read: u64,
    opened: u64,
    index: u64,
    state: State,
}

enum Rest {
    Message { message: Message, head: Vec<u8> },
    Chunks { chunks: Chunks, declared: Option<u64> },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    AtTheEnd,
    Failed,
}

impl<R: Read> Opener<R> {
    /// Reads the header of a capsule that must be the state of `service`.
    ///
    /// # Errors
    /// As [`open`](crate::open()), for what can be told by the header.
    pub fn new(key: &Key, service: &str, from: R) -> Result<Opener<R>, OpenError> {
        Opener::with(|_| key, service, from, None)
    }

    /// The same with the key of this id, of a capsule that is `total` bytes long, where that is known.
    pub(crate) fn with<'k>(
        key: impl FnOnce(KeyId) -> &'k Key,
        service: &str,
        mut from: R,
        total: Option<u64>,
    ) -> Result<Opener<R>, OpenError> {
        let (mut frame, head) = read_frame(&mut from)?;
        if let Some(total) = total {
            frame.fit(total)?;
        }
        let read = head.len() as u64;
        let (rest, chunk) = match unlock(key(frame.header.key_id), service, &frame, &head)? {
            Unlocked::Message(message) => (Rest::Message { message, head }, 0),
            Unlocked::Chunks { chunks, declared } => {
                let len = chunks.len();
                (Rest::Chunks { chunks, declared }, len)
            }
        };
        Ok(Opener {
            from,
            frame,
            rest,
            // One byte more: a chunk is the last if nothing follows.
            sealed: vec![0; chunk + TAG + 1],
            filled: 0,
            plain: Zeroizing::new(Vec::with_capacity(chunk)),
            given: 0,
            read,
            opened: 0,
            index: 0,
            state: State::Open,
        })
    }

    /// What the sealer was told. It is authentic; in format 1 it is so when the state was read.
    pub fn stamp(&self) -> Stamp<'_> {
        self.frame.header.stamp()
    }

    /// What the capsule says of itself, which is authentic as far as [`stamp`](Self::stamp) is. The length of a state that was not known
    /// when it was sealed is 0, unless it is opened from a file.
    pub fn header(&self) -> &Header {
        &self.frame.header
    }

    /// How long the state is, if the capsule says so ahead of it.
    pub fn declared_len(&self) -> Option<u64> {
        match self.rest {
            Rest::Message { .. } => Some(self.frame.header.plain_len),
            Rest::Chunks { declared, .. } => declared,
        }
    }

    /// Opens the next chunk; `None` when the state was read to its end, and all of it is authentic.
    ///
    /// # Errors
    /// [`OpenError`] names the way in which the capsule is wrong. Each later call fails too.
    pub fn next_chunk(&mut self) -> Result<Option<&[u8]>, OpenError> {
        match self.state {
            State::Failed => {
                return Err(OpenError::Read { source: io::Error::other("the capsule was refused before") });
            }
            State::AtTheEnd => return Ok(None),
            State::Open => {}
        }
        // Until it is seen to be well.
        self.state = State::Failed;
        (self.given, self.state) = (0, self.advance()?);
        self.opened += self.plain.len() as u64;
        if self.plain.is_empty() { Ok(None) } else { Ok(Some(&self.plain)) }
    }

    /// Reads on to the end of the state, if that is still to be done. The header is that of a whole and authentic capsule.
    ///
    /// # Errors
    /// As [`next_chunk`](Self::next_chunk).
    pub fn finish(mut self) -> Result<Header, OpenError> {
        while self.next_chunk()?.is_some() {}
        self.frame.header.plain_len = self.opened;
        Ok(self.frame.header)
    }

    /// Puts the next chunk into `plain`.
    fn advance(&mut self) -> Result<State, OpenError> {
        match &self.rest {
            Rest::Message { message, head } => {
                let len = self.frame.header.plain_len.saturating_add(TAG as u64);
                // It grows by what is read: the header may promise anything. One byte more, to see that none follows.
                self.sealed.clear();
                let there = (&mut self.from).take(len.saturating_add(1)).read_to_end(&mut self.sealed);
                let there = there.map_err(|source| OpenError::Read { source })? as u64;
                if there < len {
                    let expected = self.read.saturating_add(len);
                    return Err(OpenError::Truncated { got: self.read + there, expected });
                }
                if there > len {
                    return Err(OpenError::Trailing { extra: there - len });
                }
                self.plain.resize(self.sealed.len() - TAG, 0);
                message.open(head, &self.sealed, &mut self.plain)?;
                Ok(State::AtTheEnd)
            }
            Rest::Chunks { .. } => self.advance_chunk(),
        }
    }

    fn advance_chunk(&mut self) -> Result<State, OpenError> {
        let Rest::Chunks { chunks, declared } = &self.rest else { return Ok(State::Failed) };
        let full = chunks.len() + TAG;
        let filled = fill(&mut self.from, &mut self.sealed, self.filled)
            .map_err(|source| OpenError::Read { source })?;
        self.read += (filled - self.filled) as u64;
        self.filled = filled;
        let at_end = filled <= full;
        let sealed = &self.sealed[..filled.min(full)];

        // Where the header says how long the state is, the end is where it has to be.
        let left = declared.map(|declared| declared.saturating_sub(self.opened));
        let last = left.map_or(at_end, |left| left <= chunks.len() as u64);
        let least = match left {
            Some(left) if last => left + TAG as u64,
            Some(_) => full as u64 + 1,
            None => TAG as u64 + u64::from(self.index > 0),
        };
        let (got, there) = (self.read, filled as u64);
        if there < least {
            let head = chunks.head().len() as u64;
            let whole =
                declared.map(|declared| head.saturating_add(layout::sealed_len(declared, chunks.len())));
            return Err(OpenError::Truncated { got, expected: whole.unwrap_or(got - there + least) });
        }
        if left.is_some() && last && there > least {
            return Err(OpenError::Trailing { extra: there - least });
        }
        self.plain.resize(sealed.len() - TAG, 0);
        if chunks.open(self.index, last, sealed, &mut self.plain).is_err() {
            self.plain.clear();
            let count = declared.map_or(u64::MAX, |declared| layout::chunks(declared, chunks.len()));
            return Err(match chunks.what_is(self.index, last, count, sealed) {
                Found::NotTheEnd if declared.is_none() => {
                    OpenError::Truncated { got, expected: got + TAG as u64 + 1 }
                }
                Found::TheEnd if declared.is_none() => {
                    OpenError::Trailing { extra: there - sealed.len() as u64 }
                }
                found => found.error(self.index),
            });
        }
        self.index += 1;
        // What was read beyond the chunk begins the next one.
        self.filled = usize::from(!at_end);
        self.sealed[0] = self.sealed[full];
        Ok(if last { State::AtTheEnd } else { State::Open })
    }
}

/// The state's bytes, as [`next_chunk`](Opener::next_chunk) opens them; the end is the authentic end.
impl<R: Read> Read for Opener<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.given == self.plain.len() || self.state == State::Failed {
            let next = self.next_chunk().map_err(|error| match error {
                OpenError::Read { source } => source,
                error => io::Error::new(io::ErrorKind::InvalidData, error),
            })?;
            if next.is_none() {
                self.plain.clear();
                self.given = 0;
                return Ok(0);
            }
        }
        let rest = &self.plain[self.given..];
        let len = rest.len().min(buffer.len());
        buffer[..len].copy_from_slice(&rest[..len]);
        self.given += len;
        Ok(len)
    }
}

impl<R> fmt::Debug for Opener<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By hand: the derived one would print the state.
        f.debug_struct("Opener").field("header", &self.frame.header).finish_non_exhaustive()
    }
}

/// Reads a header and not one byte more: each field that is missing says how much it takes.
fn read_frame(from: &mut impl Read) -> Result<(Frame, Vec<u8>), OpenError> {
    let mut head = vec![0; MAGIC.len()];
    let mut filled = 0;
    loop {
        filled = fill(from, &mut head, filled).map_err(|source| OpenError::Read { source })?;
        let whole = filled == head.len();
        match Frame::begin(&head[..filled], filled as u64) {
            // It asks for a few hundred bytes at most.
            Err(OpenError::Truncated { expected, .. }) if whole && expected > filled as u64 => {
                head.resize(usize::try_from(expected).unwrap_or(filled + 1), 0);
            }
            frame => return frame.map(|frame| (frame, head)),
        }
    }
}
