//! The header: what a capsule says of itself, in the clear. `FORMAT.md` is the authority on its bytes.

use serde::Serialize;

use crate::cipher::{Cipher, NONCE, SALT, TAG};
use crate::error::OpenError;
use crate::key::KeyId;
use crate::name;

/// The format that is written, and the newest that is read.
pub const FORMAT: u16 = 1;

/// A first byte that no text has and a last one that text modes change: a file that went through either is
/// noticed in its first eight bytes.
pub(crate) const MAGIC: [u8; 8] = *b"\x89HOTBAY\n";

/// The longest header there can be; whoever reads this much of a file has all of it.
pub(crate) const MAX_HEADER: usize = 101 + name::MAX_SERVICE + name::MAX_VERSION;

/// What the caller of [`seal`](crate::seal) knows of the state.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// The service whose state it is: `[a-z0-9_-]{1,64}`, and no device of Windows.
    pub service: &'a str,
    /// The version of the plugin that exported it.
    pub plugin_version: &'a str,
    /// The version of the schema that it is in.
    pub schema: u32,
    /// Which snapshot of the service it is, counting up.
    pub sequence: u64,
    /// The generation that exported it.
    pub generation: u64,
}

/// What a capsule says of itself. Anyone can read it; who changes it is found out on opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Header {
    /// The format of the capsule.
    pub format: u16,
    /// The service whose state it is.
    pub service: String,
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
    /// The length of the state in bytes.
    pub plain_len: u64,
}

impl Header {
    /// What the caller of [`seal`](crate::seal) said.
    #[must_use]
    pub fn stamp(&self) -> Stamp<'_> {
        Stamp {
            service: &self.service,
            plugin_version: &self.plugin_version,
            schema: self.schema,
            sequence: self.sequence,
            generation: self.generation,
        }
    }
}

/// A header with what only the cipher needs.
pub(crate) struct Frame {
    pub(crate) header: Header,
    pub(crate) salt: [u8; SALT],
    pub(crate) nonce: [u8; NONCE],
}

impl Frame {
    /// The header's bytes. Service and version have been validated: their lengths fit a byte.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let header = &self.header;
        let mut out = Vec::with_capacity(MAX_HEADER);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&header.format.to_le_bytes());
        out.push(header.cipher.code());
        out.extend_from_slice(&header.key_id.0);
        out.extend_from_slice(&self.salt);
        out.extend_from_slice(&self.nonce);
        out.extend_from_slice(&header.schema.to_le_bytes());
        out.extend_from_slice(&header.sequence.to_le_bytes());
        out.extend_from_slice(&header.generation.to_le_bytes());
        out.extend_from_slice(&header.created_unix_ms.to_le_bytes());
        out.extend_from_slice(&header.plain_len.to_le_bytes());
        for text in [&header.service, &header.plugin_version] {
            out.push(u8::try_from(text.len()).expect("validated before it came here"));
            out.extend_from_slice(text.as_bytes());
        }
        out
    }

    /// Reads the header of a capsule of `total` bytes, of which `start` is all or the first [`MAX_HEADER`].
    ///
    /// Returns it with its length. The capsule is then as long as its header says, to the byte: whoever goes on to
    /// make room for the body makes no more than the capsule itself takes.
    pub(crate) fn parse(start: &[u8], total: u64) -> Result<(Frame, usize), OpenError> {
        let head = &start[..start.len().min(MAGIC.len())];
        if !MAGIC.starts_with(head) {
            return Err(OpenError::NotState);
        }
        let mut rest = Reader { start, at: 0, total };
        rest.take(MAGIC.len())?;
        match u16::from_le_bytes(rest.array()?) {
            FORMAT => {}
            0 => return Err(OpenError::BadHeader { problem: "there is no format 0" }),
            format => return Err(OpenError::Newer { format, known: FORMAT }),
        }
        let frame = rest.format_1()?;
        let expected = (rest.at as u64 + TAG as u64).saturating_add(frame.header.plain_len);
        if total < expected {
            return Err(OpenError::Truncated { got: total, expected });
        }
        if total > expected {
            return Err(OpenError::Trailing { extra: total - expected });
        }
        Ok((frame, rest.at))
    }
}

/// The part of a capsule that has not been read yet.
struct Reader<'a> {
    start: &'a [u8],
    at: usize,
    total: u64,
}

impl<'a> Reader<'a> {
    fn format_1(&mut self) -> Result<Frame, OpenError> {
        let [code] = self.array()?;
        let key_id = KeyId(self.array()?);
        let salt = self.array()?;
        let nonce = self.array()?;
        let schema = u32::from_le_bytes(self.array()?);
        let sequence = u64::from_le_bytes(self.array()?);
        let generation = u64::from_le_bytes(self.array()?);
        let created_unix_ms = u64::from_le_bytes(self.array()?);
        let plain_len = u64::from_le_bytes(self.array()?);
        let service = self.text()?;
        let plugin_version = self.text()?;

        let bad = |problem| OpenError::BadHeader { problem };
        let cipher = Cipher::from_code(code).ok_or(bad("its cipher is unknown"))?;
        let service = service.filter(|s| name::is_service(s)).ok_or(bad("its service has no valid name"))?;
        let plugin_version = plugin_version
            .filter(|v| name::is_version(v))
            .ok_or(bad("its plugin version is not visible ASCII"))?;

        let header = Header {
            format: FORMAT,
            service: service.to_owned(),
            plugin_version: plugin_version.to_owned(),
            schema,
            sequence,
            generation,
            created_unix_ms,
            key_id,
            cipher,
            plain_len,
        };
        Ok(Frame { header, salt, nonce })
    }

    /// A text behind its length; `None` if it is not UTF-8.
    fn text(&mut self) -> Result<Option<&'a str>, OpenError> {
        let [len] = self.array()?;
        Ok(str::from_utf8(self.take(usize::from(len))?).ok())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], OpenError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], OpenError> {
        let end = self.at + len;
        let taken = self.start.get(self.at..end);
        self.at = end;
        taken.ok_or(OpenError::Truncated { got: self.total, expected: end as u64 })
    }
}
