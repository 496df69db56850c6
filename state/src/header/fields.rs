//! Reading a header field by field.

use crate::error::OpenError;

/// The part of a header that has not been read yet.
pub(super) struct Fields<'a> {
    start: &'a [u8],
    pub(super) at: usize,
    got: u64,
}

impl<'a> Fields<'a> {
    /// From the start of a capsule of which `got` bytes are there.
    pub(super) fn new(start: &'a [u8], got: u64) -> Self {
        Fields { start, at: 0, got }
    }

    pub(super) fn u16(&mut self) -> Result<u16, OpenError> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, OpenError> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, OpenError> {
        self.array().map(u64::from_le_bytes)
    }

    /// A text behind its length; `None` if it is not UTF-8.
    pub(super) fn text(&mut self) -> Result<Option<&'a str>, OpenError> {
        let [len] = self.array()?;
        Ok(str::from_utf8(self.take(usize::from(len))?).ok())
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], OpenError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], OpenError> {
        let end = self.at + len;
        let taken = self.start.get(self.at..end);
        self.at = end;
        taken.ok_or(OpenError::Truncated { got: self.got, expected: end as u64 })
    }
}
