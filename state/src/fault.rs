//! Faults on demand: points at which a test lets a write fail, come up short, or the process die. Compiled out without the feature
//! `fault-injection`, which no release has.
//!
//! A test names them in the environment of the program that it starts, in the language of the crate `fail`: for all files
//! `FAILPOINTS="file_sync=return(no luck)"`, for one `FAILPOINTS="file_sync@state/echo.state=return(no luck)"`. `return(kill)` ends the
//! process there: nothing is flushed and nothing cleaned up. The points are the steps of a write, `file_open_folder`, `file_create`,
//! `file_write`, `file_sync`, `file_keep`, `file_rename` and `file_sync_folder`; `file_short`, before each call that writes, where
//! `return(7)` lets it take seven bytes; and `file_prune` of a service, before each file that is one too many is removed.

use std::io;
use std::path::Path;

/// Fails, panics, hangs or dies here, if a test says so for this point, or for this point of this file or service.
///
/// # Errors
/// The test's.
#[cfg(feature = "fault-injection")]
pub fn point(name: &str, of: &str) -> io::Result<()> {
    let injected = |text: Option<String>| Err(fault(text));
    fail::fail_point!(name, injected);
    fail::fail_point!(&format!("{name}@{of}"), injected);
    Ok(())
}

/// Nothing fails here on demand.
#[cfg(not(feature = "fault-injection"))]
#[inline(always)]
pub(crate) fn point(_: &str, _: &str) -> io::Result<()> {
    Ok(())
}

/// The same of a file.
pub(crate) fn at_file(name: &str, path: &Path) -> io::Result<()> {
    if cfg!(feature = "fault-injection") { point(name, &name_of(path)) } else { Ok(()) }
}

/// How many bytes the next call that writes to what is to become the file `path` takes.
pub(crate) fn most(path: &Path) -> io::Result<usize> {
    match at_file("file_short", path) {
        Ok(()) => Ok(usize::MAX),
        Err(error) => error.to_string().parse().map_err(|_| error),
    }
}

/// With its folder: there is more than one file of a name.
fn name_of(path: &Path) -> String {
    let last = |path: Option<&Path>| {
        path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned()
    };
    format!("{}/{}", last(path.parent()), last(Some(path)))
}

#[cfg(feature = "fault-injection")]
fn fault(text: Option<String>) -> io::Error {
    match text.as_deref() {
        // No destructor runs and no buffer is flushed, on every system alike.
        Some("kill") => std::process::abort(),
        text => io::Error::other(text.unwrap_or("a fault").to_owned()),
    }
}
