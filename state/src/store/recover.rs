//! What a service goes on from: its newest snapshot, or, loudly, the one before it.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::draft::draft_of;
use super::older::{OF_ANOTHER_NAME, is_same};
use super::{EXTENSION, Store, make_folders, read, second_name};
use crate::chunks::fill;
use crate::durable::{self, Onto};
use crate::error::{OpenError, StoreError};
use crate::head::Head;
use crate::header::Header;
use crate::name;
use crate::open::Opened;
use crate::os;
use crate::ring::KeyRing;
use crate::seal;

#[cfg(test)]
mod tests;

const FOLDER: &str = "quarantine";

/// What the name of the text beside a file has behind it.
const REASON: &str = ".reason";

/// What a service goes on from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// The snapshot; `None` if it has none.
    pub opened: Option<Opened>,
    /// What was damaged, and is in quarantine now; `opened` is an earlier one then, saved anew as the newest. When it was sealed
    /// first still stands in it.
    pub quarantined: Vec<Quarantined>,
    /// The number that the earlier one had.
    pub went_back_to: Option<u64>,
}

/// The same of a snapshot that need not be in memory.
#[derive(Debug)]
#[non_exhaustive]
pub struct Sought {
    /// The snapshot; `None` if it has none.
    pub whole: Option<Whole>,
    /// As in [`Found`].
    pub quarantined: Vec<Quarantined>,
    /// As in [`Found`].
    pub went_back_to: Option<u64>,
}

/// A snapshot of which every byte was seen to be authentic.
#[non_exhaustive]
pub struct Whole {
    /// What it says of itself.
    pub header: Header,
    /// The state; `None` where it was too long to be held: [`Store::open_at`] opens it once more.
    pub plain: Option<Zeroizing<Vec<u8>>>,
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // By hand: the derived one would print the state.
        f.debug_struct("Whole").field("header", &self.header).finish_non_exhaustive()
    }
}

