//! Windows.
//!
//! There are no mode bits: who can use a file is what its access list says, which by default is what its folder hands down.
//! What is private here gets a list of its own, see [`access`]; the list of a key file that somebody else made is not examined.

#![allow(
    unsafe_code,
    reason = "a durable rename and access lists are calls of the Windows API that std does not make"
)]

use std::fs::{self, File, Metadata};
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::FromRawHandle as _;
use std::path::Path;
use std::time::{Duration, Instant};

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION, GENERIC_WRITE, INVALID_HANDLE_VALUE,
};
use windows_sys::Win32::Storage::FileSystem::{
    CREATE_NEW, CreateDirectoryW, CreateFileW, FILE_ATTRIBUTE_NORMAL, FILE_SHARE_DELETE, FILE_SHARE_READ,
    FILE_SHARE_WRITE, MOVE_FILE_FLAGS, MOVEFILE_REPLACE_EXISTING, MOVEFILE_WRITE_THROUGH, MoveFileExW,
};

pub(crate) mod access;

use access::OwnerOnly;

use crate::durable::{IN_USE, folder_of};
use crate::error::KeyError;

/// The time between two tries to replace a file that is in use.
const BETWEEN: Duration = Duration::from_millis(10);

/// Opens a file for reading, and nothing but a file.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Creates a file that only its owner can use; the name must be free.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    let (name, owner_only) = (wide(path)?, OwnerOnly::new(false)?);
    let attributes = owner_only.attributes();
    // SAFETY: the name ends in zero; it, the attributes and the list that they point to outlive the call.
    let handle = unsafe {
        CreateFileW(
            name.as_ptr(),
            GENERIC_WRITE,
            FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE,
            &raw const attributes,
            CREATE_NEW,
            FILE_ATTRIBUTE_NORMAL,
            std::ptr::null_mut(),
        )
    };
    if handle == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just made for us, and nobody else has it.
    Ok(unsafe { File::from_raw_handle(handle) })
}

/// Makes one folder that only its owner can use, and so what is in it.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let (name, owner_only) = (wide(path)?, OwnerOnly::new(true)?);
    let attributes = owner_only.attributes();
    // SAFETY: the name ends in zero; it, the attributes and the list that they point to outlive the call.
    match unsafe { CreateDirectoryW(name.as_ptr(), &raw const attributes) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// See the module: a list is not examined.
pub(crate) fn check_private(_: &Metadata, _: &Path) -> Result<(), KeyError> {
    Ok(())
}

/// Windows: service managers there lay no such files.
pub(crate) fn check_credential(metadata: &Metadata, path: &Path) -> Result<(), KeyError> {
    check_private(metadata, path)
}

/// A lock is law here: who opened the file under its new name before we closed it could not read it.
pub(crate) fn ready_to_rename(file: &File) {
    // It fails where there was no lock to be had, and then there is none to give back.
    let _ = file.unlock();
}

/// Gives the file `from` the name `to`, in one step, whatever `to` was before; returns when that is on the disk.
pub(crate) fn rename_over(from: &Path, to: &Path, in_use: Duration) -> io::Result<()> {
    move_file(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH, in_use)
}

/// Gives the file `from` the name `to`, in one step, if that is free; returns when that is on the disk.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    move_file(from, to, MOVEFILE_WRITE_THROUGH, IN_USE)
}

/// Forces a file to the disk.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    file.sync_all()
}

/// Nothing: what is written through its cache Windows begins to write by itself, and has no call that asks for a part of it.
pub(crate) fn begin_write_back(_: &File, _: u64, _: u64) {}

/// A folder. Windows has no sync for one: the renames above write through.
pub(crate) struct Folder;

impl Folder {
    pub(crate) fn open(path: &Path) -> io::Result<Folder> {
        if fs::metadata(path)?.is_dir() { Ok(Folder) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether what is there may not be replaced, whoever has it open: a folder, or a file that is marked read-only.
#[must_use]
pub fn is_fixed(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|there| there.is_dir() || there.permissions().readonly())
}

fn move_file(from: &Path, to: &Path, flags: MOVE_FILE_FLAGS, in_use: Duration) -> io::Result<()> {
    let target = to;
    let (from, to) = (wide(from)?, wide(to)?);
    let begun = Instant::now();
    loop {
        // SAFETY: both point to UTF-16 that ends in zero and outlives the call, which keeps neither.
        if unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), flags) } != 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        // It is refused while somebody has either open, and there is somebody now and then: a reader, an indexer, a virus
        // scanner. What may not be replaced at all is refused at once.
        if !is_in_use(&error) || is_fixed(target) || begun.elapsed() >= in_use {
            return Err(error);
        }
        std::thread::park_timeout(BETWEEN);
    }
}

fn is_in_use(error: &io::Error) -> bool {
    error.raw_os_error().and_then(|code| u32::try_from(code).ok()).is_some_and(|code| {
        [ERROR_ACCESS_DENIED, ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION].contains(&code)
    })
}

/// The path as the API wants it. Its folder is made canonical, and with that `\\?\…`, since other paths are cut
/// at 260 characters; the file itself may not exist yet, or be a link, and keeps its name.
fn wide(path: &Path) -> io::Result<Vec<u16>> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let path = fs::canonicalize(folder_of(path))?.join(name);
    let mut wide: Vec<u16> = path.as_os_str().encode_wide().collect();
    if wide.contains(&0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "its path contains a zero"));
    }
    wide.push(0);
    Ok(wide)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_not_be_replaced_is_refused_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let [from, to] = ["from", "to"].map(|name| folder.path().join(name));
        fs::write(&from, "new").unwrap();
        fs::create_dir(&to).unwrap();
        let begun = Instant::now();
        rename_over(&from, &to, Duration::from_secs(600)).unwrap_err();
        assert!(begun.elapsed() < Duration::from_secs(300));
    }
}
