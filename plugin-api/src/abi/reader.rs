//! Lent readers: who has the bytes brings them piece by piece, the reader takes them from there.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use abi_stable::StableAbi;

/// Bytes of the lender's, as their reader sees them: the piece that is there, and a function that brings the next.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawReader {
    data: *const u8,
    len: usize,
    /// Of all pieces; [`RawReader::UNKNOWN`] where the lender does not know.
    total: u64,
    owner: *mut (),
    /// Replaces the piece by the next one; an empty one is the end, also when asked again. False when the lender failed.
    next: extern "C" fn(&mut RawReader) -> bool,
}

/// The lender has failed to bring the next piece; why, it knows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failed;

impl RawReader {
    /// The total of a lender who does not know it.
    pub const UNKNOWN: u64 = u64::MAX;

    /// What is there and not yet consumed: of this piece, or else of the next. Empty at the end.
    #[inline]
    pub(crate) fn piece(&mut self) -> Result<&[u8], Failed> {
        if self.len == 0 && !(self.next)(self) {
            self.len = 0;
            return Err(Failed);
        }
        if self.len == 0 {
            return Ok(&[]);
        }
        // SAFETY: A4; `data` points at `len` bytes until `next` is called, which takes this borrow to do.
        Ok(unsafe { std::slice::from_raw_parts(self.data, self.len) })
    }

    /// Takes the first `count` bytes of the piece as read.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize) {
        let count = count.min(self.len);
        // SAFETY: A4; within the piece, or at its end.
        self.data = unsafe { self.data.add(count) };
        self.len -= count;
    }

    /// How much there was in all when it was lent, where the lender knew.
    pub(crate) fn total(&self) -> Option<u64> {
        (self.total != Self::UNKNOWN).then_some(self.total)
    }
}

impl std::fmt::Debug for RawReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawReader")
            .field("len", &self.len)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

/// A lent reader on its way to who reads it. Safe code passes it on; only the two ends look inside.
#[derive(Debug)]
pub struct In<'a>(&'a mut RawReader);

impl<'a> In<'a> {
    /// Passes on a reader that came across.
    #[must_use]
    pub fn of(raw: &'a mut RawReader) -> Self {
        Self(raw)
    }

    /// The reader, to hand across.
    ///
    /// # Safety
    /// It must stay where it is: exchanged with another one, each would read from the other's lender after that one's
    /// loan has ended.
    #[must_use]
    pub unsafe fn into_raw(self) -> &'a mut RawReader {
        self.0
    }

    pub(crate) fn raw(&mut self) -> &mut RawReader {
        self.0
    }
}

/// Bytes lent as a [`RawReader`].
#[derive(Debug)]
pub struct LentBytes<'a> {
    raw: RawReader,
    bytes: PhantomData<&'a [u8]>,
}

impl<'a> LentBytes<'a> {
    /// Lends `bytes` as one piece.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let raw = RawReader {
            data: bytes.as_ptr(),
            len: bytes.len(),
            total: bytes.len() as u64,
            owner: std::ptr::null_mut(),
            next: no_more,
        };
        Self { raw, bytes: PhantomData }
    }

    /// The reader, to pass on.
    pub fn source(&mut self) -> In<'_> {
        In(&mut self.raw)
    }
}

/// Called by the reader when it has read all there was.
extern "C" fn no_more(reader: &mut RawReader) -> bool {
    reader.len = 0;
    true
}

/// Pieces that are made while they are read, such as chunks that are opened one by one.
pub struct Pieces<'s> {
    piece: Vec<u8>,
    total: Option<u64>,
    source: &'s mut (dyn FnMut(&mut Vec<u8>) -> bool + 's),
    // No more is asked for after the end, or after a failure.
    ended: bool,
    failed: bool,
    panic: Option<Box<dyn Any + Send>>,
}

impl<'s> Pieces<'s> {
    /// Pieces that `source` writes into the empty vector that it is given, so many bytes in all where that is known. One
    /// that it leaves empty is the end. It answers false when it failed, and the reader hears no more than that.
    #[must_use]
    pub fn new(total: Option<u64>, source: &'s mut (dyn FnMut(&mut Vec<u8>) -> bool + 's)) -> Self {
        Self { piece: Vec::new(), total, source, ended: false, failed: false, panic: None }
    }

    /// Lends them.
    #[must_use]
    pub fn lend(&mut self) -> LentPieces<'_> {
        let total = self.total.unwrap_or(RawReader::UNKNOWN);
        let owner: *mut Self = self;
        let raw = RawReader {
            data: std::ptr::NonNull::<u8>::dangling().as_ptr(),
            len: 0,
            total,
            owner: owner.cast(),
            next: next_piece,
        };
        LentPieces { raw, pieces: PhantomData }
    }

    /// Whether all pieces were read, and none failed.
    ///
    /// # Panics
    /// With the panic of the source, if it panicked: that does not unwind through the reader.
    #[must_use]
    pub fn finish(mut self) -> bool {
        if let Some(panic) = self.panic.take() {
            resume_unwind(panic);
        }
        self.ended && !self.failed
    }
}

