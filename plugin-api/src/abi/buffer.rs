//! Lent buffers: the reader brings the memory, the writer fills it.

use std::marker::PhantomData;

use abi_stable::StableAbi;

/// A growing buffer of the reader's, as the writer sees it.
///
/// Growing goes through the reader's function, so that memory is allocated and freed by one side only.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawBuffer {
    pub(super) data: *mut u8,
    // Between pointer and length, or both would be read from a vector at once: whoever has just emptied the vector would wait
    // for its length to come out of the processor's store buffer, which costs as much as the rest of a call.
    pub(super) capacity: usize,
    pub(super) len: usize,
    pub(super) owner: *mut (),
    /// Makes room for so many more bytes in one piece, or answers false. What was written may be gone from the buffer then:
    /// the reader took it.
    pub(super) grow: extern "C" fn(&mut RawBuffer, usize) -> bool,
}

/// So many bytes a small reply has at most. Where there is room for it, a method's own function goes a way without what a full
/// buffer needs.
pub(super) const SMALL: usize = 64;

impl RawBuffer {
    /// Appends `bytes`; false when the reader lends no more memory, and nothing was written then.
    #[inline]
    #[must_use]
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        if self.capacity - self.len < bytes.len() {
            return self.write_into_more(bytes);
        }
        // SAFETY: A2; `len + bytes.len() <= capacity` was just seen to.
        let end = unsafe { self.data.add(self.len) };
        // SAFETY: A2 as above; `bytes` cannot overlap memory that this buffer borrows exclusively.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), end, bytes.len()) };
        self.len += bytes.len();
        true
    }

    /// The same where there is no room yet. Apart, so that who has room keeps no registers for it.
    #[cold]
    #[inline(never)]
    fn write_into_more(&mut self, bytes: &[u8]) -> bool {
        // With room for them it does not come back here.
        (self.grow)(self, bytes.len()) && self.capacity - self.len >= bytes.len() && self.write(bytes)
    }

    /// Whether a small reply needs no more room.
    #[inline]
    pub(super) fn has_room(&self) -> bool {
        self.capacity - self.len >= SMALL
    }

    /// Appends all of `bytes` if there is room for it; else nothing.
    #[inline]
    pub(crate) fn write_within(&mut self, bytes: &[u8]) -> bool {
        if bytes.len() > self.capacity - self.len {
            return false;
        }
        // SAFETY: A2; `len <= capacity`, and so many bytes are there.
        let end = unsafe { self.data.add(self.len) };
        // SAFETY: A2 as above, `len + bytes.len() <= capacity`; `bytes` cannot overlap memory that this buffer borrows exclusively.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), end, bytes.len()) };
        self.len += bytes.len();
        true
    }

    /// Appends as much of `bytes` as there is room for, and asks for room for one byte where there is none; 0 when the reader
    /// lends no more. Never asks for more room in one piece than that: a reader may empty a small buffer again and again.
    #[inline]
    pub(crate) fn write_some(&mut self, bytes: &[u8]) -> usize {
        if self.capacity == self.len && !(self.grow)(self, 1) {
            return 0;
        }
        let count = bytes.len().min(self.capacity - self.len);
        // SAFETY: A2; `len <= capacity`, and so many bytes are there.
        let end = unsafe { self.data.add(self.len) };
        // SAFETY: A2 as above, `len + count <= capacity`; `bytes` cannot overlap memory that this buffer borrows exclusively.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), end, count) };
        self.len += count;
        count
    }

    /// How many bytes the buffer holds, with those that it held when it was lent.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether the buffer holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Drops what was written after `len`; longer values change nothing.
    pub(super) fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Takes out what was written after `len`: the words of an error that stand where an answer would.
    #[cold]
    fn take_words(&mut self, len: usize) -> String {
        let len = self.len.min(len);
        // SAFETY: A2; the first `self.len` bytes are written, and `len` is no more than that.
        let start = unsafe { self.data.add(len) };
        // SAFETY: A2 as above; nobody else writes there while this borrows the buffer.
        let bytes = unsafe { std::slice::from_raw_parts(start, self.len - len) };
        let words = String::from_utf8_lossy(bytes).into_owned();
        self.len = len;
        words
    }
}

