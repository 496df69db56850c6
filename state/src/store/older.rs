//! The snapshots that were the newest before: `older/<service>.<sequence>.state`.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::{EXTENSION, Listed, Store, look_at, make_folders, read_start, second_name};
use crate::durable;
use crate::error::{OpenError, StoreError};
use crate::fault;
use crate::header::{Frame, Header};
use crate::name;
use crate::open::{self, Opened};
use crate::ring::KeyRing;

#[cfg(test)]
mod tests;

const FOLDER: &str = "older";

/// No host gets there: with a snapshot each microsecond it takes 290,000 years. A number below it is believed without a proof.
const CLAIMED: u64 = 1 << 63;

impl Store {
    /// What is kept of a service beside its newest snapshot: by sequence, the highest first. A bad one does not hold up the others.
    ///
    /// # Errors
    /// [`StoreError::Service`], or [`StoreError::Folder`] if the folder cannot be read.
    pub fn older(&self, service: &str) -> Result<Vec<Listed>, StoreError> {
        let _ = self.checked_path(service)?;
        let all = self.older_of(service)?;
        Ok(all.into_iter().map(|(_, path)| look_at(path, service.to_owned())).collect())
    }

    /// The highest sequence of the files of a service, 0 if there are none: the next one is above it.
    ///
    /// Nothing is opened for a number that a host could have come to: it counts whether it is true or not, also where its key is not
    /// at hand. One of the upper half counts only where a header that one of `keys` has signed says the same: whoever makes up a file,
    /// or the name of one, cannot bring the numbers to their end.
    ///
    /// # Errors
    /// As [`Store::older`].
    pub fn highest(&self, keys: &KeyRing, service: &str) -> Result<u64, StoreError> {
        let newest = look_at(self.checked_path(service)?, service.to_owned());
        let newest = newest.header.ok().map(|header| (header.sequence, newest.path));
        let all = newest.into_iter().chain(self.older_of(service)?);
        let counts = |sequence, path: &Path| {
            sequence < CLAIMED || is_signed(keys, service, sequence, path).unwrap_or(false)
        };
        let counted = all.filter(|(sequence, path)| counts(*sequence, path)).map(|(sequence, _)| sequence);
        Ok(counted.max().unwrap_or(0))
    }

    /// Removes what is kept of a service beyond `keep` snapshots, the newest among them if its header can be read; how many files
    /// went. Those with the lowest sequences go. Whether the newest opens is for the caller to see.
    ///
    /// # Errors
    /// [`StoreError::Service`], or [`StoreError::Folder`] if the folder cannot be read or a file not be removed.
    pub fn prune(&self, service: &str, keep: usize) -> Result<usize, StoreError> {
        let newest = look_at(self.checked_path(service)?, service.to_owned());
        let mut removed = 0;
        // A newest that is none, or that may not open, does not count.
        let others = if newest.header.is_ok() { keep.max(1) - 1 } else { keep.max(1) };
        // One that is the newest as well, as after a crash between two steps, is no second one.
        let is_newest = |sequence: u64| newest.header.as_ref().is_ok_and(|h| h.sequence == sequence);
        let all = self.older_of(service)?;
        for (_, path) in all.into_iter().filter(|(s, _)| !is_newest(*s)).skip(others) {
            let removing = fault::point("file_prune", service);
            match removing.and_then(|()| fs::remove_file(&path)) {
                Ok(()) => removed += 1,
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(source) => return Err(StoreError::Folder { path, source }),
            }
        }
        Ok(removed)
    }

    /// Opens one of the snapshots that there are, by its number.
    ///
    /// # Errors
    /// [`StoreError::NoSuch`], or [`StoreError::Load`] with what is wrong with it.
    pub fn load_at(&self, keys: &KeyRing, service: &str, sequence: u64) -> Result<Opened, StoreError> {
        let path = self.path_at(service, sequence)?;
        if path == self.path(service) {
            return self.load(keys, service)?.ok_or_else(|| self.no_such(service, sequence, Vec::new()));
        }
        open_older(keys, service, sequence, &path).map_err(|source| StoreError::Load { path, source })
    }

    /// Where the snapshot of this number is.
    pub(super) fn path_at(&self, service: &str, sequence: u64) -> Result<PathBuf, StoreError> {
        let newest = look_at(self.checked_path(service)?, service.to_owned());
        let mut kept_ones: Vec<u64> = newest.header.iter().map(|header| header.sequence).collect();
        if kept_ones.contains(&sequence) {
            return Ok(newest.path);
        }
        for (kept, path) in self.older_of(service)? {
            if kept == sequence {
                return Ok(path);
            }
            kept_ones.push(kept);
        }
        Err(self.no_such(service, sequence, kept_ones))
    }

    /// Makes one of the snapshots that there are the newest again, as number `anew`, which is above all others: it is opened, and
    /// sealed with the primary. What was the newest is kept as after any save.
    ///
    /// # Errors
    /// As [`Store::load_at`] and [`Store::save`].
    pub fn restore(
        &self,
        keys: &KeyRing,
        service: &str,
        sequence: u64,
        anew: u64,
    ) -> Result<Header, StoreError> {
        let opened = self.load_at(keys, service, sequence)?;
        self.save_again(keys, &opened, anew)
    }

