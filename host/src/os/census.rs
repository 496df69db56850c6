//! What all of a process has in common and each part of it can change: compared before and after a plugin was there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::Thread;
use super::stack::is_inside;
use super::threads::{Moment, strangers_since};

/// What a process has.
///
/// macOS: threads tell no beginning there and are not counted, and files have numbers only. Windows: files are not looked at, since the
/// system opens some by itself; of handlers there is the one for exceptions that nobody catches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Census {
    handlers: BTreeMap<&'static str, [usize; 2]>,
    folder: Option<PathBuf>,
    mask: Option<u64>,
    environment: BTreeMap<OsString, OsString>,
    files: BTreeMap<u64, PathBuf>,
    threads: BTreeSet<Thread>,
}

impl Census {
    /// As it is now, with a library in mind that is opened by this path. For a process in which nobody else makes files just then: the
    /// mask for their modes is exchanged for a moment.
    pub(crate) fn take(library: &Path) -> Self {
        Self {
            handlers: handlers(),
            folder: std::env::current_dir().ok(),
            mask: mask(),
            environment: std::env::vars_os().collect(),
            files: files(),
            threads: threads(library),
        }
    }

    /// What became of it, in words that go on from "it".
    pub(crate) fn changes(&self, now: &Self) -> Vec<String> {
        let mut changes = Vec::new();
        for (name, handler) in &now.handlers {
            if self.handlers.get(name) != Some(handler) {
                changes.push(format!("changed the handler of {name}"));
            }
        }
        if self.folder != now.folder {
            let folder = now.folder.as_deref().map_or("none".into(), |folder| folder.to_string_lossy());
            changes.push(format!("changed the working directory to {folder}"));
        }
        if let (Some(before), Some(after)) = (self.mask, now.mask)
            && before != after
        {
            changes.push(format!("changed the mask for modes of new files from {before:03o} to {after:03o}"));
        }
        let names: BTreeSet<_> = self.environment.keys().chain(now.environment.keys()).collect();
        for name in names {
            // Their values may be secret.
            if self.environment.get(name) != now.environment.get(name) {
                changes.push(format!("changed the environment variable {}", name.to_string_lossy()));
            }
        }
        for (number, path) in &now.files {
            if self.files.get(number) != Some(path) {
                changes.push(format!("left {} open, as descriptor {number}", path.display()));
            }
        }
        for number in self.files.keys().filter(|number| !now.files.contains_key(number)) {
            changes.push(format!("closed descriptor {number}, which is not its own"));
        }
        for Thread { id, name } in now.threads.difference(&self.threads) {
            changes.push(format!("left thread {id} ({name}) running"));
        }
        changes
    }
}

/// Threads that are not the host's own. On Windows the loader has some of its own, which come and stay as it pleases: there those count
/// that run the library's code.
fn threads(library: &Path) -> BTreeSet<Thread> {
    let all = strangers_since(Moment(0)).unwrap_or_default().into_iter();
    all.filter(|thread| !cfg!(windows) || is_inside(thread.id, library) == Some(true)).collect()
}

#[cfg(unix)]
fn mask() -> Option<u64> {
    use rustix::fs::Mode;
    let mask = rustix::process::umask(Mode::empty());
    rustix::process::umask(mask);
    Some(u64::from(mask.bits()))
}

/// Windows has none.
#[cfg(windows)]
fn mask() -> Option<u64> {
    None
}

#[cfg(unix)]
fn files() -> BTreeMap<u64, PathBuf> {
    let list = if cfg!(target_vendor = "apple") { "/dev/fd" } else { "/proc/self/fd" };
    let entries = std::fs::read_dir(list).into_iter().flatten().flatten();
    // An entry keeps what the list is read by open: that is closed before it is looked who is there.
    let numbers: Vec<u64> = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    let is_open = |number: &u64| std::fs::symlink_metadata(format!("{list}/{number}")).is_ok();
    let path =
        |number: u64| std::fs::read_link(format!("{list}/{number}")).unwrap_or_else(|_| "a file".into());
    numbers.into_iter().filter(is_open).map(|number| (number, path(number))).collect()
}

