//! What is left of a disk.

use std::io;
use std::path::Path;

/// What is free at some folder, for who is not root.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Space {
    pub(crate) bytes: u64,
    /// How many files more, where the file system has a limit.
    pub(crate) files: Option<u64>,
}

/// What is free where this folder lies.
#[cfg(unix)]
pub(crate) fn space(folder: &Path) -> io::Result<Space> {
    let told = rustix::fs::statvfs(folder)?;
    // Some file systems make room for files as they come, and tell of none.
    let files = (told.f_files > 0).then_some(told.f_favail);
    Ok(Space { bytes: told.f_bavail.saturating_mul(told.f_frsize), files })
}

/// What is free where this folder lies.
#[cfg(windows)]
pub(crate) fn space(folder: &Path) -> io::Result<Space> {
    use std::os::windows::ffi::OsStrExt as _;
    let name: Vec<u16> = folder.as_os_str().encode_wide().chain([0]).collect();
    let mut bytes = 0;
    let nothing = std::ptr::null_mut();
    // SAFETY: O24: the name ends in a zero, the number is there to be written, and the other two are not asked for.
    let told = unsafe {
        windows_sys::Win32::Storage::FileSystem::GetDiskFreeSpaceExW(
            name.as_ptr(),
            &mut bytes,
            nothing,
            nothing,
        )
    };
    if told == 0 { Err(io::Error::last_os_error()) } else { Ok(Space { bytes, files: None }) }
}
