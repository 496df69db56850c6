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
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

#[cfg(unix)]
use unix::{others_at, others_of};
#[cfg(windows)]
use windows::{others_at, others_of};

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

/// Who else could have written this file, which was opened by that path, if it still is. By then the path may lead elsewhere.
pub(crate) fn of_file(path: &Path, opened: Option<&File>) -> Option<Exposed> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let others = opened.map_or_else(|| others_at(path, Place::Own), |file| others_of(file, Place::Own));
    told(path, others).or_else(|| of_folder(folder))
}

/// Who else could put files into this folder, or another folder in its place.
pub(crate) fn of_folder(path: &Path) -> Option<Exposed> {
    let unknown =
        |error: &io::Error| Exposed { path: path.to_owned(), why: format!("cannot be looked at: {error}") };
    // What was opened by another way than it was named by has other folders above it.
    let (real, named) = match (std::fs::canonicalize(path), std::path::absolute(path)) {
        (Ok(real), Ok(named)) => (real, named),
        (Err(error), _) | (_, Err(error)) => return Some(unknown(&error)),
    };
    let above = |path: &Path| told(path, others_at(path, Place::Above));
    told(&real, others_at(&real, Place::Own))
        .or_else(|| real.ancestors().skip(1).find_map(above))
        // Who may exchange a folder on the way as it is named leads to another one the next time, or did so a moment ago.
        .or_else(|| named.ancestors().filter(|named| !is_above(named, &real)).find_map(above))
}

/// Whether a folder is the other one, or above it, by their names.
fn is_above(folder: &Path, of: &Path) -> bool {
    // As `canonicalize` of Windows writes it.
    let of = of.to_str().and_then(|of| of.strip_prefix(r"\\?\")).map_or(of, Path::new);
    of.starts_with(folder)
}

fn told(path: &Path, others: io::Result<Option<String>>) -> Option<Exposed> {
    let why = match others {
        Ok(others) => others?,
        Err(error) => format!("cannot be looked at: {error}"),
    };
    Some(Exposed { path: path.to_owned(), why })
}
