//! By owner and access list.

use std::fs::File;
use std::io;
use std::os::windows::fs::OpenOptionsExt as _;
use std::os::windows::io::AsHandle as _;
use std::path::Path;

use hotbay_state::Security;
use windows_sys::Win32::Storage::FileSystem::{FILE_FLAG_BACKUP_SEMANTICS, READ_CONTROL};

use super::Place;
use super::access_list::{REPLACE, WRITE, is_ours, other_with};

/// Who else may write there, in words.
pub(super) fn others_at(path: &Path, place: Place) -> io::Result<Option<String>> {
    // Folders as well, and to look at them only.
    let opened =
        File::options().access_mode(READ_CONTROL).custom_flags(FILE_FLAG_BACKUP_SEMANTICS).open(path)?;
    others_of(&opened, place)
}

/// The same of what is open, and was opened to be read.
pub(super) fn others_of(file: &File, place: Place) -> io::Result<Option<String>> {
    let security = Security::of(file.as_handle())?;
    let user = Security::user()?;
    if !is_ours(security.owner(), &user) {
        return Ok(Some(format!("belongs to {}, and this host runs as {user}", security.owner())));
    }
    let rights = match place {
        Place::Own => WRITE,
        Place::Above => REPLACE,
    };
    let other = other_with(security.list(), &user, rights);
    Ok(other.map(|who| format!("can be written by {who}; `icacls` shows and ends that")))
}
