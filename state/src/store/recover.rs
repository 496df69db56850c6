//! What a service goes on from: its newest snapshot, or, loudly, the one before it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::older::open_older;
use super::{EXTENSION, Store, make_folders, second_name};
use crate::durable::{self, Onto};
use crate::error::{OpenError, StoreError};
use crate::head::Head;
use crate::header::Header;
use crate::open::Opened;
use crate::ring::KeyRing;
use crate::seal;

#[cfg(test)]
mod tests;

const FOLDER: &str = "quarantine";

/// What a service goes on from.
#[derive(Debug)]
#[non_exhaustive]
pub struct Found {
    /// The snapshot; `None` if it has none.
    pub opened: Option<Opened>,
    /// What was damaged, and is in quarantine now; `opened` is an earlier one then, saved anew as the newest.
    pub quarantined: Vec<Quarantined>,
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
    /// the one before it is made the newest again, as number `anew`; at no moment is there none. Where there is none before it,
    /// nothing moves. A wrong key is no damage, nor is another service's file or a newer format.
    ///
    /// # Errors
    /// [`StoreError::Load`] names the file and what is wrong with it, [`StoreError::Older`] where it is older than `head` knows,
    /// [`StoreError::Gone`] where `head` knows of one and there is none. Nothing was touched.
    pub fn find(
        &self,
        keys: &KeyRing,
        head: &Head,
        service: &str,
        anew: impl FnOnce() -> u64,
    ) -> Result<Found, StoreError> {
        let path = self.checked_path(service)?;
        let known = head.of(service);
        match self.load(keys, service) {
            Ok(Some(opened)) => {
                let found = opened.header.sequence;
                match known.filter(|known| found < known.sequence) {
                    Some(known) => Err(StoreError::Older {
                        path,
                        service: service.to_owned(),
                        found,
                        known: known.sequence,
                    }),
                    None => Ok(Found { opened: Some(opened), quarantined: Vec::new() }),
                }
            }
            Ok(None) => match known.filter(|known| !known.aside) {
                Some(known) => {
                    Err(StoreError::Gone { path, service: service.to_owned(), known: known.sequence })
                }
                None => Ok(Found { opened: None, quarantined: Vec::new() }),
            },
            Err(StoreError::Load { path, source }) if is_damage(&source) => {
                self.go_back(keys, service, (path, source), anew)
            }
            Err(error) => Err(error),
        }
    }

    /// From a damaged newest snapshot to the highest one that opens.
    fn go_back(
        &self,
        keys: &KeyRing,
        service: &str,
        newest: (PathBuf, OpenError),
        anew: impl FnOnce() -> u64,
    ) -> Result<Found, StoreError> {
        let mut damaged = vec![newest];
        let mut good = None;
        for (sequence, path) in self.older_of(service)? {
            match open_older(keys, service, sequence, &path) {
                Ok(opened) => {
                    good = Some(opened);
                    break;
                }
                Err(source) if is_damage(&source) => damaged.push((path, source)),
                // It may be whole: to go back past it would lose what it holds.
                Err(source) => return Err(StoreError::Load { path, source }),
            }
        }
        let Some(good) = good else {
            let (path, source) = damaged.swap_remove(0);
            return Err(StoreError::Load { path, source });
        };
        let mut damaged = damaged.into_iter();
        let mut quarantined = Vec::new();
        if let Some((path, error)) = damaged.next() {
            quarantined.push(self.quarantine(service, &path, &error)?);
            // It has a second name now, and this takes the first from it. It is not what is kept under a number.
            let (sealed, header) = seal_again(keys, &good, anew())
                .map_err(|source| StoreError::Seal { path: path.clone(), source })?;
            durable::write(&path, Onto::Anything, &sealed)
                .map_err(|source| StoreError::Save { path: path.clone(), source })?;
            for (path, error) in damaged {
                quarantined.push(self.quarantine(service, &path, &error)?);
                remove(&path)?;
            }
            return Ok(Found { opened: Some(Opened { header, plain: good.plain }), quarantined });
        }
        Ok(Found { opened: Some(good), quarantined })
    }

    /// Gives a damaged file a second name in `quarantine/`, with the reason beside it.
    fn quarantine(&self, service: &str, path: &Path, error: &OpenError) -> Result<Quarantined, StoreError> {
        let failed = |source| StoreError::Quarantine { path: path.to_owned(), source };
        let folder = self.folder.join(FOLDER);
        make_folders(&folder).map_err(failed)?;
        let reason = format!("failed to {error}");
        for unix_ms in seal::unix_ms().. {
            let target = folder.join(format!("{service}.{unix_ms}{EXTENSION}"));
            match second_name(path, &target) {
                Ok(()) => {
                    let mut beside = target.clone().into_os_string();
                    beside.push(".reason");
                    let text = format!("{reason}\nIt was {}.\n", path.display());
                    durable::write(Path::new(&beside), Onto::Anything, text.as_bytes())
                        .map_err(|error| failed(error.source))?;
                    return Ok(Quarantined { from: path.to_owned(), path: target, reason });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(failed(source)),
            }
        }
        Err(failed(io::ErrorKind::AlreadyExists.into()))
    }

    /// What lies in quarantine of a service, each with its reason.
    ///
    /// # Errors
    /// [`StoreError::Service`], or [`StoreError::Folder`] if the folder cannot be read.
    pub fn quarantined(&self, service: &str) -> Result<Vec<(PathBuf, String)>, StoreError> {
        let _ = self.checked_path(service)?;
        let folder = self.folder.join(FOLDER);
        let entries = match fs::read_dir(&folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(source) => return Err(StoreError::Folder { path: folder, source }),
        };
        let is_of = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.ends_with(EXTENSION) && name.split_once('.').is_some_and(|(of, _)| of == service)
        };
        let mut paths: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(is_of).collect();
        paths.sort_unstable();
        let reason = |path: &PathBuf| {
            let mut beside = path.clone().into_os_string();
            beside.push(".reason");
            fs::read_to_string(beside).unwrap_or_default().lines().next().unwrap_or_default().to_owned()
        };
        Ok(paths.into_iter().map(|path| (path.clone(), reason(&path))).collect())
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

fn seal_again(keys: &KeyRing, opened: &Opened, anew: u64) -> Result<(Vec<u8>, Header), crate::SealError> {
    let stamp = crate::Stamp { sequence: anew, ..opened.header.stamp() };
    seal::seal_with_header(keys.primary(), &stamp, &opened.plain)
}

fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::Quarantine { path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}
