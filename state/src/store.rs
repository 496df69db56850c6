//! Capsules in a folder, one file per service, and beside it those that were the newest before.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};

use crate::durable::{self, Onto, folder_of};
use crate::error::{OpenError, StoreError};
use crate::head::{self, Head};
use crate::header::{Frame, Header, MAX_HEADER, Stamp};
use crate::key::Key;
use crate::name;
use crate::open::{self, Opened};
use crate::os::{self, Folder};
use crate::ring::KeyRing;
use crate::seal;

mod draft;
mod files;
mod older;
mod recover;
#[cfg(test)]
mod tests;

pub use draft::{Draft, Drafting};
pub use files::{Checked, Resealed, Sealed};
pub use recover::{Found, Quarantined, Sought, Whole};

const EXTENSION: &str = ".state";

const ASIDE: &str = ".aside-";

/// What tells old snapshots from new ones. No service is called so.
const HEAD: &str = "HEAD";

/// Snapshots of a service that are kept where nothing else is said, the newest among them.
pub const KEPT: usize = 5;

/// A folder of sealed state: `<service>.state` for each service is its newest snapshot. Those before it are in `older/`, what was
/// damaged in `quarantine/`, and `HEAD` tells which was the newest.
///
/// It keeps nothing open and nothing in memory; several can look at one folder. Who may write to it is for the
/// caller to settle: of two that save the same service at once, the last has its way, with a whole file.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
    keep: usize,
    // Hears why a snapshot could not be kept beside the one that replaces it.
    lost: fn(&Path, &io::Error),
}

/// One file of a [`Store`], as far as it can be known without a key.
#[derive(Debug)]
#[non_exhaustive]
pub struct Listed {
    /// The service, by the file's name.
    pub service: String,
    /// The file.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
    /// What it says of itself, unauthenticated as with [`read_header`](crate::read_header), or in which way it is wrong.
    pub header: Result<Header, OpenError>,
}

