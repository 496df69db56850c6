//! Access lists: what is only its owner's on Windows.
//!
//! Such a thing takes nothing over from the folder that it lies in. Beside its owner the system and the administrators can use
//! it, who can take it anyhow, as root can on Unix; what backs a machine up runs as one of these.

use std::io;
use std::os::windows::io::{AsRawHandle as _, BorrowedHandle, FromRawHandle as _, OwnedHandle};

use windows_sys::Win32::Foundation::{HLOCAL, LocalFree};
use windows_sys::Win32::Security::Authorization::{
    ConvertSecurityDescriptorToStringSecurityDescriptorW, ConvertSidToStringSidW,
    ConvertStringSecurityDescriptorToSecurityDescriptorW, GetSecurityInfo, SDDL_REVISION_1, SE_KERNEL_OBJECT,
};
use windows_sys::Win32::Security::{
    DACL_SECURITY_INFORMATION, GetTokenInformation, OWNER_SECURITY_INFORMATION, PSECURITY_DESCRIPTOR, PSID,
    SECURITY_ATTRIBUTES, TOKEN_QUERY, TOKEN_USER, TokenUser,
};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, OpenProcessToken};
use windows_sys::core::PWSTR;

/// Owner and access list of what only its owner may use, in Windows' words for them (SDDL). For a folder, what is made in it gets the
/// same.
///
/// # Errors
/// The system does not say who runs this process.
pub fn owner_only(is_folder: bool) -> io::Result<String> {
    let user = user()?;
    let inherited = if is_folder { "OICI" } else { "" };
    let entries = ["SY", "BA", &user].map(|who| format!("(A;{inherited};GA;;;{who})"));
    // The owner is named: by default it may be a group that the user is of.
    Ok(format!("O:{user}D:P{}", entries.concat()))
}

/// An access list that a file or folder can be made with.
pub(crate) struct OwnerOnly(Descriptor);

/// What the system has made for us to say who owns something and who can use it.
struct Descriptor(PSECURITY_DESCRIPTOR);

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
        if done == 0 { Err(io::Error::last_os_error()) } else { Ok(Self(Descriptor(descriptor))) }
    }

    /// As the system's functions take it; while this value lives.
    pub(crate) fn attributes(&self) -> SECURITY_ATTRIBUTES {
        SECURITY_ATTRIBUTES {
            nLength: u32::try_from(size_of::<SECURITY_ATTRIBUTES>()).unwrap_or_default(),
            lpSecurityDescriptor: self.0.0,
            bInheritHandle: 0,
        }
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        free(self.0);
    }
}

/// Whose an object of the system's is, such as a file or a pipe, and who can use it.
#[derive(Debug)]
pub struct Security {
    /// The owner, by the number that Windows knows users by.
    owner: String,
    /// The access list, in Windows' words for it (SDDL).
    list: String,
}

/// The system and the administrators, by number and by the short names of access lists.
const MACHINE: [&str; 4] = [SYSTEM, ADMINISTRATORS, "SY", "BA"];
const SYSTEM: &str = "S-1-5-18";
const ADMINISTRATORS: &str = "S-1-5-32-544";

