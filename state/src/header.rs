//! The header: what a capsule says of itself, in the clear. `FORMAT.md` is the authority on its bytes.

use serde::Serialize;

use crate::cipher::{Cipher, NONCE, TAG};
use crate::error::{OpenError, SealError};
use crate::key::KeyId;
use crate::layout;
use crate::name;
use crate::subkey::{CHECK, SALT};

mod fields;
mod format_1;
mod format_2;

use fields::Fields;
pub(crate) use format_2::{MAX_HEADER, encode};

/// The format that is written, and the newest that is read.
pub const FORMAT: u16 = 2;

/// A first byte that no text has and a last one that text modes change: a file that went through either is
/// noticed in its first eight bytes.
pub(crate) const MAGIC: [u8; 8] = *b"\x89HOTBAY\n";

/// What the caller of [`seal`](crate::seal()) knows of the state.
///
/// Its texts but the service's name are at most 255 visible ASCII characters; empty where there is nothing to say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stamp<'a> {
    /// The service whose state it is: `[a-z0-9_-]{1,64}`, and no device of Windows.
    pub service: &'a str,
    /// The name of the plugin that exported it.
    pub plugin: &'a str,
    /// The version of that plugin.
    pub plugin_version: &'a str,
    /// The version of the schema that it is in.
    pub schema: u32,
    /// Which snapshot of the service it is, counting up.
    pub sequence: u64,
    /// The generation that exported it.
    pub generation: u64,
    /// What its bytes are, as a media type: `application/json`.
    pub content_type: &'a str,
}

impl Stamp<'_> {
    /// Whether it can be written.
    pub(crate) fn check(&self) -> Result<(), SealError> {
        if !name::is_service(self.service) {
            return Err(SealError::Service { service: self.service.to_owned() });
        }
        for (field, text) in [
            ("plugin's name", self.plugin),
            ("plugin version", self.plugin_version),
            ("content type", self.content_type),
        ] {
            if !name::is_text(text) {
                return Err(SealError::Text { field, text: text.to_owned() });
            }
        }
        Ok(())
    }
}

/// What a capsule says of itself. Anyone can read it; who changes it is found out on opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Header {
    /// The format of the capsule.
    pub format: u16,
    /// The service whose state it is.
    pub service: String,
    /// The name of the plugin that exported it. Format 1 has none.
    pub plugin: String,
    /// The version of the plugin that exported it.
    pub plugin_version: String,
    /// The version of the schema that it is in.
    pub schema: u32,
    /// Which snapshot of the service it is, counting up.
    pub sequence: u64,
    /// The generation that exported it.
    pub generation: u64,
    /// When it was sealed, in milliseconds since 1970, by the clock of the host.
    pub created_unix_ms: u64,
    /// The key it is sealed with.
    pub key_id: KeyId,
    /// The cipher it is sealed with.
    pub cipher: Cipher,
    /// The length of the state in bytes. Of a capsule whose writer did not know it when it began, as the capsule's own
    /// length makes it.
    pub plain_len: u64,
    /// What the state's bytes are, as a media type. Empty if that was not said, and in format 1.
    pub content_type: String,
}

impl Header {
    /// What the sealer was told.
    pub fn stamp(&self) -> Stamp<'_> {
        Stamp {
            service: &self.service,
            plugin: &self.plugin,
            plugin_version: &self.plugin_version,
            schema: self.schema,
            sequence: self.sequence,
            generation: self.generation,
            content_type: &self.content_type,
        }
    }
}

/// A header with what only the cipher needs.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) salt: [u8; SALT],
    /// The header's own length in bytes.
    pub(crate) len: usize,
    pub(crate) body: Body,
}

/// How the state lies behind the header.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Body {
    /// Format 1: as one message.
    Message { nonce: [u8; NONCE] },
    /// Format 2: as chunks.
    Chunks {
        chunk_len: usize,
        /// The length of the state; `None` if it was not known when sealing began.
        declared: Option<u64>,
        key_check: [u8; CHECK],
        tag: [u8; CHECK],
    },
}

impl Frame {
    /// Reads the header of a capsule of `total` bytes, of which `start` is all or the first [`MAX_HEADER`].
    ///
    /// Returns it with its length. The capsule is then as long as its header says, to the byte: whoever goes on to
    /// make room for the body makes no more than the capsule itself takes.
    pub(crate) fn parse(start: &[u8], total: u64) -> Result<(Frame, usize), OpenError> {
        let mut frame = Frame::begin(start, total)?;
        frame.fit(total)?;
        let len = frame.len;
        Ok((frame, len))
    }

    /// Reads the header alone, of a capsule of which `got` bytes are there or known to be.
    ///
    /// Where [`OpenError::Truncated`] says that so many bytes are expected, the header may need more when those are there.
    pub(crate) fn begin(start: &[u8], got: u64) -> Result<Frame, OpenError> {
        let head = &start[..start.len().min(MAGIC.len())];
        if !MAGIC.starts_with(head) {
            return Err(OpenError::NotState);
        }
        let mut fields = Fields::new(start, got);
        fields.take(MAGIC.len())?;
        match fields.u16()? {
            0 => Err(OpenError::BadHeader { problem: "there is no format 0" }),
            1 => format_1::parse(fields),
            FORMAT => format_2::parse(start, fields),
            format => Err(OpenError::Newer { format, known: FORMAT }),
        }
    }

    /// Holds the header against the length of the capsule. A length of the state that was not known is known then.
    pub(crate) fn fit(&mut self, total: u64) -> Result<(), OpenError> {
        let len = self.len as u64;
        let sealed = match self.body {
            Body::Message { .. } => self.header.plain_len.saturating_add(TAG as u64),
            Body::Chunks { chunk_len, declared: Some(plain), .. } => layout::sealed_len(plain, chunk_len),
            Body::Chunks { chunk_len, declared: None, .. } => {
                let there = total.saturating_sub(len);
                match layout::plain_len(there, chunk_len) {
                    Ok(plain) if layout::is_countable(plain, chunk_len) => {
                        self.header.plain_len = plain;
                        there
                    }
                    Ok(_) => return Err(OpenError::BadHeader { problem: format_2::TOO_MANY }),
                    Err(least) => least,
                }
            }
        };
        let expected = len.saturating_add(sealed);
        if total < expected {
            return Err(OpenError::Truncated { got: total, expected });
        }
        if total > expected {
            return Err(OpenError::Trailing { extra: total - expected });
        }
        Ok(())
    }
}