impl Store {
    /// Opens the folder, makes it, owner-only, if it is missing, removes what interrupted writes left in it, and forces the names in
    /// it to the disk: what is found there is then durable, also where who wrote it died before it had done that.
    ///
    /// # Errors
    /// [`StoreError::Folder`] if it cannot be made, read or forced to the disk.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Store, StoreError> {
        let store = Store::look(dir);
        make_folders(&store.folder).map_err(|source| store.folder_error(source))?;
        for file_name in store.file_names()? {
            // Only what our own writes are called; anything else in the folder is not ours to remove.
            let is_ours = |target: &str| target == HEAD || service_of(target).is_some() || is_aside(target);
            if durable::meant_for(&file_name).is_some_and(is_ours) {
                durable::remove_leftover(&store.folder.join(file_name));
            }
        }
        store.clean_older();
        store.clean_quarantine();
        store.sync_folders()?;
        Ok(store)
    }

    /// Of the folder, of those in it, and of the one that it lies in, where it was made by who died before that was on the disk.
    fn sync_folders(&self) -> Result<(), StoreError> {
        let above = folder_of(&self.folder).to_owned();
        for folder in [self.older_folder(), self.quarantine_folder(), self.folder.clone(), above.clone()] {
            match durable::sync_folder(&folder) {
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                // Who may pass through it and not look into it has not made the folder, either.
                Err(error) if error.kind() == ErrorKind::PermissionDenied && folder == above => {}
                synced => synced.map_err(|source| StoreError::Folder { path: folder, source })?,
            }
        }
        Ok(())
    }

    /// The folder as it is: nothing is made and nothing is removed.
    #[must_use]
    pub fn look(dir: impl Into<PathBuf>) -> Store {
        Store { folder: dir.into(), keep: KEPT, lost: |_, _| {} }
    }

    /// The same store, which tells `lost` of a snapshot that could not be kept beside the one that replaced it, and why.
    #[must_use]
    pub fn telling(self, lost: fn(&Path, &io::Error)) -> Store {
        Store { lost, ..self }
    }

    /// The same store, which keeps so many snapshots of each service, the newest among them.
    #[must_use]
    pub fn keeping(self, keep: usize) -> Store {
        Store { keep: keep.max(1), ..self }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the state of `service` is, or would be. The name is only checked when the file is used.
    pub fn path(&self, service: &str) -> PathBuf {
        self.folder.join(format!("{service}{EXTENSION}"))
    }

    /// Seals `plain` and replaces the snapshot of the service with it; the one before is kept under its number. When this returns
    /// it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Service`], [`StoreError::Seal`] or [`StoreError::Save`]; the old snapshot stays.
    pub fn save(&self, key: &Key, stamp: &Stamp<'_>, plain: &[u8]) -> Result<Header, StoreError> {
        let path = self.checked_path(stamp.service)?;
        let (sealed, header) = seal::seal_with_header(key, stamp, plain)
            .map_err(|source| StoreError::Seal { path: path.clone(), source })?;
        self.write(stamp.service, path, &sealed)?;
        Ok(header)
    }

    /// Replaces the snapshot of the service with a capsule that was sealed before. When this returns it is on the
    /// disk.
    ///
    /// # Errors
    /// [`StoreError::Capsule`] if its header is not that of a state of `service` (the body cannot be judged
    /// without the key), [`StoreError::Service`] or [`StoreError::Save`]; the old snapshot stays.
    pub fn save_sealed(&self, service: &str, sealed: &[u8]) -> Result<(), StoreError> {
        let path = self.checked_path(service)?;
        let header = open::read_header(sealed).and_then(|header| of_service(header, service));
        header.map_err(|source| StoreError::Capsule { path: path.clone(), source })?;
        self.write(service, path, sealed)
    }

    fn write(&self, service: &str, path: PathBuf, sealed: &[u8]) -> Result<(), StoreError> {
        durable::write_keeping(&path, sealed, || self.keep_under_number(service))
            .map_err(|source| StoreError::Save { path, source })?;
        // What is too many now is tried again with the next snapshot, should it not go.
        let _ = self.prune(service, self.keep);
        Ok(())
    }

    /// Opens the snapshot of the service; `None` if it has none.
    ///
    /// # Errors
    /// [`StoreError::Load`] names the file and what is wrong with it; it is not touched.
    pub fn load(&self, keys: &KeyRing, service: &str) -> Result<Option<Opened>, StoreError> {
        let Some(sealed) = self.load_sealed(service)? else { return Ok(None) };
        let opened = keys.open(service, &sealed);
        opened.map(Some).map_err(|source| StoreError::Load { path: self.path(service), source })
    }

    /// The snapshot of the service as it lies there, sealed; `None` if it has none. Nothing is known of it before it is
    /// [opened](crate::open).
    ///
    /// # Errors
    /// [`StoreError::Load`] if it cannot be read.
    pub fn load_sealed(&self, service: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let path = self.checked_path(service)?;
        match read(&path) {
            Ok(sealed) => Ok(Some(sealed)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StoreError::Load { path, source: OpenError::Read { source } }),
        }
    }

    /// The snapshots in the folder, sorted by service. A bad one does not hold up the others: its error stands in
    /// place of its header. Bodies are not read.
    ///
    /// # Errors
    /// [`StoreError::Folder`] if the folder cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, StoreError> {
        let mut services: Vec<String> =
            self.file_names()?.iter().filter_map(|name| service_of(name)).map(str::to_owned).collect();
        services.sort_unstable();
        Ok(services.into_iter().map(|service| look_at(self.path(&service), service)).collect())
    }

    /// Reads `HEAD`; one that is missing knows nothing.
    ///
    /// # Errors
    /// [`StoreError::Head`]
    pub fn head(&self, keys: &KeyRing) -> Result<Head, StoreError> {
        let path = self.folder.join(HEAD);
        let failed = |why| StoreError::Head { path: path.clone(), why };
        match read_at_most(&path, head::MAX_FILE) {
            Ok(bytes) => Head::open(keys, &bytes).map_err(failed),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Head::default()),
            Err(source) => Err(failed(OpenError::Read { source })),
        }
    }

    /// Replaces `HEAD`. When this returns it is on the disk.
    ///
    /// # Errors
    /// [`StoreError::Save`]; the old one stays.
    pub fn write_head(&self, keys: &KeyRing, head: &Head) -> Result<(), StoreError> {
        let path = self.folder.join(HEAD);
        durable::write(&path, Onto::Anything, &head.seal(keys.primary()))
            .map_err(|source| StoreError::Save { path, source })
    }

    /// Renames `HEAD` to `HEAD.aside-<unix ms>`, where it cannot be read and another is to be begun.
    ///
    /// # Errors
    /// [`StoreError::Aside`]
    pub fn set_head_aside(&self) -> Result<Option<PathBuf>, StoreError> {
        self.aside(self.folder.join(HEAD), os::rename_new)
    }

    /// Renames the snapshot of the service to `<service>.state.aside-<unix ms>`, so that the service begins anew
    /// and nothing is lost. Returns where it is now; `None` if there was none.
    ///
    /// # Errors
    /// [`StoreError::Service`], or [`StoreError::Aside`] if it cannot be renamed.
    pub fn set_aside(&self, service: &str) -> Result<Option<PathBuf>, StoreError> {
        self.aside(self.checked_path(service)?, os::rename_new)
    }

    /// The same, and the snapshot stays in its place as well, for the next save to replace: at no moment is there none.
    ///
    /// # Errors
    /// [`StoreError::Service`], or [`StoreError::Aside`] if it cannot be kept under another name.
    pub fn keep_aside(&self, service: &str) -> Result<Option<PathBuf>, StoreError> {
        self.aside(self.checked_path(service)?, second_name)
    }

    fn aside(
        &self,
        path: PathBuf,
        give: impl Fn(&Path, &Path) -> io::Result<()>,
    ) -> Result<Option<PathBuf>, StoreError> {
        let aside = |source| StoreError::Aside { path: path.clone(), source };
        let folder = Folder::open(&self.folder).map_err(aside)?;
        for unix_ms in seal::unix_ms().. {
            let mut name = path.file_name().unwrap_or_default().to_owned();
            name.push(format!("{ASIDE}{unix_ms}"));
            let target = self.folder.join(name);
            match give(&path, &target) {
                Ok(()) => {
                    folder.sync().map_err(aside)?;
                    return Ok(Some(target));
                }
                // Set aside twice within a millisecond, or by a clock that was put back: take the next name.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => break,
                Err(error) => return Err(aside(error)),
            }
        }
        Ok(None)
    }

    fn checked_path(&self, service: &str) -> Result<PathBuf, StoreError> {
        if !name::is_service(service) {
            return Err(StoreError::Service { service: service.to_owned() });
        }
        Ok(self.path(service))
    }

    /// The names of ours are UTF-8; what is not is not ours.
    fn file_names(&self) -> Result<Vec<String>, StoreError> {
        let entries = fs::read_dir(&self.folder).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let entries = entries.map_err(|source| self.folder_error(source))?;
        Ok(entries.into_iter().filter_map(|entry| entry.file_name().into_string().ok()).collect())
    }

    fn folder_error(&self, source: io::Error) -> StoreError {
        StoreError::Folder { path: self.folder.clone(), source }
    }
}

