//! A window: a lent buffer of one size, which is emptied whenever it is full.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::RawBuffer;
use super::buffer::Lent;

/// A buffer of one size that is emptied into a sink: whoever writes through it may write any length.
// In C's order: `vector` comes first, so that the address of the whole is that of the vector, which a loan gives back to.
#[repr(C)]
pub struct Window<'s> {
    vector: Vec<u8>,
    size: usize,
    sink: &'s mut (dyn FnMut(&[u8]) -> bool + 's),
    failed: bool,
    panic: Option<Box<dyn Any + Send>>,
}

impl<'s> Window<'s> {
    /// A window of so many bytes, one at least. `sink` gets them piece by piece, in their order; it answers false when it
    /// takes no more, and the writer hears no more than that.
    #[must_use]
    pub fn new(size: usize, sink: &'s mut (dyn FnMut(&[u8]) -> bool + 's)) -> Self {
        let size = size.max(1);
        Self { vector: Vec::with_capacity(size), size, sink, failed: false, panic: None }
    }

    /// Lends it.
    #[must_use]
    pub fn lend(&mut self) -> Lent<'_> {
        let (data, len) = (self.vector.as_mut_ptr(), self.vector.len());
        let owner: *mut Self = self;
        let raw = RawBuffer { data, len, capacity: self.size, owner: owner.cast(), grow: grow_window };
        Lent { raw, vector: PhantomData }
    }

    /// Empties what is left in the window; whether the sink took everything.
    ///
    /// # Panics
    /// With the panic of the sink, if it panicked: that does not unwind through the writer.
    #[must_use]
    pub fn finish(mut self) -> bool {
        let taken = self.empty();
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
        taken
    }

    fn empty(&mut self) -> bool {
        if !self.failed && !self.vector.is_empty() {
            let (sink, bytes) = (&mut self.sink, &self.vector);
            match catch_unwind(AssertUnwindSafe(|| sink(bytes))) {
                Ok(taken) => self.failed = !taken,
                Err(panic) => (self.failed, self.panic) = (true, Some(panic)),
            }
        }
        self.vector.clear();
        !self.failed
    }
}

impl std::fmt::Debug for Window<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Window")
            .field("size", &self.size)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

/// Takes what was written and hands the buffer back empty. Refuses who asks for more in one piece than it is large. Never
/// unwinds.
extern "C" fn grow_window(buffer: &mut RawBuffer, additional: usize) -> bool {
    // SAFETY: A2; `owner` is the `Window` that the buffer borrows. Its lifetime is not looked at.
    let window = unsafe { &mut *buffer.owner.cast::<Window<'_>>() };
    if additional > window.size || window.failed {
        return false;
    }
    // SAFETY: A2; the first `len` bytes are written.
    unsafe { window.vector.set_len(buffer.len) };
    let taken = window.empty();
    buffer.len = 0;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(raw: &mut RawBuffer, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            match raw.write_some(bytes) {
                0 => return false,
                count => bytes = &bytes[count..],
            }
        }
        true
    }

    #[test]
    fn any_length_goes_through_a_window_in_order() {
        for size in [0, 1, 7, 64] {
            let mut all = Vec::new();
            let mut sink = |piece: &[u8]| {
                assert!(!piece.is_empty() && piece.len() <= size.max(1));
                all.extend_from_slice(piece);
                true
            };
            let mut window = Window::new(size, &mut sink);
            let mut lent = window.lend();
            for chunk in 0..50u8 {
                assert!(write(lent.raw(), &[chunk; 33]), "window of {size}");
            }
            drop(lent);
            assert!(window.finish());
            assert_eq!(all.len(), 50 * 33);
            assert!((0..50).all(|chunk| all[33 * chunk] == chunk as u8));
        }
    }

    #[test]
    fn one_piece_that_is_larger_than_the_window_is_refused_and_changes_nothing() {
        let mut all = Vec::new();
        let mut sink = |piece: &[u8]| {
            all.extend_from_slice(piece);
            true
        };
        let mut window = Window::new(4, &mut sink);
        let mut lent = window.lend();
        assert!(lent.raw().write(b"ab"));
        assert!(!lent.raw().write(b"12345"));
        assert!(lent.raw().write(b"cdef"));
        drop(lent);
        assert!(window.finish());
        assert_eq!(all, b"abcdef");
    }

    #[test]
    fn a_sink_that_fails_or_panics_is_told_as_a_refusal_and_not_asked_again() {
        let mut asked = 0;
        let mut sink = |_: &[u8]| {
            asked += 1;
            false
        };
        let mut window = Window::new(2, &mut sink);
        assert!(!write(window.lend().raw(), b"some bytes"));
        assert!(!write(window.lend().raw(), b"some more"));
        assert!(!window.finish());
        assert_eq!(asked, 1);

        let mut sink = |_: &[u8]| panic!("no luck");
        let mut window = Window::new(2, &mut sink);
        assert!(!write(window.lend().raw(), b"some bytes"));
        assert!(catch_unwind(AssertUnwindSafe(|| window.finish())).is_err());
    }
}
