//! Writing a file so that it is there whole or not at all, whatever happens to the machine.
//!
//! The bytes go to a temporary file in the same folder, are forced to the disk, and take the name in one step;
//! then the folder is forced to the disk, which is what makes the name last. Each step is a [`Step`], and the
//! tests fail each of them.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;

use crate::fault;
use crate::os;

/// How long a file that is in use is waited for, where that keeps it from being replaced.
pub(crate) const IN_USE: Duration = Duration::from_secs(2);

/// What the name may hold already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Onto {
    /// Whatever it holds is replaced.
    Anything,
    /// It must be free; a file that came before us fails [`Step::Rename`].
    Nothing,
}

/// Which step of a write failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// Opening the folder.
    OpenFolder,
    /// Creating the temporary file.
    Create,
    /// Writing the temporary file.
    Write,
    /// Forcing the temporary file to the disk.
    Sync,
    /// Keeping what the name holds under another one.
    Keep,
    /// Giving the temporary file the name.
    Rename,
    /// Forcing the folder to the disk. The new file has the name already, and is whole; what is not known is
    /// which of the two a crash would leave. Do not count it as saved; the next save settles it.
    SyncFolder,
}

impl Step {
    /// Where a test lets it fail.
    fn point(self) -> &'static str {
        match self {
            Step::OpenFolder => "file_open_folder",
            Step::Create => "file_create",
            Step::Write => "file_write",
            Step::Sync => "file_sync",
            Step::Keep => "file_keep",
            Step::Rename => "file_rename",
            Step::SyncFolder => "file_sync_folder",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Step::OpenFolder => "open the folder",
            Step::Create => "create a temporary file in the folder",
            Step::Write => "write the temporary file; see whether the disk is full",
            Step::Sync => "force the temporary file to the disk; see whether the disk is failing",
            Step::Keep => "keep the file before it under another name",
            Step::Rename => "rename the temporary file",
            Step::SyncFolder => "force the folder to the disk; see whether the disk is failing",
        })
    }
}

/// Why a file could not be written.
#[derive(Debug, Error)]
#[error("{step}")]
#[non_exhaustive]
pub struct WriteError {
    /// The step that failed.
    pub step: Step,
    /// What the operating system said.
    pub source: io::Error,
}

/// Writes `bytes` to `path`, owner-only, and returns when they are there for good.
///
/// A step that fails is not tried again: after a failed sync the system may have dropped the pages that it could
/// not write and would report success the second time. The temporary file is removed, and the next write begins
/// with another one.
pub(crate) fn write(path: &Path, onto: Onto, bytes: &[u8]) -> Result<(), WriteError> {
    write_within(path, onto, IN_USE, |file| file.write_all(bytes), || Ok(()))
}

/// Copies a file to a name that is free, in the same way.
pub(crate) fn copy_new(from: &Path, to: &Path) -> Result<(), WriteError> {
    let copy = |file: &mut Temporary| io::copy(&mut os::open_file(from)?, file).map(drop);
    write_within(to, Onto::Nothing, IN_USE, copy, || Ok(()))
}

/// The same, and `keep` keeps what is there under another name first, when the new bytes are on the disk already.
pub(crate) fn write_keeping(
    path: &Path,
    bytes: &[u8],
    keep: impl FnOnce() -> io::Result<()>,
) -> Result<(), WriteError> {
    write_within(path, Onto::Anything, IN_USE, |file| file.write_all(bytes), keep)
}

fn write_within(
    path: &Path,
    onto: Onto,
    in_use: Duration,
    write: impl FnOnce(&mut Temporary) -> io::Result<()>,
    keep: impl FnOnce() -> io::Result<()>,
) -> Result<(), WriteError> {
    // Opened first: when the name has been taken, only the sync itself can still fail.
    let folder = step(Step::OpenFolder, path, || os::Folder::open(folder_of(path)))?;
    let mut temporary = step(Step::Create, path, || Temporary::create(path))?;
    step(Step::Write, path, || write(&mut temporary))?;
    step(Step::Sync, path, || temporary.sync())?;
    step(Step::Keep, path, keep)?;
    step(Step::Rename, path, || temporary.rename(path, onto, in_use))?;
    step(Step::SyncFolder, path, || folder.sync())
}

/// Forces the names in a folder to the disk, whoever made them.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    let synced = step(Step::SyncFolder, folder, || os::Folder::open(folder)?.sync());
    synced.map_err(|error| error.source)
}

/// Replaces a file by `bytes`, owner-only, in one step. When this returns they are there for good, also after a power cut.
///
/// On Windows no file is replaced that somebody has open: that is waited for as long as `in_use`.
///
/// # Errors
/// The step that failed, and why. Until [`Step::SyncFolder`] the file is what it was.
pub fn write_durably(path: &Path, bytes: &[u8], in_use: Duration) -> Result<(), WriteError> {
    write_durably_by(path, in_use, |file| file.write_all(bytes))
}

/// The same of what `write` writes, which need not be in memory.
///
/// # Errors
/// As [`write_durably`]; what `write` answers is an error of [`Step::Write`].
pub fn write_durably_by(
    path: &Path,
    in_use: Duration,
    write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
) -> Result<(), WriteError> {
    write_within(path, Onto::Anything, in_use, |file| write(file), || Ok(()))
}

/// Gives what is on the disk under another name the name `path` as well, in one step, and returns when it has it for good. `keep`
/// keeps what is there under another name first. The other name stays.
pub(crate) fn place(
    other: &Temporary,
    path: &Path,
    keep: impl FnOnce() -> io::Result<()>,
) -> Result<(), WriteError> {
    let folder = step(Step::OpenFolder, path, || os::Folder::open(folder_of(path)))?;
    let second = step(Step::Create, path, || Temporary::second(other, path))?;
    step(Step::Keep, path, keep)?;
    step(Step::Rename, path, || second.rename(path, Onto::Anything, IN_USE))?;
    step(Step::SyncFolder, path, || folder.sync())
}