impl std::fmt::Debug for RawBuffer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RawBuffer")
            .field("len", &self.len)
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}

/// A lent buffer on its way to who writes it. Safe code passes it on; only the two ends look inside.
#[derive(Debug)]
pub struct Out<'a>(&'a mut RawBuffer);

impl<'a> Out<'a> {
    /// Passes on a buffer that came across.
    #[inline]
    #[must_use]
    pub fn of(raw: &'a mut RawBuffer) -> Self {
        Self(raw)
    }

    /// The same buffer, lent on.
    #[inline]
    #[must_use]
    pub fn again(&mut self) -> Out<'_> {
        Out(self.0)
    }

    /// The buffer, to hand across.
    ///
    /// # Safety
    /// It must stay where it is: exchanged with another buffer, each would write into the other's vector after that
    /// one's loan has ended.
    #[inline]
    #[must_use]
    pub unsafe fn into_raw(self) -> &'a mut RawBuffer {
        self.0
    }

    #[inline]
    pub(crate) fn lent(self) -> &'a mut RawBuffer {
        self.0
    }

    /// How many bytes the buffer holds.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes out what was written after the first `len` bytes: the words of an error that stand where an answer would.
    #[must_use]
    pub fn take_words(&mut self, len: usize) -> String {
        self.0.take_words(len)
    }

    /// Whether the buffer holds nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A vector lent as a [`RawBuffer`]; when the loan ends the vector holds what was written.
#[derive(Debug)]
pub struct Lent<'a> {
    pub(super) raw: RawBuffer,
    pub(super) vector: PhantomData<&'a mut Vec<u8>>,
}

impl<'a> Lent<'a> {
    /// Lends `vector`; what is written is appended.
    #[inline]
    #[must_use]
    pub fn new(vector: &'a mut Vec<u8>) -> Self {
        let owner: *mut Vec<u8> = vector;
        let raw = RawBuffer {
            data: vector.as_mut_ptr(),
            capacity: vector.capacity(),
            len: vector.len(),
            owner: owner.cast(),
            grow: grow_vector,
        };
        Self { raw, vector: PhantomData }
    }

    /// The buffer, to pass on.
    #[inline]
    pub fn out(&mut self) -> Out<'_> {
        Out(&mut self.raw)
    }

    #[cfg(test)]
    pub(crate) fn raw(&mut self) -> &mut RawBuffer {
        &mut self.raw
    }
}

impl Drop for Lent<'_> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: A2; `owner` is the vector that this value borrows.
        let vector = unsafe { &mut *self.raw.owner.cast::<Vec<u8>>() };
        debug_assert!(self.raw.len <= vector.capacity());
        // SAFETY: A2; the first `len` bytes were there before or have been written since.
        unsafe { vector.set_len(self.raw.len) };
    }
}

/// Called by the writer, through the buffer, on the writer's thread, while the buffer is lent. Never unwinds: where
/// memory ends, it says so.
extern "C" fn grow_vector(buffer: &mut RawBuffer, additional: usize) -> bool {
    // SAFETY: A2; `owner` is the vector that the buffer borrows.
    let vector = unsafe { &mut *buffer.owner.cast::<Vec<u8>>() };
    // SAFETY: A2; the first `len` bytes are written, and `try_reserve` must know of them to keep them.
    unsafe { vector.set_len(buffer.len) };
    // With room for the next small reply: it may be lent again and again.
    if vector.try_reserve(additional.max(SMALL)).is_err() {
        return false;
    }
    buffer.data = vector.as_mut_ptr();
    buffer.capacity = vector.capacity();
    true
}

