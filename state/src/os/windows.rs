//! Windows.
//!
//! There are no mode bits: who can use a file is what the access list of its folder hands down to it. Under a
//! user's profile that is the user, the system and the administrators. Nothing here narrows or examines it.

#![allow(unsafe_code, reason = "a durable rename is a call of the Windows API that std does not make")]

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::windows::ffi::OsStrExt as _;
use std::path::Path;

use windows_sys::Win32::Storage::FileSystem::{
    MOVE_FILE_FLAGS, MOVEFILE_REPLACE_EXISTING, MOVEFILE_WRITE_THROUGH, MoveFileExW,
};

use crate::durable::folder_of;
use crate::error::KeyError;

/// Opens a file for reading, and nothing but a file.
pub(crate) fn open_file(path: &Path) -> io::Result<File> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    Ok(file)
}

/// Creates a file; the name must be free.
pub(crate) fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}

/// Makes one folder.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path)
}

/// See the module: there is nothing to judge by.
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
pub(crate) fn rename_over(from: &Path, to: &Path) -> io::Result<()> {
    move_file(from, to, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)
}

/// Gives the file `from` the name `to`, in one step, if that is free; returns when that is on the disk.
pub(crate) fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    move_file(from, to, MOVEFILE_WRITE_THROUGH)
}

/// Forces a file to the disk.
pub(crate) fn sync(file: &File) -> io::Result<()> {
    file.sync_all()
}

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

fn move_file(from: &Path, to: &Path, flags: MOVE_FILE_FLAGS) -> io::Result<()> {
    let (from, to) = (wide(from)?, wide(to)?);
    // SAFETY: both point to UTF-16 that ends in zero and outlives the call, which keeps neither.
    match unsafe { MoveFileExW(from.as_ptr(), to.as_ptr(), flags) } {
        0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
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