/// A damaged file that was moved out of the way.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quarantined {
    /// Where it was.
    pub from: PathBuf,
    /// Where it is. Beside it, with `.reason` behind its name, lies a text with the reason.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl Store {
    /// Opens what a service is to go on from. A newest snapshot that is damaged moves to `quarantine/` with the reason beside it, and
    /// the one before it is made the newest again, as number `anew`; at no moment is there none. Where there is none before it, or
    /// `head` says that it was discarded, nothing moves. A wrong key is no damage, nor is another service's file or a newer format.
    ///
    /// # Errors
    /// [`StoreError::Load`] names the file and what is wrong with it, [`StoreError::Older`] where it is older than `head` knows,
    /// [`StoreError::Gone`] where there is none, and `head` or what is kept beside it tells that there was one. Nothing was touched.
    pub fn find(
        &self,
        keys: &KeyRing,
        head: &Head,
        service: &str,
        anew: impl FnOnce() -> u64,
    ) -> Result<Found, StoreError> {
        let Sought { whole, quarantined, went_back_to } = self.seek(keys, head, service, u64::MAX, anew)?;
        let opened = whole.and_then(|Whole { header, plain }| Some(Opened { header, plain: plain? }));
        Ok(Found { opened, quarantined, went_back_to })
    }

    /// The same, and a state is in memory only where its capsule has no more than `held` bytes. A longer one is gone through chunk by
    /// chunk.
    ///
    /// # Errors
    /// As [`Store::find`].
    pub fn seek(
        &self,
        keys: &KeyRing,
        head: &Head,
        service: &str,
        held: u64,
        anew: impl FnOnce() -> u64,
    ) -> Result<Sought, StoreError> {
        let path = self.checked_path(service)?;
        match whole(keys, service, &path, held) {
            Ok(whole) => {
                self.check_age(head, service, whole.header.sequence)?;
                Ok(Sought { whole: Some(whole), quarantined: Vec::new(), went_back_to: None })
            }
            Err(OpenError::Read { source }) if source.kind() == io::ErrorKind::NotFound => {
                match self.gone(head, service)? {
                    Some(gone) => Err(gone),
                    None => Ok(Sought { whole: None, quarantined: Vec::new(), went_back_to: None }),
                }
            }
            Err(source) if is_damage(&source) => {
                let floor = head.of(service).map_or(0, |known| known.floor);
                self.go_back(keys, service, (path, source), floor, held, anew)
            }
            Err(source) => Err(StoreError::Load { path, source }),
        }
    }

    /// Whether a service's newest snapshot, of this sequence, is the newest that `head` knows, or a later one.
    ///
    /// # Errors
    /// [`StoreError::Older`] where it is neither.
    pub fn check_age(&self, head: &Head, service: &str, found: u64) -> Result<(), StoreError> {
        // What was discarded is old as well, also where it is what was the newest then.
        let known = head.of(service).map(|known| known.sequence.max(known.floor));
        match known.filter(|known| found < *known) {
            Some(known) => {
                let (path, service) = (self.path(service), service.to_owned());
                Err(StoreError::Older { path, service, found, known })
            }
            None => Ok(()),
        }
    }

    /// That the newest is gone, asked where there is none: unless it was set aside, or there never was one.
    pub(super) fn gone(&self, head: &Head, service: &str) -> Result<Option<StoreError>, StoreError> {
        let known = match head.of(service) {
            Some(known) => (!known.aside).then_some(known.sequence),
            None => self.older_of(service)?.first().map(|(sequence, _)| *sequence),
        };
        let (path, service) = (self.path(service), service.to_owned());
        Ok(known.map(|known| StoreError::Gone { path, service, known }))
    }

    /// From a damaged newest snapshot to the highest one that opens and was not discarded.
    fn go_back(
        &self,
        keys: &KeyRing,
        service: &str,
        newest: (PathBuf, OpenError),
        floor: u64,
        held: u64,
        anew: impl FnOnce() -> u64,
    ) -> Result<Sought, StoreError> {
        let mut damaged = vec![newest];
        let mut good = None;
        for (sequence, path) in self.older_of(service)?.into_iter().filter(|(sequence, _)| *sequence >= floor)
        {
            match whole_older(keys, service, sequence, &path, held) {
                Ok(whole) => {
                    good = Some((whole, path));
                    break;
                }
                Err(source) if is_damage(&source) => damaged.push((path, source)),
                // It may be whole: to go back past it would lose what it holds.
                Err(source) => return Err(StoreError::Load { path, source }),
            }
        }
        let Some((good, good_path)) = good else {
            let (path, source) = damaged.swap_remove(0);
            return Err(StoreError::Load { path, source });
        };
        let path = self.path(service);
        let went_back_to = Some(good.header.sequence);
        let mut damaged = damaged.into_iter();
        let mut quarantined = Vec::new();
        // It has a second name when the new one takes the first from it; and none while the new one is not on the disk, or each try
        // with a full disk would leave another.
        let keep = || {
            for (path, error) in damaged.by_ref().take(1) {
                quarantined.push(self.quarantine(service, &path, &error).map_err(io::Error::other)?);
            }
            Ok(())
        };
        let save = |source| StoreError::Save { path: path.clone(), source };
        let whole = match good.plain {
            Some(plain) => {
                let good = Opened { header: good.header, plain };
                let (sealed, header) = seal::seal_anew(keys.primary(), &good, anew())
                    .map_err(|source| StoreError::Seal { path: path.clone(), source })?;
                durable::write_keeping(&path, &sealed, keep).map_err(save)?;
                Whole { header, plain: Some(good.plain) }
            }
            None => {
                let opener = keys.open_file(service, &good_path);
                let opener = opener.map_err(|source| StoreError::Load { path: good_path, source })?;
                let draft = draft_of(path.clone(), keys.primary(), opener, anew(), false)?;
                draft.place(&path, keep).map_err(save)?;
                Whole { header: draft.header().clone(), plain: None }
            }
        };
        for (path, error) in damaged {
            quarantined.push(self.quarantine(service, &path, &error)?);
            remove(&path)?;
        }
        Ok(Sought { whole: Some(whole), quarantined, went_back_to })
    }

    /// Gives a damaged file a second name in `quarantine/`, with the reason beside it.
    fn quarantine(&self, service: &str, path: &Path, error: &OpenError) -> Result<Quarantined, StoreError> {
        let failed = |source| StoreError::Quarantine { path: path.to_owned(), source };
        let folder = self.quarantine_folder();
        make_folders(&folder).map_err(failed)?;
        let reason = format!("failed to {error}");
        let target = self.quarantine_name(service, path).map_err(failed)?;
        let mut beside = target.clone().into_os_string();
        beside.push(REASON);
        let text = format!("{reason}\nIt was {}.\n", path.display());
        durable::write(Path::new(&beside), Onto::Anything, text.as_bytes())
            .map_err(|error| failed(error.source))?;
        Ok(Quarantined { from: path.to_owned(), path: target, reason })
    }

    /// The second name: the one that an interrupted try gave it, else a new one.
    fn quarantine_name(&self, service: &str, path: &Path) -> io::Result<PathBuf> {
        let before = self.all_quarantined().map_err(io::Error::other)?.into_iter();
        for (_, before) in before.filter(|(of, _)| of == service) {
            if is_same(path, &before)? && is_equal(path, &before)? {
                return Ok(before);
            }
        }
        for unix_ms in seal::unix_ms().. {
            let target = self.quarantine_folder().join(format!("{service}.{unix_ms}{EXTENSION}"));
            match second_name(path, &target) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                done => return done.map(|()| target),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// What lies in quarantine of a service, each with its reason.
    ///
    /// # Errors
    /// [`StoreError::Service`], or [`StoreError::Folder`] if the folder cannot be read.
    pub fn quarantined(&self, service: &str) -> Result<Vec<(PathBuf, String)>, StoreError> {
        let _ = self.checked_path(service)?;
        let all = self.all_quarantined()?.into_iter().filter(|(of, _)| of == service);
        let reason = |path: &PathBuf| {
            let mut beside = path.clone().into_os_string();
            beside.push(REASON);
            fs::read_to_string(beside).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
        };
        Ok(all.map(|(_, path)| (path.clone(), reason(&path))).collect())
    }

    /// Service and file of all that lies in quarantine.
    pub(super) fn all_quarantined(&self) -> Result<Vec<(String, PathBuf)>, StoreError> {
        let folder = self.quarantine_folder();
        let entries = match fs::read_dir(&folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::Folder { path: folder, source }),
        };
        let of = |path: PathBuf| {
            let service = service_in(path.file_name()?.to_str()?)?.to_owned();
            Some((service, path))
        };
        let mut all: Vec<_> = entries.into_iter().filter_map(|entry| of(entry.path())).collect();
        all.sort_unstable();
        Ok(all)
    }

    pub(super) fn quarantine_folder(&self) -> PathBuf {
        self.folder.join(FOLDER)
    }

    /// Removes what interrupted writes left.
    pub(super) fn clean_quarantine(&self) {
        let Ok(entries) = fs::read_dir(self.quarantine_folder()) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let target = name.to_str().and_then(durable::meant_for);
            if target.is_some_and(|of| service_in(of.strip_suffix(REASON).unwrap_or(of)).is_some()) {
                durable::remove_leftover(&entry.path());
            }
        }
    }
}

