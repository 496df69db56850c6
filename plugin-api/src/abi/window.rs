//! A window: a lent buffer up to a size, which is emptied whenever it is full.

use std::any::Any;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use super::RawBuffer;
use super::buffer::Lent;

/// A buffer that is emptied into a sink when it has reached its size: whoever writes through it may write any length.
// In C's order: `vector` comes first, so that the address of the whole is that of the vector, which a loan gives back to.
#[repr(C)]
pub struct Window<'s> {
    vector: Vec<u8>,
    size: usize,
    // Its size once it was emptied.
    next: usize,
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
        Self::over(Vec::with_capacity(size), size, size, sink)
    }

    /// A window over memory that is there, which grows up to `first` bytes before it is emptied, and is emptied whenever it holds
    /// `next` bytes from then on. What is shorter than `first` never comes to the sink, see [`Window::into_rest`].
    #[must_use]
    pub fn over(
        mut vector: Vec<u8>,
        first: usize,
        next: usize,
        sink: &'s mut (dyn FnMut(&[u8]) -> bool + 's),
    ) -> Self {
        vector.clear();
        let size = first.max(1);
        Self { vector, size, next: next.clamp(1, size), sink, failed: false, panic: None }
    }

    /// Lends it.
    #[must_use]
    pub fn lend(&mut self) -> Lent<'_> {
        let (data, len) = (self.vector.as_mut_ptr(), self.vector.len());
        // Room that is there is no permission.
        let capacity = self.vector.capacity().min(self.size);
        let owner: *mut Self = self;
        let raw = RawBuffer { data, len, capacity, owner: owner.cast(), grow: grow_window };
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

    /// What is left in the window, in its memory. Empty after a failure of the sink.
    ///
    /// # Panics
    /// As [`finish`](Self::finish).
    #[must_use]
    pub fn into_rest(mut self) -> Vec<u8> {
        if let Some(panic) = self.panic {
            resume_unwind(panic);
        }
        if self.failed {
            self.vector.clear();
        }
        self.vector
    }

    /// Room for so many bytes more, if it may grow so far; whether it has it.
    fn grow(&mut self, additional: usize) -> bool {
        let Some(needed) = self.vector.len().checked_add(additional).filter(|needed| *needed <= self.size)
        else {
            return false;
        };
        // Twice as much each time, as vectors grow, and no more than its size.
        let target = needed.max(self.vector.capacity().saturating_mul(2)).min(self.size);
        self.vector.try_reserve_exact(target - self.vector.len()).is_ok()
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
        self.size = self.next;
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

/// Lets the buffer grow up to its size, and takes what was written when it has reached that: then it is handed back empty. Refuses who
/// asks for more in one piece than it is large. Never unwinds.
extern "C" fn grow_window(buffer: &mut RawBuffer, additional: usize) -> bool {
    // SAFETY: A2; `owner` is the `Window` that the buffer borrows. Its lifetime is not looked at.
    let window = unsafe { &mut *buffer.owner.cast::<Window<'_>>() };
    if additional > window.size || window.failed {
        return false;
    }
    // SAFETY: A2; the first `len` bytes are written.
    unsafe { window.vector.set_len(buffer.len) };
    let taken = window.grow(additional) || (window.empty() && window.grow(additional));
    buffer.data = window.vector.as_mut_ptr();
    buffer.capacity = window.vector.capacity().min(window.size);
    buffer.len = window.vector.len();
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
    fn what_is_shorter_than_the_first_size_stays_in_its_memory_and_the_rest_goes_on_in_small_pieces() {
        for room in [0, 3, 100] {
            let mut pieces = Vec::new();
            let mut sink = |piece: &[u8]| {
                pieces.push(piece.to_vec());
                true
            };
            let mut window = Window::over(Vec::with_capacity(room), 10, 4, &mut sink);
            assert!(write(window.lend().raw(), b"0123456789"), "room for {room}");
            assert_eq!(window.into_rest(), b"0123456789", "room for {room}");
            let mut window = Window::over(Vec::with_capacity(room), 10, 4, &mut sink);
            assert!(write(window.lend().raw(), b"0123456789abcdefg"), "room for {room}");
            assert_eq!(window.into_rest(), b"efg");
            assert_eq!(pieces, [&b"0123456789"[..], b"abcd"], "room for {room}");
        }
        let mut sink = |_: &[u8]| false;
        let mut window = Window::over(Vec::new(), 4, 4, &mut sink);
        assert!(!write(window.lend().raw(), b"0123456789"));
        assert_eq!(window.into_rest(), b"");
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
