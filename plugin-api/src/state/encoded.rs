//! How state is written: JSON by itself, anything else by a type that says so.

use std::io::{BufRead as _, Read, Write as _};
use std::ops::{Deref, DerefMut};

use serde::{Serialize, de::DeserializeOwned};

use super::{StateReader, StateWriter};
use crate::{Error, Result};

/// State, or an earlier shape of it, that can be written and read again.
///
/// Every type with serde is: as JSON. What one says here must stay readable to later versions, so it describes itself or has a schema
/// version for each of its shapes.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be written as state",
    note = "derive `Serialize` and `Deserialize` for JSON (or wrap it into `MessagePack`), or implement `Encoded`"
)]
pub trait Encoded: Sized + Send + Sync + 'static {
    /// What the bytes are, as a media type: visible ASCII, in the manifest and in the header of each snapshot.
    const CONTENT_TYPE: &'static str;

    /// Writes it.
    ///
    /// Called by: an export, with the lock of [`State`](super::State) held to read, or one of its steps. Thread: a lane, beside
    /// calls. May call back: log. Panic: the export fails.
    ///
    /// # Errors
    /// It cannot be written, or the host takes no more. The export fails.
    fn write(&self, out: &mut StateWriter<'_>) -> Result<()>;

    /// Reads it. What is left of the source then is an error of the import.
    ///
    /// Called by: an import, or one of its steps. Thread: a lane. May call back: log. Panic: the import fails.
    ///
    /// # Errors
    /// The bytes are not what this type writes, or the host cannot read on. The import fails.
    fn read(source: &mut StateReader<'_>) -> Result<Self>;
}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Encoded for T {
    const CONTENT_TYPE: &'static str = "application/json";

    fn write(&self, out: &mut StateWriter<'_>) -> Result<()> {
        serde_json::to_writer(out, self).map_err(|e| Error::msg(format_args!("write the state as JSON: {e}")))
    }

    fn read(source: &mut StateReader<'_>) -> Result<Self> {
        let read = |e: serde_json::Error| Error::msg(format_args!("read the state as JSON: {e}"));
        if let Some(whole) = source.whole()? {
            let (value, len) = (serde_json::from_slice(whole).map_err(read)?, whole.len());
            source.consume(len);
            return Ok(value);
        }
        // serde_json takes a stream byte by byte, ten times slower where it holds long text.
        let mut start = Vec::new();
        Read::take(&mut *source, IN_ONE_PIECE).read_to_end(&mut start)?;
        if source.is_at_end()? {
            return serde_json::from_slice(&start).map_err(read);
        }
        serde_json::from_reader(start.chain(source)).map_err(read)
    }
}

/// JSON that comes in pieces is put together up to this size. Tests go beyond it with a few bytes.
const IN_ONE_PIECE: u64 = if cfg!(test) { 16 } else { 32 << 20 };

/// State that is bytes already, written as they are.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Bytes(pub Vec<u8>);

impl Encoded for Bytes {
    const CONTENT_TYPE: &'static str = "application/octet-stream";

    fn write(&self, out: &mut StateWriter<'_>) -> Result<()> {
        out.write_all(&self.0).map_err(|e| Error::msg(format_args!("write the state: {e}")))
    }

    fn read(source: &mut StateReader<'_>) -> Result<Self> {
        let mut bytes = Vec::new();
        if let Some(remaining) = source.remaining() {
            let remaining = usize::try_from(remaining).unwrap_or(usize::MAX);
            bytes
                .try_reserve_exact(remaining)
                .map_err(|e| Error::msg(format_args!("read the state: {e}")))?;
        }
        source.read_to_end(&mut bytes).map_err(|e| Error::msg(format_args!("read the state: {e}")))?;
        Ok(Self(bytes))
    }
}

impl Deref for Bytes {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Bytes {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}