/// Opens a file whole; what it holds comes back where the file has no more than `held` bytes.
pub(super) fn whole(keys: &KeyRing, service: &str, path: &Path, held: u64) -> Result<Whole, OpenError> {
    let failed = |source| OpenError::Read { source };
    if fs::metadata(path).map_err(failed)?.len() > held {
        let header = keys.open_file(service, path)?.finish()?;
        return Ok(Whole { header, plain: None });
    }
    let Opened { header, plain } = keys.open(service, &read(path).map_err(failed)?)?;
    Ok(Whole { header, plain: Some(plain) })
}

/// The same of a file of `older/`: it must be the snapshot that its name says.
pub(super) fn whole_older(
    keys: &KeyRing,
    service: &str,
    sequence: u64,
    path: &Path,
    held: u64,
) -> Result<Whole, OpenError> {
    let whole = whole(keys, service, path, held)?;
    match whole.header.sequence == sequence {
        true => Ok(whole),
        false => Err(OpenError::BadHeader { problem: OF_ANOTHER_NAME }),
    }
}

/// Whether two files hold the same.
fn is_equal(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (os::open_file(one)?, os::open_file(other)?);
    let (mut here, mut there) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    loop {
        let len = fill(&mut one, &mut here, 0)?;
        if fill(&mut other, &mut there, 0)? != len || here[..len] != there[..len] {
            return Ok(false);
        }
        if len < here.len() {
            return Ok(true);
        }
    }
}

/// Whether the bytes are not what was sealed. What a right key, its own name or a newer Hotbay may open is whole.
pub(super) fn is_damage(error: &OpenError) -> bool {
    !matches!(
        error,
        OpenError::WrongKey { .. }
            | OpenError::OtherService { .. }
            | OpenError::Newer { .. }
            | OpenError::Read { .. }
    )
}

/// Whose a file is, by its name in quarantine.
fn service_in(file_name: &str) -> Option<&str> {
    let (service, unix_ms) = file_name.strip_suffix(EXTENSION)?.split_once('.')?;
    let is_number = !unix_ms.is_empty() && unix_ms.bytes().all(|b| b.is_ascii_digit());
    (is_number && name::is_service(service)).then_some(service)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Quarantine { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