impl Drop for Pieces<'_> {
    /// What was read may be secret. Wiped as well as it can be without a dependency.
    fn drop(&mut self) {
        self.piece.clear();
        self.piece.resize(self.piece.capacity(), 0);
        std::hint::black_box(self.piece.as_slice());
    }
}

impl std::fmt::Debug for Pieces<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pieces")
            .field("total", &self.total)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

/// [`Pieces`] lent as a [`RawReader`].
#[derive(Debug)]
pub struct LentPieces<'a> {
    raw: RawReader,
    pieces: PhantomData<&'a mut ()>,
}

impl LentPieces<'_> {
    /// The reader, to pass on.
    pub fn source(&mut self) -> In<'_> {
        In(&mut self.raw)
    }
}

/// Called by the reader, on its thread, while the pieces are lent. Never unwinds.
extern "C" fn next_piece(reader: &mut RawReader) -> bool {
    // SAFETY: A4; `owner` is the `Pieces` that this reader borrows. Its lifetime is not looked at.
    let pieces = unsafe { &mut *reader.owner.cast::<Pieces<'_>>() };
    reader.len = 0;
    if pieces.ended || pieces.failed {
        return !pieces.failed;
    }
    pieces.piece.clear();
    let (source, piece) = (&mut pieces.source, &mut pieces.piece);
    match catch_unwind(AssertUnwindSafe(|| source(piece))) {
        Ok(done) => pieces.failed = !done,
        Err(panic) => (pieces.failed, pieces.panic) = (true, Some(panic)),
    }
    pieces.ended = pieces.piece.is_empty();
    if pieces.failed {
        return false;
    }
    reader.data = pieces.piece.as_ptr();
    reader.len = pieces.piece.len();
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &mut RawReader) -> Result<Vec<u8>, Failed> {
        let mut all = Vec::new();
        loop {
            let piece = raw.piece()?;
            if piece.is_empty() {
                return Ok(all);
            }
            // Less than there is, so that what is left of a piece counts.
            let some = piece.len().div_ceil(2);
            all.extend_from_slice(&piece[..some]);
            raw.consume(some);
        }
    }

    #[test]
    fn bytes_are_read_to_their_end_and_no_further() {
        let mut lent = LentBytes::new(b"some bytes");
        assert_eq!(lent.source().raw().total(), Some(10));
        assert_eq!(read(lent.source().raw()).unwrap(), b"some bytes");
        assert_eq!(lent.source().raw().piece(), Ok(&[][..]));
    }

    #[test]
    fn pieces_are_asked_for_one_by_one_until_one_is_empty() {
        let mut left = vec![b"three".to_vec(), b"two".to_vec(), b"one".to_vec()];
        let mut source = |piece: &mut Vec<u8>| {
            assert!(piece.is_empty());
            piece.extend(left.pop().unwrap_or_default());
            true
        };
        let mut pieces = Pieces::new(None, &mut source);
        let mut lent = pieces.lend();
        assert_eq!(lent.source().raw().total(), None);
        assert_eq!(read(lent.source().raw()).unwrap(), b"onetwothree");
        assert_eq!(read(lent.source().raw()).unwrap(), b"", "the end stays the end");
        assert!(pieces.finish());
    }

    #[test]
    fn a_source_that_fails_or_panics_is_told_as_a_failure_and_not_asked_again() {
        let mut asked = 0;
        let mut source = |piece: &mut Vec<u8>| {
            asked += 1;
            piece.push(1);
            asked < 2
        };
        let mut pieces = Pieces::new(Some(9), &mut source);
        let mut lent = pieces.lend();
        assert_eq!(read(lent.source().raw()), Err(Failed));
        assert_eq!(lent.source().raw().piece(), Err(Failed));
        assert!(!pieces.finish());
        assert_eq!(asked, 2);

        let mut source = |_: &mut Vec<u8>| panic!("no luck");
        let mut pieces = Pieces::new(None, &mut source);
        assert_eq!(read(pieces.lend().source().raw()), Err(Failed));
        assert!(catch_unwind(AssertUnwindSafe(|| pieces.finish())).is_err());
    }
}
