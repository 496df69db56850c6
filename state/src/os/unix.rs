//! Linux, macOS and their kin.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::error::KeyError;

/// Opens a file for reading, and nothing but a file.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    // Opening a FIFO waits for a writer, for ever if need be, unless told not to. Files do not mind.
    let file =
        OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed()).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Creates a file that only its owner can use; the name must be free.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Makes one folder that only its owner can use.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Whether only we, or root, who can read it anyhow, can use the key file that `metadata` is of.
pub(crate) fn check_private(metadata: &Metadata, path: &Path) -> Result<(), KeyError> {
    judge(metadata.uid(), metadata.mode() & 0o777, rustix::process::geteuid().as_raw(), path)
}

/// The same for a file that a service manager laid down, where the group's right to read is an access list's.
pub(crate) fn check_credential(metadata: &Metadata, path: &Path) -> Result<(), KeyError> {
    judge(metadata.uid(), metadata.mode() & 0o737, rustix::process::geteuid().as_raw(), path)
}

fn judge(owner: u32, mode: u32, user: u32, path: &Path) -> Result<(), KeyError> {
    if owner != user && owner != 0 {
        return Err(KeyError::Owner { path: path.to_owned(), owner, user });
    }
    if mode & 0o066 != 0 {
        return Err(KeyError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

/// A lock is advice here: it stays until the file is closed and keeps nobody from reading it.
pub(crate) fn ready_to_rename(_: &File) {}

/// Gives the file `from` the name `to`, in one step, whatever `to` was before.
pub(crate) fn rename_over(from: &Path, to: &Path, _: Duration) -> io::Result<()> {
    fs::rename(from, to)
}

/// Gives the file `from` the name `to`, in one step, if that is free.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // This file system does not know the flag (NFS is one): go on with what every Unix has.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            done => return Ok(done?),
        }
    }
    // A link never replaces. A crash between the two leaves both names on the same whole file.
    fs::hard_link(from, to)?;
    fs::remove_file(from)
}

/// Forces a file to the disk, in one try: also one that was interrupted is not made again.
///
/// On macOS it is made by `F_FULLFSYNC`, which makes the disk itself write what it holds. The manual names the file systems that
/// know it; on others, such as those of networks, `fsync` is all there is, and no snapshot at all would be worse. Not run on
/// macOS yet.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    #[cfg(target_vendor = "apple")]
    match rustix::fs::fcntl_fullfsync(file) {
        Err(Errno::INVAL | Errno::NOTSUP | Errno::NOTTY) => {}
        done => return Ok(done?),
    }
    Ok(rustix::fs::fsync(file)?)
}

/// Lets the system begin to write this part of a file to the disk, and waits for nothing: [`sync`] does, and hears of what failed.
///
/// Pages that are not wanted any more are what Linux writes at once. They stay until they are written, so nothing is read again.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn begin_write_back(file: &File, from: u64, len: u64) {
    // Advice; without it the sync takes longer.
    let _ = rustix::fs::fadvise(file, from, std::num::NonZeroU64::new(len), rustix::fs::Advice::DontNeed);
}

/// Nothing: elsewhere there is no such advice, and the sync writes it all.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn begin_write_back(_: &File, _: u64, _: u64) {}

/// A folder, open so that the names in it can be forced to the disk.
pub(crate) struct Folder(File);

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Folder> {
        File::open(path).map(Folder)
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        match sync(&self.0) {
            // Some file systems (of networks and of virtual machines) do not let a folder be synced and say so
            // with these two. There is no better to be had there, and no snapshot at all would be worse.
            Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INVAL | Errno::NOTSUP)) => {
                Ok(())
            }
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_must_be_ours_or_roots_and_closed_to_others() {
        let path = Path::new("key");
        for (owner, user, mode) in [(1000, 1000, 0o600), (0, 1000, 0o400), (0, 0, 0o600)] {
            judge(owner, mode, user, path).unwrap();
        }
        for (owner, user) in [(1000, 0), (1000, 1001)] {
            assert!(matches!(judge(owner, 0o600, user, path), Err(KeyError::Owner { .. })));
        }
        for mode in [0o640, 0o620, 0o604, 0o602, 0o666] {
            assert!(matches!(judge(1000, mode, 1000, path), Err(KeyError::Exposed { .. })));
            assert!(matches!(judge(0, mode, 1000, path), Err(KeyError::Exposed { .. })));
        }
    }

    #[test]
    fn a_new_name_is_never_taken_from_another_file() {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        fs::write(&from, "from").unwrap();
        fs::write(&to, "to").unwrap();
        assert_eq!(rename_new(&from, &to).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&to).unwrap(), b"to");
        fs::remove_file(&to).unwrap();
        rename_new(&from, &to).unwrap();
        assert_eq!(fs::read(&to).unwrap(), b"from");
        assert!(!from.exists());
    }
}