/// Windows: see [`Census`].
#[cfg(windows)]
fn files() -> BTreeMap<u64, PathBuf> {
    BTreeMap::new()
}

/// The function and the flags of each signal's handler.
#[cfg(unix)]
fn handlers() -> BTreeMap<&'static str, [usize; 2]> {
    use std::mem::MaybeUninit;
    let named = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGILL, "SIGILL"),
        (libc::SIGTRAP, "SIGTRAP"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGUSR1, "SIGUSR1"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGUSR2, "SIGUSR2"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGCHLD, "SIGCHLD"),
        (libc::SIGCONT, "SIGCONT"),
        (libc::SIGTSTP, "SIGTSTP"),
        (libc::SIGTTIN, "SIGTTIN"),
        (libc::SIGTTOU, "SIGTTOU"),
        (libc::SIGURG, "SIGURG"),
        (libc::SIGXCPU, "SIGXCPU"),
        (libc::SIGXFSZ, "SIGXFSZ"),
        (libc::SIGVTALRM, "SIGVTALRM"),
        (libc::SIGPROF, "SIGPROF"),
        (libc::SIGWINCH, "SIGWINCH"),
        (libc::SIGIO, "SIGIO"),
        (libc::SIGSYS, "SIGSYS"),
    ];
    let handler = |signal| {
        let mut now = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: O21: with no new handler the call only tells of the one that is there, to `now`, which lives over the call.
        let told = unsafe { libc::sigaction(signal, std::ptr::null(), now.as_mut_ptr()) };
        // SAFETY: O21: it was zeroed, and zeroes are a value of it; where the call succeeded, the system has filled it in.
        let now = unsafe { now.assume_init() };
        (told == 0).then(|| [now.sa_sigaction, usize::try_from(now.sa_flags).unwrap_or_default()])
    };
    named.into_iter().filter_map(|(signal, name)| handler(signal).map(|handler| (name, handler))).collect()
}

#[cfg(windows)]
fn handlers() -> BTreeMap<&'static str, [usize; 2]> {
    BTreeMap::from([("exceptions that nobody catches", [super::windows::exception_filter(), 0])])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn census() -> Census {
        Census {
            handlers: BTreeMap::from([("SIGTERM", [1, 0]), ("SIGSEGV", [2, 4])]),
            folder: Some("/work".into()),
            mask: Some(0o022),
            environment: BTreeMap::from([("A".into(), "1".into())]),
            files: BTreeMap::from([(0, "/dev/null".into())]),
            threads: BTreeSet::new(),
        }
    }

    #[test]
    fn what_changed_is_named_and_nothing_else() {
        let before = census();
        assert_eq!(before.changes(&census()), [""; 0]);
        let mut now = census();
        now.handlers.insert("SIGSEGV", [3, 4]);
        now.folder = Some("/".into());
        now.mask = Some(0);
        now.environment = BTreeMap::from([("A".into(), "secret".into()), ("B".into(), "secret".into())]);
        now.files = BTreeMap::from([(7, "/tmp/a".into())]);
        now.threads.insert(Thread { id: 9, name: "left".to_owned() });
        let told = before.changes(&now);
        assert_eq!(told.len(), 8, "{told:?}");
        for word in ["SIGSEGV", "to /", "from 022 to 000", " A", " B", "/tmp/a", "descriptor 0", "9 (left)"] {
            assert!(told.iter().any(|change| change.contains(word)), "{word}: {told:?}");
        }
        assert!(!told.concat().contains("secret") && !told.concat().contains("SIGTERM"), "{told:?}");
    }

    #[cfg(target_os = "linux")] // Windows: files are not looked at.
    #[test]
    fn a_file_that_stays_open_is_seen_where_the_system_lists_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("left-open");
        let before = Census::take(&path);
        let file = std::fs::File::create(&path).unwrap();
        // Other tests of this program open files as well.
        let changes = before.changes(&Census::take(&path));
        assert!(changes.iter().any(|change| change.contains("left-open")), "{changes:?}");
        drop(file);
    }
}
