//! Who else could have written a file: by owner and mode of the file, its folder, and all folders above.
//!
//! Others may write where the owner is neither this user nor root, or the mode lets them. A group counts as others unless it
//! is the user's own: one of the same name that nobody else is in, as many systems give each user. A folder above that is
//! sticky, as `/tmp` is, is fine: others cannot take away there what is not theirs. An access list of POSIX shows in the
//! group's bits, where it lets anybody write, and has the group count as others.
//!
//! Not seen: access lists of macOS and of NFS 4, and who had the file open for writing before.

#[cfg(any(windows, test))]
mod access_list;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::fmt;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use unix::others_at;
#[cfg(windows)]
use windows::others_at;

/// That others may write somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Exposed {
    pub(crate) path: PathBuf,
    pub(crate) why: String,
}

impl fmt::Display for Exposed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.why.starts_with('`') {
            // It was told before, of another place.
            return f.write_str(&self.why);
        }
        write!(f, "`{}` {}", self.path.display(), self.why)
    }
}

/// What a path is in the eyes of who wants to write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// The file, or the folder that it lies in.
    Own,
    /// A folder above: who may add names there does no harm, who may take names away does.
    Above,
}

/// Who else could have written this file.
pub(crate) fn of_file(path: &Path) -> Option<Exposed> {
    let folder = path.parent().unwrap_or(Path::new("."));
    at(path, Place::Own).or_else(|| of_folder(folder))
}

/// Who else could put files into this folder, or another folder in its place.
pub(crate) fn of_folder(path: &Path) -> Option<Exposed> {
    // What was opened by another way than it was named by has other folders above it.
    let real = match std::fs::canonicalize(path) {
        Ok(real) => real,
        Err(error) => {
            return Some(Exposed { path: path.to_owned(), why: format!("cannot be looked at: {error}") });
        }
    };
    at(&real, Place::Own).or_else(|| real.ancestors().skip(1).find_map(|above| at(above, Place::Above)))
}

fn at(path: &Path, place: Place) -> Option<Exposed> {
    let why = match others_at(path, place) {
        Ok(others) => others?,
        Err(error) => format!("cannot be looked at: {error}"),
    };
    Some(Exposed { path: path.to_owned(), why })
}
