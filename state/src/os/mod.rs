//! What each operating system does in its own way. Both twins have the same functions.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(unix)]
pub(crate) use unix::{
    Folder, begin_write_back, check_credential, check_private, create_private, make_folder, open_file,
    ready_to_rename, rename_new, rename_over, sync,
};
#[cfg(windows)]
pub(crate) use windows::{
    Folder, begin_write_back, check_credential, check_private, create_private, make_folder, open_file,
    ready_to_rename, rename_new, rename_over, sync,
};
#[cfg(windows)]
pub use windows::{
    access::{Security, owner_only},
    is_fixed,
};