/// A vector that is lent up to a length: for a writer that may not know where to end.
// In C's order: `vector` comes first, so that the address of the whole is that of the vector, which a loan gives back to.
#[repr(C)]
#[derive(Debug)]
pub struct Limited {
    vector: Vec<u8>,
    max: usize,
    exceeded: bool,
}

impl Limited {
    /// Lets `vector` grow up to `max` bytes, what it holds already included.
    #[must_use]
    pub fn new(vector: Vec<u8>, max: usize) -> Self {
        Self { vector, max, exceeded: false }
    }

    /// Lends it; what is written is appended.
    #[must_use]
    pub fn lend(&mut self) -> Lent<'_> {
        let (data, len) = (self.vector.as_mut_ptr(), self.vector.len());
        // Room that is there is no permission.
        let capacity = self.vector.capacity().min(self.max.max(len));
        let owner: *mut Self = self;
        let raw = RawBuffer { data, len, capacity, owner: owner.cast(), grow: grow_limited };
        Lent { raw, vector: PhantomData }
    }

    /// Whether more was to be written than it takes.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.exceeded
    }

    /// The vector with what was written.
    #[must_use]
    pub fn into_inner(self) -> Vec<u8> {
        self.vector
    }
}

/// As [`grow_vector`], up to the limit.
extern "C" fn grow_limited(buffer: &mut RawBuffer, additional: usize) -> bool {
    // SAFETY: A2; `owner` is the `Limited` that the buffer borrows.
    let limited = unsafe { &mut *buffer.owner.cast::<Limited>() };
    let Some(needed) = buffer.len.checked_add(additional).filter(|needed| *needed <= limited.max) else {
        limited.exceeded = true;
        return false;
    };
    let vector = &mut limited.vector;
    // SAFETY: A2; the first `len` bytes are written, and `try_reserve_exact` must know of them to keep them.
    unsafe { vector.set_len(buffer.len) };
    // Twice as much each time, as vectors grow, and no more than the limit.
    let target = needed.max(vector.capacity().saturating_mul(2)).min(limited.max);
    if vector.try_reserve_exact(target - buffer.len).is_err() {
        return false;
    }
    buffer.data = vector.as_mut_ptr();
    buffer.capacity = vector.capacity().min(limited.max);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lent_vector_holds_what_was_written_over_many_growths() {
        let mut vector = b"head:".to_vec();
        let mut lent = Lent::new(&mut vector);
        for chunk in 0..100u8 {
            assert!(lent.raw.write(&[chunk; 77]));
        }
        drop(lent);
        assert_eq!(vector.len(), 5 + 7700);
        assert_eq!(&vector[..5], b"head:");
        assert!((0..100).all(|chunk| vector[5 + 77 * chunk] == chunk as u8));
    }

    #[test]
    fn a_limited_vector_takes_so_much_and_no_more() {
        for room in [0, 6, 64] {
            let mut limited = Limited::new(Vec::with_capacity(room), 10);
            let mut lent = limited.lend();
            assert!(lent.raw.write(b"12345678"), "room for {room}");
            assert!(!lent.raw.write(b"90+"), "room for {room}");
            assert!(lent.raw.write(b"90"), "what is refused changes nothing");
            drop(lent);
            assert!(limited.is_exceeded());
            assert_eq!(limited.into_inner(), b"1234567890");
        }
        let mut limited = Limited::new(Vec::new(), 10);
        assert!(limited.lend().raw.write(b"12345678"));
        assert!(!limited.is_exceeded());
    }

    #[test]
    fn memory_that_cannot_be_had_is_refused_without_a_panic() {
        let mut vector = Vec::new();
        let mut lent = Lent::new(&mut vector);
        assert!(!grow_vector(&mut lent.raw, usize::MAX));
        assert!(lent.raw.write(b"still usable"));
        drop(lent);
        assert_eq!(vector, b"still usable");
    }
}
