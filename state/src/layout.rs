//! How long things are: chunks, and what is made of them.

use crate::cipher::TAG;
use crate::header::MAX_HEADER;

/// 64 KiB, as a power of two. Of 4 KiB to 1 MiB, `aes-gcm` is as fast with each; a reader holds one or two, and its plain
/// text is let go of as soon.
pub(crate) const CHUNK_LOG2: u8 = 16;

/// What is read; a reader needs memory for a chunk, and takes no more for it than this by the word of a header.
const CHUNKS_LOG2: std::ops::RangeInclusive<u8> = 6..=20;

/// As many chunks as the counter in a nonce tells apart.
const MAX_CHUNKS: u64 = 1 << 32;

/// The longest state that can be sealed: 256 TiB, where the counter of chunks ends.
pub const MAX_PLAIN: u64 = MAX_CHUNKS << CHUNK_LOG2;

/// What a store holds of a state in memory, at most: 16 MiB. What is longer is sealed and opened chunk by chunk.
pub const HELD: u64 = 16 << 20;

/// The most bytes that the capsule of so many bytes of state can have, whatever its stamp says.
#[must_use]
pub fn max_sealed_len(plain: u64) -> u64 {
    sealed_len(plain, 1 << CHUNK_LOG2).saturating_add(MAX_HEADER as u64)
}

/// The length of a chunk, by what a header says of it.
pub(crate) fn chunk_len(log2: u8) -> Option<usize> {
    CHUNKS_LOG2.contains(&log2).then(|| 1 << log2)
}

/// How many chunks so many bytes of state have: all are full but the last, which is empty only if the state is.
pub(crate) fn chunks(plain: u64, chunk_len: usize) -> u64 {
    plain.div_ceil(chunk_len as u64).max(1)
}

pub(crate) fn is_countable(plain: u64, chunk_len: usize) -> bool {
    chunks(plain, chunk_len) <= MAX_CHUNKS
}

/// The length of all chunks of so many bytes of state.
pub(crate) fn sealed_len(plain: u64, chunk_len: usize) -> u64 {
    plain.saturating_add(chunks(plain, chunk_len).saturating_mul(TAG as u64))
}

/// The length of the state that so many bytes of chunks hold; if they hold none, the least that do which are longer.
pub(crate) fn plain_len(sealed: u64, chunk_len: usize) -> Result<u64, u64> {
    let (full, tag) = (chunk_len as u64 + TAG as u64, TAG as u64);
    let last = sealed % full;
    match sealed / full {
        0 if last < tag => Err(tag),
        0 => Ok(last - tag),
        // An empty chunk is none behind another.
        before if (1..=tag).contains(&last) => Err((before * full).saturating_add(tag + 1)),
        before => Ok(before * chunk_len as u64 + last.saturating_sub(tag)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_of_a_state_has_one_length_of_its_chunks() {
        let mut next = 0;
        for plain in 0..1000 {
            let sealed = sealed_len(plain, 64);
            for none in next..sealed {
                let Err(least) = plain_len(none, 64) else { panic!("{none}") };
                assert_eq!(least, sealed, "{none}");
            }
            assert_eq!(plain_len(sealed, 64), Ok(plain));
            next = sealed + 1;
        }
    }

    #[test]
    fn no_length_overflows() {
        for len in [u64::MAX, u64::MAX - 1, u64::MAX / 80 * 80, MAX_PLAIN, MAX_PLAIN + 1] {
            for log2 in CHUNKS_LOG2 {
                let chunk_len = chunk_len(log2).unwrap();
                assert!(sealed_len(len, chunk_len) >= len);
                let _ = plain_len(len, chunk_len);
            }
            assert!(max_sealed_len(len) >= len);
        }
        assert!(is_countable(MAX_PLAIN, 1 << CHUNK_LOG2) && !is_countable(MAX_PLAIN + 1, 1 << CHUNK_LOG2));
        assert_eq!([5, 6, 20, 21, 64, 255].map(chunk_len), [None, Some(64), Some(1 << 20), None, None, None]);
    }
}
