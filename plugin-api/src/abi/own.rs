//! A buffer of a caller's own, which is lent as it is: nothing is prepared for a call, nor looked up after it.

use std::fmt;
use std::mem::ManuallyDrop;
use std::ops::Deref;

use super::buffer::SMALL;
use super::{Out, RawBuffer};

/// What a caller keeps for replies, one after the other: a growing buffer of bytes, as a `Vec<u8>` is, that can be lent for a call
/// without more ado.
pub struct Buffer {
    // Its memory is a vector's, which this value owns; its `owner` is not used.
    raw: RawBuffer,
}

// SAFETY: A5; it owns its memory as a vector does.
unsafe impl Send for Buffer {}
// SAFETY: A5; whoever has it shared can only read.
unsafe impl Sync for Buffer {}

impl Buffer {
    /// An empty buffer, without memory. One [with](Self::with_capacity) some is quicker from the first call on.
    #[must_use]
    pub fn new() -> Self {
        Vec::new().into()
    }

    /// An empty buffer with room for so many bytes, and for a small reply at least.
    #[must_use]
    pub fn with_capacity(capacity: usize) -> Self {
        Vec::with_capacity(capacity.max(SMALL)).into()
    }

    /// Empties it. Its memory stays.
    #[inline]
    pub fn clear(&mut self) {
        self.raw.len = 0;
    }

    /// Its bytes, as a vector; no byte is moved.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        vector(&mut ManuallyDrop::new(self).raw)
    }

    /// Lends it; what is written is appended.
    #[inline]
    pub fn out(&mut self) -> Out<'_> {
        Out::of(&mut self.raw)
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deref for Buffer {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: A5; the first `len` bytes are written.
        unsafe { std::slice::from_raw_parts(self.raw.data, self.raw.len) }
    }
}

impl From<Vec<u8>> for Buffer {
    fn from(vector: Vec<u8>) -> Self {
        let mut vector = ManuallyDrop::new(vector);
        let (data, len, capacity) = (vector.as_mut_ptr(), vector.len(), vector.capacity());
        Self { raw: RawBuffer { data, capacity, len, owner: std::ptr::null_mut(), grow: grow_own } }
    }
}

impl From<Buffer> for Vec<u8> {
    fn from(buffer: Buffer) -> Self {
        buffer.into_vec()
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        drop(vector(&mut self.raw));
    }
}

/// Takes the vector out; the buffer is to be given its parts again, or not to be used any more.
fn vector(raw: &mut RawBuffer) -> Vec<u8> {
    // SAFETY: A5; these are the parts of a vector, and the first `len` bytes are written.
    unsafe { Vec::from_raw_parts(raw.data, raw.len, raw.capacity) }
}

/// As for a vector that is lent: called by the writer, never unwinds.
extern "C" fn grow_own(buffer: &mut RawBuffer, additional: usize) -> bool {
    let mut vector = ManuallyDrop::new(vector(buffer));
    let grown = vector.try_reserve(additional.max(SMALL)).is_ok();
    buffer.data = vector.as_mut_ptr();
    buffer.capacity = vector.capacity();
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_holds_what_was_written_over_many_growths_and_gives_it_up_as_a_vector() {
        let mut buffer = Buffer::from(b"head:".to_vec());
        for chunk in 0..100u8 {
            assert!(buffer.out().lent().write(&[chunk; 77]));
        }
        assert_eq!((buffer.len(), &buffer[..5]), (5 + 7700, b"head:".as_slice()));
        let vector = buffer.into_vec();
        assert!((0..100).all(|chunk| vector[5 + 77 * chunk] == chunk as u8));
    }

    #[test]
    fn a_buffer_that_is_cleared_keeps_its_memory() {
        let mut buffer = Buffer::with_capacity(64);
        assert!(buffer.out().lent().write(b"some bytes"));
        let place = buffer.as_ptr();
        buffer.clear();
        assert!(buffer.is_empty() && buffer.out().lent().write(b"others"));
        assert_eq!((buffer.as_ptr(), &*buffer), (place, b"others".as_slice()));
    }

    #[test]
    fn memory_that_cannot_be_had_is_refused_and_leaves_the_buffer_usable() {
        let mut buffer = Buffer::new();
        assert!(!grow_own(&mut buffer.raw, usize::MAX));
        assert!(buffer.out().lent().write(b"still usable"));
        assert_eq!(&*buffer, b"still usable");
    }
}