impl Security {
    /// That of an open object.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn of(object: BorrowedHandle<'_>) -> io::Result<Self> {
        const WANTED: u32 = OWNER_SECURITY_INFORMATION | DACL_SECURITY_INFORMATION;
        let (mut owner, mut descriptor) = (std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: the handle is open; nulls stand for what is not asked for; what is written is ours to free, and `owner` lies in it.
        let failed = unsafe {
            GetSecurityInfo(
                object.as_raw_handle(),
                SE_KERNEL_OBJECT,
                WANTED,
                &raw mut owner,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                std::ptr::null_mut(),
                &raw mut descriptor,
            )
        };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed.cast_signed()));
        }
        let descriptor = Descriptor(descriptor);
        let (mut text, mut len) = (std::ptr::null_mut(), 0);
        // SAFETY: the descriptor was just written; where the call succeeds, what it writes is ours to free.
        let done = unsafe {
            ConvertSecurityDescriptorToStringSecurityDescriptorW(
                descriptor.0,
                SDDL_REVISION_1,
                DACL_SECURITY_INFORMATION,
                &raw mut text,
                &raw mut len,
            )
        };
        if done == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self { owner: number(owner)?, list: taken(text) })
    }

    /// The user that runs this process, by the number that Windows knows users by.
    ///
    /// # Errors
    /// The system does not say.
    pub fn user() -> io::Result<String> {
        user()
    }

    /// The owner, by the number that Windows knows users by.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// The access list, in Windows' words for it (SDDL).
    #[must_use]
    pub fn list(&self) -> &str {
        &self.list
    }

    /// Whether it belongs to the user that runs this process, or to who runs the machine.
    ///
    /// # Errors
    /// The system does not say who runs this process.
    pub fn is_owners(&self) -> io::Result<bool> {
        Ok(MACHINE.contains(&self.owner.as_str()) || self.owner == user()?)
    }

    /// Whether nobody else can use it than its owner, if that is the user that runs this process, and who runs the machine.
    ///
    /// # Errors
    /// The system does not say who runs this process.
    pub fn lets_in_nobody_else(&self) -> io::Result<bool> {
        let user = user()?;
        // One without a list is everybody's.
        let entries: Vec<&str> = self.list.split('(').skip(1).collect();
        let is_ours = |entry: &&str| {
            let who = entry.split(')').next().and_then(|entry| entry.rsplit(';').next()).unwrap_or_default();
            // The short name is of the machine's first user, who is one of the administrators.
            MACHINE.contains(&who) || who == user || who == "LA"
        };
        Ok(!entries.is_empty() && entries.iter().all(is_ours))
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
    number(user.User.Sid)
}

/// A user's number, which lies in memory that the caller has.
fn number(user: PSID) -> io::Result<String> {
    let mut text = std::ptr::null_mut();
    // SAFETY: the callers see to it that the number is there; where the call succeeds, what it writes is ours to free.
    if unsafe { ConvertSidToStringSidW(user, &raw mut text) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(taken(text))
}

/// A text that the system has made for us.
fn taken(text: PWSTR) -> String {
    // SAFETY: it ends in zero.
    let len = (0..).take_while(|&at| unsafe { text.wrapping_add(at).read() } != 0).count();
    // SAFETY: so many were just read.
    let copy = String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, len) });
    free(text.cast());
    copy
}

fn free(what: HLOCAL) {
    // SAFETY: the callers own it and do not use it again.
    unsafe { LocalFree(what) };
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::windows::fs::OpenOptionsExt as _;
    use std::os::windows::io::AsHandle as _;
    use std::path::Path;

    use super::*;

    /// A file or folder, opened to look at it only.
    fn opened(path: &Path) -> File {
        /// Folders as well.
        const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
        File::options().read(true).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path).unwrap()
    }

    #[test]
    fn what_is_private_is_open_to_its_owner_and_to_who_runs_the_machine() {
        let folder = tempfile::tempdir().unwrap();
        let (inner, file) = (folder.path().join("inner"), folder.path().join("file"));
        super::super::make_folder(&inner).unwrap();
        std::fs::write(inner.join("handed-down"), "").unwrap();
        super::super::create_private(&file).unwrap();
        for path in [&inner, &file] {
            let security = Security::of(opened(path).as_handle()).unwrap();
            assert!(security.is_owners().unwrap(), "{security:?}");
            assert!(security.lets_in_nobody_else().unwrap(), "{security:?}");
        }
        // The test can fail: Windows' own folder is everybody's to read.
        let theirs = Security::of(opened(Path::new(r"C:\windows")).as_handle()).unwrap();
        assert!(!theirs.lets_in_nobody_else().unwrap(), "{theirs:?}");
        // And it can be used.
        std::fs::write(&file, "mine").unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"mine");
        assert_eq!(std::fs::read(inner.join("handed-down")).unwrap(), b"");
    }
}
