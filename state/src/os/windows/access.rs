//! Access lists: what is only its owner's on Windows.
//!
//! Such a thing takes nothing over from the folder that it lies in. Beside its owner the system and the administrators can use
//! it, who can take it anyhow, as root can on Unix; what backs a machine up runs as one of these.

use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};

use windows_sys::Win32::Foundation::{HLOCAL, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSidToStringSidW, ConvertStringSecurityDescriptorToSecurityDescriptorW, SDDL_REVISION_1,
};
use windows_sys::Win32::Security::{
    GetTokenInformation, PSECURITY_DESCRIPTOR, SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};

/// The access list of what only its owner may use, in Windows' words for it (SDDL). For a folder, what is made in it gets the
/// same.
///
/// # Errors
/// The system does not say who runs this process.
pub fn owner_only(is_folder: bool) -> io::Result<String> {
    let user = user()?;
    let inherited = if is_folder { "OICI" } else { "" };
    let entries = ["SY", "BA", &user].map(|who| format!("(A;{inherited};GA;;;{who})"));
    Ok(format!("D:P{}", entries.concat()))
}

/// An access list that a file or folder can be made with.
pub(crate) struct OwnerOnly(PSECURITY_DESCRIPTOR);

impl OwnerOnly {
    pub(crate) fn new(is_folder: bool) -> io::Result<Self> {
        let text: Vec<u16> = owner_only(is_folder)?.encode_utf16().chain([0]).collect();
        let mut descriptor = std::ptr::null_mut();
        // SAFETY: the text ends in zero and outlives the call; where that succeeds, what it writes is ours to free.
        let done = unsafe {
            ConvertStringSecurityDescriptorToSecurityDescriptorW(
                text.as_ptr(),
                SDDL_REVISION_1,
                &raw mut descriptor,
                std::ptr::null_mut(),
            )
        };
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(descriptor)) }
    }

    /// As the system's functions take it; while this value lives.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or_default(),
            lpSecurityDescriptor: self.0,
            bInheritHandle: 0,
        }
    }
}

impl Drop for OwnerOnly {
    fn drop(&mut self) {
        free(self.0);
    }
}

/// The user that runs this process, by the number that Windows knows users by.
fn user() -> io::Result<String> {
    let mut token = std::ptr::null_mut();
    // SAFETY: the first call takes nothing, and what it answers stands for this process.
    let this = unsafe { GetCurrentProcess() };
    // SAFETY: `token` outlives the call, which writes a handle to it that is ours to close.
    if unsafe { OpenProcessToken(this, TOKEN_QUERY, &raw mut token) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle was just made for us, and nobody else has it.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // Words, since what is written there begins with a pointer. A number has 68 bytes at most.
    let mut told = [0u64; 32];
    let (size, mut needed) = (u32::try_from(size_of_val(&told)).unwrap_or_default(), 0);
    // SAFETY: `told` is as long as is named and outlives the call.
    let done = unsafe {
        GetTokenInformation(token.as_raw_handle(), TokenUser, told.as_mut_ptr().cast(), size, &raw mut needed)
    };
    if done == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has written one there, and `told` is aligned for it.
    let user = unsafe { told.as_ptr().cast::<TOKEN_USER>().read() };
    let mut text = std::ptr::null_mut();
    // SAFETY: the number lies in `told`; where the call succeeds, what it writes is ours to free.
    if unsafe { ConvertSidToStringSidW(user.User.Sid, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it ends in zero.
    let len = (0..).take_while(|&at| unsafe { text.wrapping_add(at).read() } != 0).count();
    // SAFETY: so many were just read.
    let name = String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, len) });
    free(text.cast());
    Ok(name)
}

fn free(what: HLOCAL) {
    // SAFETY: both callers own it and do not use it again.
    unsafe { LocalFree(what) };
}

#[cfg(test)]
mod tests {
    use std::os::windows::ffi::OsStrExt as _;
    use std::path::Path;

    use windows_sys::Win32::Security::Authorization::{
        ConvertSecurityDescriptorToStringSecurityDescriptorW, GetNamedSecurityInfoW, SE_FILE_OBJECT,
    };
    use windows_sys::Win32::Security::DACL_SECURITY_INFORMATION;

    use super::*;

    /// The access list of a file, as Windows writes it.
    fn list(path: &Path) -> String {
        let name: Vec<u16> = path.as_os_str().encode_wide().chain([0]).collect();
        let (mut descriptor, mut text) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the name ends in zero; nulls stand for what is not asked for; what is written is ours to free.
        let failed = unsafe {
            GetNamedSecurityInfoW(
                name.as_ptr(),
                SE_FILE_OBJECT,
                DACL_SECURITY_INFORMATION,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                &raw mut descriptor,
            )
        };
        assert_eq!(failed, 0);
        let mut len = 0;
        // SAFETY: the descriptor was just written; where the call succeeds, what it writes is ours to free.
        let done = unsafe {
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor,
                SDDL_REVISION_1,
                DACL_SECURITY_INFORMATION,
                &raw mut text,
                &raw mut len,
            )
        };
        assert_ne!(done, 0);
        // SAFETY: so many were written, the last a zero.
        let told = String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, len as usize) });
        free(text.cast());
        free(descriptor);
        told.trim_end_matches('\0').to_owned()
    }

    #[test]
    fn what_is_private_is_open_to_its_owner_and_to_who_runs_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, file) = (folder.path().join("inner"), folder.path().join("file"));
        super::super::make_folder(&inner).unwrap();
        std::fs::write(inner.join("handed-down"), "").unwrap();
        super::super::create_private(&file).unwrap();
        let user = user().unwrap();
        for path in [&inner, &file] {
            let told = list(path);
            let entries: Vec<&str> = told.split('(').skip(1).collect();
            assert!(!entries.is_empty(), "{told}");
            for entry in entries {
                let who = entry.trim_end_matches(')').rsplit(';').next().unwrap();
                // By number, or by the short names that Windows has for some.
                assert!(
                    [user.as_str(), "SY", "BA", "LA", "S-1-5-18", "S-1-5-32-544"].contains(&who),
                    "{told}"
                );
            }
        }
        // And it can be used.
        std::fs::write(&file, "mine").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
        assert_eq!(std::fs::read(inner.join("handed-down")).unwrap(), b"");
    }
}
