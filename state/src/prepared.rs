//! A capsule's own keys, derived ahead: that is most of the time in which a small state is sealed and opened again.

use std::fmt;

use zeroize::Zeroizing;

use crate::chunks::Chunks;
use crate::cipher::Cipher;
use crate::error::{OpenError, SealError};
use crate::header::{FORMAT, Header, Stamp, encode};
use crate::key::{Key, KeyId};
use crate::layout;
use crate::open::opened_by;
use crate::ring::KeyRing;
use crate::seal::{Once, seal_by, unix_ms};
use crate::subkey::{CHECK, Stream, Subkeys};

#[cfg(test)]
mod tests;

/// The keys of one capsule, before anything is known of its state. Wiped when dropped.
pub struct Prepared {
    once: Once,
    key_id: KeyId,
    cipher: Cipher,
    // On the heap, where it is wiped: each move of it would leave it behind.
    subkeys: Box<Subkeys>,
    stream: Stream,
    key_check: [u8; CHECK],
}

impl Prepared {
    /// Draws and derives what one capsule sealed with `key` needs.
    ///
    /// # Errors
    /// [`SealError::Random`] if there are no random bytes.
    pub fn new(key: &Key) -> Result<Prepared, SealError> {
        Ok(Prepared::once(key, Once::draw()?))
    }

    pub(crate) fn once(key: &Key, once: Once) -> Prepared {
        let subkeys = Box::new(Subkeys::new(key, &once.salt));
        let (stream, key_check) = (subkeys.stream(), subkeys.key_check());
        Prepared { once, key_id: key.id(), cipher: key.cipher(), subkeys, stream, key_check }
    }

    /// The key that it was derived from.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// As [`seal_into`](crate::seal_into), with this capsule's key. The [`Reopen`] opens the capsule again, and derives nothing for it.
    ///
    /// # Errors
    /// As [`seal_into`](crate::seal_into).
    pub fn seal_into(
        mut self,
        stamp: &Stamp<'_>,
        plain: &[u8],
        capsule: &mut Vec<u8>,
    ) -> Result<(Header, Reopen), SealError> {
        self.once.created_unix_ms = unix_ms();
        let (header, chunks) = self.begin(stamp, Some(plain.len() as u64))?;
        seal_by(&chunks, plain, capsule)?;
        Ok((header.clone(), Reopen { header, chunks }))
    }

    /// The header of a capsule whose state is `declared` long, or of a length that nobody knows yet, and who seals its chunks.
    pub(crate) fn begin(
        self,
        stamp: &Stamp<'_>,
        declared: Option<u64>,
    ) -> Result<(Header, Chunks), SealError> {
        stamp.check()?;
        let Prepared { once, key_id, cipher, subkeys, stream, key_check } = self;
        let chunk_len = layout::chunk_len(once.chunk_log2).expect("ours, or a test's that takes care");
        if let Some(len) = declared.filter(|len| !layout::is_countable(*len, chunk_len)) {
            return Err(SealError::TooLarge { len });
        }
        let header = Header {
            format: FORMAT,
            service: stamp.service.to_owned(),
            plugin: stamp.plugin.to_owned(),
            plugin_version: stamp.plugin_version.to_owned(),
            schema: stamp.schema,
            sequence: stamp.sequence,
            generation: stamp.generation,
            created_unix_ms: once.created_unix_ms,
            key_id,
            cipher,
            plain_len: declared.unwrap_or(0),
            content_type: stamp.content_type.to_owned(),
        };
        let mut head = encode(&header, &once.salt, &key_check, once.chunk_log2, declared);
        let tag = subkeys.header_tag(&head);
        head.extend_from_slice(&tag);
        Ok((header, Chunks::new(stream, head, chunk_len)))
    }
}

impl fmt::Debug for Prepared {
    // By hand: the derived one would print keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prepared").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Opens one capsule, for whoever has just sealed it.
pub struct Reopen {
    header: Header,
    chunks: Chunks,
}

impl Reopen {
    /// As [`KeyRing::open_into`], which any other capsule goes to. This one has the very header that was written here, so that nothing is
    /// derived again to tell; its chunks are authenticated as always. It is opened whatever `keys` holds by now.
    ///
    /// # Errors
    /// As [`KeyRing::open_into`].
    pub fn open_into(
        &self,
        keys: &KeyRing,
        service: &str,
        sealed: &[u8],
        plain: &mut Zeroizing<Vec<u8>>,
    ) -> Result<Header, OpenError> {
        let Self { header, chunks } = self;
        let body = sealed.strip_prefix(chunks.head()).filter(|body| {
            header.service == service
                && layout::sealed_len(header.plain_len, chunks.len()) == body.len() as u64
        });
        match body {
            Some(body) => {
                opened_by(chunks, header.plain_len, true, body, plain)?;
                Ok(header.clone())
            }
            None => keys.open_into(service, sealed, plain),
        }
    }
}

impl fmt::Debug for Reopen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reopen").field("header", &self.header).finish_non_exhaustive()
    }
}