/// What a file says of itself, and whether that fits its name.
fn look_at(path: PathBuf, service: String) -> Listed {
    let (bytes, header) = match read_start(&path) {
        Ok((start, total)) => {
            let header =
                Frame::parse(&start, total).and_then(|(frame, _)| of_service(frame.header, &service));
            (total, header)
        }
        Err(source) => (0, Err(OpenError::Read { source })),
    };
    Listed { service, path, bytes, header }
}

/// Gives a file a second name, if that is free.
fn second_name(path: &Path, target: &Path) -> io::Result<()> {
    match fs::hard_link(path, target) {
        Err(error) if !matches!(error.kind(), ErrorKind::AlreadyExists | ErrorKind::NotFound) => {
            // No second names on this file system.
            durable::copy_new(path, target).map_err(|error| error.source)
        }
        done => done,
    }
}

/// Whether it is the name of a file that was set aside.
fn is_aside(file_name: &str) -> bool {
    aside_of(file_name).is_some()
}

/// The service whose file was set aside under this name.
fn aside_of(file_name: &str) -> Option<&str> {
    let (name, unix_ms) = file_name.rsplit_once(ASIDE)?;
    service_of(name).filter(|_| !unix_ms.is_empty() && unix_ms.bytes().all(|b| b.is_ascii_digit()))
}

fn service_of(file_name: &str) -> Option<&str> {
    file_name.strip_suffix(EXTENSION).filter(|service| name::is_service(service))
}

fn of_service(header: Header, service: &str) -> Result<Header, OpenError> {
    if header.service == service {
        return Ok(header);
    }
    Err(OpenError::OtherService { found: header.service, asked: service.to_owned() })
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = os::open_file(path)?;
    let mut bytes = Vec::new();
    // A file too large for the memory is an error like any other, not the end of the process.
    bytes.try_reserve_exact(usize::try_from(length(&file)?).map_err(|_| io::ErrorKind::OutOfMemory)?)?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = os::open_file(path)?;
    if length(&file)? > limit {
        return Err(io::Error::new(ErrorKind::InvalidData, "it is longer than any that was written"));
    }
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn read_start(path: &Path) -> io::Result<(Vec<u8>, u64)> {
    let file = os::open_file(path)?;
    let total = length(&file)?;
    let mut start = Vec::with_capacity(MAX_HEADER);
    file.take(MAX_HEADER as u64).read_to_end(&mut start)?;
    Ok((start, total))
}

fn length(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.len())
}

/// Makes a folder and those above it, each owner-only and each for good before the next. One that exists is left as it is.
///
/// # Errors
/// The system's.
pub fn make_folders(path: &Path) -> io::Result<()> {
    let mut made = os::make_folder(path);
    if path.parent().is_some() && made.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
        make_folders(folder_of(path))?;
        made = os::make_folder(path);
    }
    match made {
        // There already: as a folder, also through a link, it will do; reading it tells.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => Folder::open(folder_of(path))?.sync(),
    }
}