    /// Saves what was opened as number `anew`, sealed with the primary; all else it says of itself stays, save the time.
    ///
    /// # Errors
    /// As [`Store::save`].
    pub fn save_again(&self, keys: &KeyRing, opened: &Opened, anew: u64) -> Result<Header, StoreError> {
        let stamp = crate::Stamp { sequence: anew, ..opened.header.stamp() };
        self.save(keys.primary(), &stamp, &opened.plain)
    }

    /// Keeps the newest under its number; called when the next one is on the disk, and before it takes the name.
    pub(super) fn keep_under_number(&self, service: &str) -> io::Result<()> {
        let path = self.path(service);
        let header = match read_start(&path) {
            Ok((start, total)) => Frame::parse(&start, total).map(|(frame, _)| frame.header).ok(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(_) => None,
        };
        let Some(header) = header.filter(|header| header.service == service) else {
            // What cannot be read is never overwritten.
            self.keep_aside(service).map_err(io::Error::other)?;
            return Ok(());
        };
        if self.keep < 2 {
            return Ok(());
        }
        // The one that is on its way is worth more than a copy of the one before.
        if let Err(error) = self.keep_older(service, &path, header.sequence) {
            (self.lost)(&path, &error);
        }
        Ok(())
    }

    fn keep_older(&self, service: &str, path: &Path, sequence: u64) -> io::Result<()> {
        make_folders(&self.older_folder())?;
        let target = self.older_path(service, sequence);
        match second_name(path, &target) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                // An earlier attempt came this far, or it was put back from there.
                if !is_same(path, &target)? {
                    self.keep_aside(service).map_err(io::Error::other)?;
                }
                Ok(())
            }
            done => done,
        }
    }

    /// Removes what interrupted writes left where there are no second names of files.
    pub(super) fn clean_older(&self) {
        let Ok(entries) = fs::read_dir(self.older_folder()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let target = name.to_str().and_then(durable::meant_for).and_then(numbered);
            if target.is_some() {
                durable::remove_leftover(&entry.path());
            }
        }
    }

    /// Sequences and files of a service, the highest first.
    pub(super) fn older_of(&self, service: &str) -> Result<Vec<(u64, PathBuf)>, StoreError> {
        let all = self.all_older()?.into_iter();
        let mut of: Vec<_> =
            all.filter(|(name, ..)| name == service).map(|(_, sequence, path)| (sequence, path)).collect();
        of.sort_unstable_by(|a, b| b.cmp(a));
        Ok(of)
    }

    /// Service, sequence and file of all that is kept.
    pub(super) fn all_older(&self) -> Result<Vec<(String, u64, PathBuf)>, StoreError> {
        let folder = self.older_folder();
        let entries = match fs::read_dir(&folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::Folder { path: folder, source }),
        };
        let of = |entry: fs::DirEntry| {
            let name = entry.file_name();
            let (service, sequence) = numbered(name.to_str()?)?;
            Some((service.to_owned(), sequence, entry.path()))
        };
        Ok(entries.into_iter().filter_map(of).collect())
    }

    /// The sequence has all its digits, so that names sort as numbers do.
    pub(super) fn older_path(&self, service: &str, sequence: u64) -> PathBuf {
        self.older_folder().join(format!("{service}.{sequence:020}{EXTENSION}"))
    }

    pub(super) fn older_folder(&self) -> PathBuf {
        self.folder.join(FOLDER)
    }

    fn no_such(&self, service: &str, sequence: u64, kept_ones: Vec<u64>) -> StoreError {
        StoreError::NoSuch { service: service.to_owned(), sequence, kept_ones }
    }
}

pub(super) const OF_ANOTHER_NAME: &str = "its sequence is not that of its name";

/// Opens a file of `older/`: it must be the snapshot that its name says.
fn open_older(keys: &KeyRing, service: &str, sequence: u64, path: &Path) -> Result<Opened, OpenError> {
    let sealed = super::read(path).map_err(|source| OpenError::Read { source })?;
    let opened = keys.open(service, &sealed)?;
    if opened.header.sequence != sequence {
        return Err(OpenError::BadHeader { problem: OF_ANOTHER_NAME });
    }
    Ok(opened)
}

/// Whether a file's header is of this number, and one of the keys says that it is authentic. What it holds may be damaged.
fn is_signed(keys: &KeyRing, service: &str, sequence: u64, path: &Path) -> io::Result<bool> {
    let (start, total) = read_start(path)?;
    let Ok((frame, head)) = Frame::parse(&start, total) else { return Ok(false) };
    let Some(key) = keys.get(frame.header.key_id).filter(|_| frame.header.sequence == sequence) else {
        return Ok(false);
    };
    // Format 1 has no signed header, and no host that wrote it came this far.
    let unlocked = open::unlock(key, service, &frame, &start[..head]);
    Ok(matches!(unlocked, Ok(open::Unlocked::Chunks { .. })))
}

/// Service and sequence of a file's name. No service has a dot in its name.
fn numbered(file_name: &str) -> Option<(&str, u64)> {
    let (service, sequence) = file_name.strip_suffix(EXTENSION)?.split_once('.')?;
    let is_number = sequence.len() == 20 && sequence.bytes().all(|b| b.is_ascii_digit());
    (name::is_service(service) && is_number).then_some(())?;
    Some((service, sequence.parse().ok()?))
}

/// Whether two files are one capsule: no two have the same salt, and that stands in the first bytes.
pub(super) fn is_same(one: &Path, other: &Path) -> io::Result<bool> {
    Ok(read_start(one)? == read_start(other)?)
}
