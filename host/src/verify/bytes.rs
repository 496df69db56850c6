//! A file's bytes, read once, to where nobody else writes: what is checked here is what runs.

use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::ops::Deref;
use std::path::Path;

use memmap2::{Mmap, MmapMut, MmapOptions};

use super::{MAX_BYTES, VerifyError};
use crate::discover::Fingerprint;
use crate::kernel::margin;
use crate::os::{self, SealedFile};

/// For what is larger it is looked whether there is memory before it is read.
const LARGE: u64 = 64 << 20;

/// Memory that goes back to the system when it is dropped: a heap would keep a copy of each thread's largest plugin.
#[derive(Debug)]
pub(crate) enum Bytes {
    /// Of a sealed file, which the library will be mapped from.
    Sealed(SealedFile, Mmap),
    /// Where the system has no sealed files; a private copy of them will be mapped.
    Private(MmapMut),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Sealed(_, map) => map,
            Self::Private(map) => map,
        }
    }
}

impl Bytes {
    /// Reads the whole file, if it stands still.
    pub(super) fn read(file: &mut File, path: &Path, fingerprint: Fingerprint) -> Result<Self, VerifyError> {
        let len = file.metadata()?.len();
        if len == 0 {
            return Err(VerifyError::Empty);
        }
        let size =
            usize::try_from(len).ok().filter(|_| len <= MAX_BYTES).ok_or(VerifyError::TooLarge(len))?;
        if len > LARGE {
            // Before it is all in memory: who has none is ended by the system.
            margin::require(&os::means(0), len, 0).map_err(VerifyError::NoRoom)?;
        }
        let read = match sealed(file, path, len) {
            Ok(bytes) => Ok(bytes),
            Err(error) => {
                if error.kind() != io::ErrorKind::Unsupported {
                    tracing::debug!(%error, "`{}` is not read to a sealed file", path.display());
                }
                file.rewind().and_then(|()| private(file, size))
            }
        };
        // What was read is one content only if nothing moved meanwhile.
        if Fingerprint::of(&file.metadata()?) != fingerprint {
            return Err(VerifyError::Moving);
        }
        let bytes = read?;
        if bytes.len() != size {
            return Err(VerifyError::Read(io::ErrorKind::UnexpectedEof.into()));
        }
        Ok(bytes)
    }
}

fn sealed(file: &mut File, path: &Path, len: u64) -> io::Result<Bytes> {
    let sealed = SealedFile::copy_of(file, len, &path.file_stem().unwrap_or_default().to_string_lossy())?;
    let map = sealed.map()?;
    Ok(Bytes::Sealed(sealed, map))
}

fn private(file: &mut File, size: usize) -> io::Result<Bytes> {
    // With its pages: one by one, at their first touch, they would cost as much as the bytes.
    let mut bytes = MmapOptions::new().len(size).populate().map_anon()?;
    file.read_exact(&mut bytes)?;
    Ok(Bytes::Private(bytes))
}
