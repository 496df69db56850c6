//! How messages are laid on the wire: `u32` length, JSON, `u32` length, body; lengths little-endian.
//!
//! The body carries what is not ours to look at, requests and replies of plugins, byte for byte. What has any length follows its frame in
//! pieces, `u32` length and bytes each, an empty one last.

use std::io;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use zeroize::Zeroizing;

/// The longest JSON part. A full history is a hundredth of it.
pub const MAX_JSON: usize = 16 << 20;
/// The longest body. Larger data wants a file whose name is passed, not a message.
pub const MAX_BODY: usize = 64 << 20;

/// The longest piece of a stream.
pub const MAX_PIECE: usize = 256 << 10;

/// A frame that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The other side went away, or the connection failed.
    #[error("the connection ended")]
    Ended(#[from] io::Error),
    /// A length that nobody sends who speaks this protocol.
    #[error("a part of {len} bytes is longer than the limit of {limit}")]
    TooLong {
        /// What was announced.
        len: usize,
        /// What is allowed.
        limit: usize,
    },
    /// Not what was expected: the other side is of another version, or is no Hotbay.
    #[error("a message was not understood; are client and host of the same version?")]
    Json(#[from] serde_json::Error),
}

/// Sends one frame.
///
/// # Errors
/// What the connection says, or `InvalidData` for what [`read`] would refuse.
pub async fn write(
    into: &mut (impl AsyncWrite + Unpin),
    json: &impl Serialize,
    body: &[u8],
) -> io::Result<()> {
    let json = serde_json::to_vec(json)?;
    let mut frame = Vec::with_capacity(json.len() + body.len() + 8);
    for (part, limit) in [(&json[..], MAX_JSON), (body, MAX_BODY)] {
        let len = u32::try_from(part.len()).ok().filter(|_| part.len() <= limit);
        let len = len.ok_or_else(|| {
            let too_long = FrameError::TooLong { len: part.len(), limit };
            io::Error::new(io::ErrorKind::InvalidData, too_long)
        })?;
        frame.extend_from_slice(&len.to_le_bytes());
        frame.extend_from_slice(part);
    }
    into.write_all(&frame).await?;
    into.flush().await
}

/// Receives one frame.
///
/// # Errors
/// [`FrameError`]; nothing more can be read from the connection then.
pub async fn read<T: DeserializeOwned>(
    from: &mut (impl AsyncRead + Unpin),
) -> Result<(T, Vec<u8>), FrameError> {
    let json = part(from, MAX_JSON).await?;
    let body = part(from, MAX_BODY).await?;
    Ok((serde_json::from_slice(&json)?, body))
}

async fn part(from: &mut (impl AsyncRead + Unpin), limit: usize) -> Result<Vec<u8>, FrameError> {
    let len = from.read_u32_le().await? as usize;
    if len > limit {
        return Err(FrameError::TooLong { len, limit });
    }
    // Memory is taken as bytes arrive, not as they are announced.
    let mut bytes = Vec::new();
    from.take(len as u64).read_to_end(&mut bytes).await?;
    if bytes.len() < len {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(bytes)
}

/// Sends one piece of a stream, `u32` length and bytes; an empty one is its end.
///
/// # Errors
/// What the connection says.
pub async fn write_piece(into: &mut (impl AsyncWrite + Unpin), piece: &[u8]) -> io::Result<()> {
    let len = u32::try_from(piece.len()).ok().filter(|_| piece.len() <= MAX_PIECE);
    let len = len.ok_or(io::ErrorKind::InvalidInput)?;
    into.write_all(&len.to_le_bytes()).await?;
    into.write_all(piece).await?;
    into.flush().await
}

/// Receives one piece of a stream in place of what `piece` holds; empty at the end. It may be state in the clear, and is wiped.
///
/// # Errors
/// [`FrameError`]; nothing more can be read from the connection then.
pub async fn read_piece(
    from: &mut (impl AsyncRead + Unpin),
    piece: &mut Zeroizing<Vec<u8>>,
) -> Result<(), FrameError> {
    let len = from.read_u32_le().await? as usize;
    if len > MAX_PIECE {
        return Err(FrameError::TooLong { len, limit: MAX_PIECE });
    }
    piece.resize(len, 0);
    from.read_exact(piece).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read() {
        let mut wire = Vec::new();
        write(&mut wire, &"hello", b"\0\xff").await.unwrap();
        let mut wire = &wire[..];
        let (json, body): (String, _) = read(&mut wire).await.unwrap();
        assert_eq!((json.as_str(), &body[..]), ("hello", &b"\0\xff"[..]));
        assert!(wire.is_empty());
    }

    #[tokio::test]
    async fn half_a_frame_is_an_end_at_every_length() {
        let mut wire = Vec::new();
        write(&mut wire, &"hello", b"body").await.unwrap();
        for len in 0..wire.len() {
            let error = read::<String>(&mut &wire[..len]).await.unwrap_err();
            assert!(matches!(error, FrameError::Ended(_)), "{len}: {error}");
        }
    }

    #[tokio::test]
    async fn lengths_beyond_the_limits_are_not_waited_for() {
        let error = read::<String>(&mut &b"\xff\xff\xff\xff"[..]).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLong { .. }));
        let error = read::<String>(&mut &b"\x02\0\0\0\"\"\xff\xff\xff\x7f"[..]).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLong { .. }));
        assert!(write(&mut Vec::new(), &"", &vec![0; MAX_BODY + 1]).await.is_err());
    }
}