/// The folder that `path` is in.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// The name for which `temporary` was to become the file, if it is a name that [`write`] makes.
pub(crate) fn meant_for(temporary: &str) -> Option<&str> {
    let (name, serial) = temporary.strip_prefix('.')?.strip_suffix(".tmp")?.rsplit_once('.')?;
    let (pid, count) = serial.split_once('-')?;
    let is_number = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    (is_number(pid) && is_number(count)).then_some(name)
}

/// Removes a temporary file that no one is writing any more.
///
/// A writer holds a lock on its file until it has its name, and loses it when it dies: a store that is opened
/// beside a running host does not take the file away from under it. What cannot be removed is left: it is in
/// nobody's way.
pub(crate) fn remove_leftover(path: &Path) {
    let abandoned = os::open_file(path).is_ok_and(|file| file.try_lock().is_ok());
    if abandoned {
        let _ = fs::remove_file(path);
    }
}

/// A file under a name of its own, removed when dropped unless it was renamed.
#[derive(Debug)]
pub(crate) struct Temporary {
    // None where it was closed, or was made as a second name.
    file: Option<File>,
    path: PathBuf,
    // What it is to become.
    target: PathBuf,
    renamed: bool,
    // Whole pieces of it are on their way to the disk.
    written: u64,
}

/// So many bytes are sent on their way while the next ones are made, sealed for one: the sync then waits for the rest only.
const PIECE: u64 = 1 << 20;

impl Temporary {
    fn new(file: Option<File>, path: PathBuf, target: &Path) -> Temporary {
        Temporary { file, path, target: target.to_owned(), renamed: false, written: 0 }
    }

    pub(crate) fn create(target: &Path) -> io::Result<Temporary> {
        let (path, file) = free_name(target, os::create_private)?;
        // Where the file system has no locks, only the protection from `remove_leftover` is lost.
        let _ = file.try_lock();
        Ok(Temporary::new(Some(file), path, target))
    }

    /// Another name for the same file; a copy where the file system has no second names.
    fn second(other: &Temporary, target: &Path) -> io::Result<Temporary> {
        match free_name(target, |path| fs::hard_link(&other.path, path)) {
            Ok((path, ())) => Ok(Temporary::new(None, path, target)),
            Err(_) => {
                let mut copy = Temporary::create(target)?;
                io::copy(&mut os::open_file(&other.path)?, &mut copy)?;
                copy.sync()?;
                Ok(copy)
            }
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// It is written. Windows: a file that is open somewhere is not replaced, under none of its names.
    pub(crate) fn close(&mut self) {
        if cfg!(windows) {
            self.file = None;
        }
    }

    /// Forces it to the disk: by the file that it was written to, which hears of what the system could not write.
    pub(crate) fn sync(&self) -> io::Result<()> {
        match &self.file {
            Some(file) => os::sync(file),
            None => os::sync(&File::options().write(true).open(&self.path)?),
        }
    }

    fn rename(mut self, target: &Path, onto: Onto, in_use: Duration) -> io::Result<()> {
        if let Some(file) = &self.file {
            os::ready_to_rename(file);
        }
        match onto {
            Onto::Anything => os::rename_over(&self.path, target, in_use)?,
            Onto::Nothing => os::rename_new(&self.path, target)?,
        }
        // A second name of what has the name already is not renamed: it is there still.
        self.renamed = self.file.is_some();
        Ok(())
    }
}

impl io::Write for Temporary {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = fault::most(&self.target)?;
        let file = self.file.as_mut().ok_or(io::ErrorKind::Unsupported)?;
        let piece = usize::try_from(PIECE - self.written % PIECE).unwrap_or(usize::MAX);
        let count = file.write(&bytes[..bytes.len().min(most).min(piece)])?;
        self.written += count as u64;
        if count == piece {
            os::begin_write_back(file, self.written - PIECE, PIECE);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if !self.renamed {
            // The error that brought us here is the one to report.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes something under a name beside `target` that is free.
fn free_name<T>(target: &Path, make: impl Fn(&Path) -> io::Result<T>) -> io::Result<(PathBuf, T)> {
    let name = target.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    // Each turn meets a file that exists, left by a process that had our id; they run out.
    loop {
        let path = target.with_file_name(temporary_name(name));
        match make(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

fn temporary_name(name: &OsStr) -> OsString {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".{}-{}.tmp", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    temporary
}

pub(crate) fn step<T>(step: Step, path: &Path, run: impl FnOnce() -> io::Result<T>) -> Result<T, WriteError> {
    #[cfg(test)]
    if failing::is(step) {
        // `run` is dropped unused, with what it owns, as if the system had refused.
        return Err(WriteError { step, source: io::Error::other("failed on purpose") });
    }
    fault::at_file(step.point(), path).and_then(|()| run()).map_err(|source| WriteError { step, source })
}

/// Lets a test fail a step, on its own thread only.
#[cfg(test)]
pub(crate) mod failing {
    use super::Step;
    use std::cell::Cell;

    thread_local!(static STEP: Cell<Option<Step>> = const { Cell::new(None) });

    pub(super) fn is(step: Step) -> bool {
        STEP.get() == Some(step)
    }

    /// Runs `body` with each attempt at `step` failing.
    pub(crate) fn at<T>(step: Step, body: impl FnOnce() -> T) -> T {
        STEP.set(Some(step));
        let result = body();
        STEP.set(None);
        result
    }
}
