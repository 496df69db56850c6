//! Where a host listens, as a function of its home folder.

use std::path::Path;

#[cfg(unix)]
mod unix;
#[cfg(unix)]
pub(super) use unix::Endpoint;
#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub(super) use windows::Endpoint;

/// A short name for a home folder that no other home has; `home` is canonical.
fn short_name(home: &Path) -> String {
    blake3::hash(home.as_os_str().as_encoded_bytes()).to_hex()[..32].to_owned()
}
