//! The walk over the writer's system calls, and what must hold after each step.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use hotbay_state::{Head, KeyRing, Store};

use crate::writer::{BROKEN, SERVICE, stamp, state};

/// The kinds of which a small walk takes the calls: those that change the disk.
const CHANGE_THE_DISK: [&str; 8] =
    ["write", "fsync", "fdatasync", "rename", "renameat2", "link", "linkat", "unlink"];

/// No kind is called so often: a walk that does not end is a defect of its own.
const LIMIT: u32 = 5000;

pub(crate) fn walk(full: bool, only: Option<&str>) -> ExitCode {
    if !Command::new("strace").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success()) {
        // Past any harness that keeps to itself what a test that passes prints: `.ci/run` repeats it at its end.
        eprintln!(
            "\nWARNING  NOT CHECKED: that snapshots outlive a crash at any system call, since there is no strace here"
        );
        return if full { ExitCode::FAILURE } else { ExitCode::SUCCESS };
    }
    let prepared = Prepared::new();
    let kinds = prepared.kinds();
    let mut kinds: Vec<&String> = kinds.keys().filter(|kind| only.is_none_or(|only| only == *kind)).collect();
    kinds.retain(|kind| full || CHANGE_THE_DISK.contains(&kind.as_str()));
    let mut faults = vec!["signal=KILL"];
    if full {
        faults.extend(["error=EIO", "error=ENOSPC", "error=EINTR"]);
    } else {
        faults.push("error=EIO");
    }
    let mut runs = BTreeMap::new();
    for kind in kinds {
        for fault in &faults {
            let once = (1..LIMIT).take_while(|at| prepared.step(kind, fault, &at.to_string()));
            *runs.entry(*fault).or_insert(0) += once.count() + 1;
            if full && *fault != "signal=KILL" {
                let last = |at: u32| match *fault {
                    // A call that is interrupted is made again, for ever; no system interrupts it for ever.
                    "error=EINTR" => format!("{at}..{}", at + 30),
                    _ => format!("{at}+"),
                };
                let again = (1..LIMIT).take_while(|at| prepared.step(kind, fault, &last(*at)));
                *runs.entry(*fault).or_insert(0) += again.count() + 1;
            }
        }
    }
    if only.is_none() {
        let shortened = crate::short::walk(&prepared, full);
        runs.insert("files cut short", shortened as usize);
        #[cfg(feature = "fault-injection")]
        runs.extend(
            crate::faults::walk(&prepared, full).into_iter().map(|(fault, runs)| (fault, runs as usize)),
        );
    }
    let runs: Vec<String> = runs.iter().map(|(fault, runs)| format!("{fault}: {runs} runs")).collect();
    println!("crash walk: {}; what was said to be durable was there after each", runs.join(", "));
    ExitCode::SUCCESS
}

/// A folder with a key and some snapshots, which each run gets a copy of.
pub(crate) struct Prepared {
    folder: tempfile::TempDir,
    base: u64,
}

impl Prepared {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (keys, _) = KeyRing::load_or_create(&folder.path().join("key")).unwrap();
        let store = Store::open(folder.path().join("state")).unwrap().keeping(3);
        let base = 4;
        for sequence in 1..=base {
            store.save(keys.primary(), &stamp(sequence), &state(sequence)).unwrap();
        }
        let mut head = Head::default();
        head.note(SERVICE, base);
        store.write_head(&keys, &head).unwrap();
        Self { folder, base }
    }

    pub(crate) fn copy(&self) -> tempfile::TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(self.folder.path(), copy.path());
        copy
    }

    /// How often the writer makes each kind of call when nothing is done to it.
    fn kinds(&self) -> BTreeMap<String, u32> {
        let copy = self.copy();
        let log = copy.path().join("log");
        let ran = writer(&["-f", "-qq", "-y", "-o", log.to_str().unwrap()], copy.path());
        assert!(ran.status.success(), "the writer does not run under strace: {ran:?}");
        let said = String::from_utf8(ran.stdout).unwrap();
        assert!(said.contains("durable") && !said.contains("failed"), "{said}");
        let calls = std::fs::read_to_string(log).unwrap();
        assert_synced_on_opening(&calls);
        let mut kinds = BTreeMap::new();
        for line in calls.lines() {
            // `4711 write(1, …`, where there is more than one process, or `write(1, …`.
            let call = line.split('(').next().unwrap_or_default();
            let name = call.split_whitespace().last().unwrap_or_default();
            let is_name = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if line.contains('(') && is_name && !name.is_empty() {
                *kinds.entry(name.to_owned()).or_default() += 1;
            }
        }
        // It was called before anything can be done to it.
        kinds.remove("execve");
        kinds
    }

    /// One run; whether there was such a call at all.
    fn step(&self, kind: &str, fault: &str, when: &str) -> bool {
        let copy = self.copy();
        let log = copy.path().join("log");
        let inject = format!("inject={kind}:{fault}:when={when}");
        let trace = format!("trace={kind}");
        let ran =
            writer(&["-f", "-qq", "-o", log.to_str().unwrap(), "-e", &trace, "-e", &inject], copy.path());
        let log = std::fs::read_to_string(log).unwrap_or_default();
        let happened =
            if fault.starts_with("signal") { !ran.status.success() } else { log.contains("(INJECTED)") };
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let what = format!("{inject}\nit said:\n{said}\nits calls:\n{log}");
        self.judge(copy.path(), &said, &what);
        // A file that could not be forced to the disk is not tried again, and so not durable.
        let is_sync = matches!(kind, "fsync" | "fdatasync") && fault.starts_with("error=");
        assert!(!is_sync || !happened || said.contains("failed"), "a failed sync was passed over: {what}");
        happened
    }

    /// What was durable, or a newer snapshot, is there; nothing is left half written; it goes on.
    pub(crate) fn judge(&self, folder: &Path, said: &str, what: &str) {
        assert!(!said.contains(BROKEN), "{what}");
        let numbers = said.lines().filter_map(|line| line.strip_prefix("durable ")?.parse::<u64>().ok());
        let durable = numbers.max().unwrap_or(0).max(self.base);
        let keys = KeyRing::load(&folder.join("key")).unwrap();
        let store = Store::open(folder.join("state")).unwrap().keeping(3);
        let left =
            files(&folder.join("state")).into_iter().find(|path| path.to_string_lossy().ends_with(".tmp"));
        assert!(left.is_none(), "{left:?} is left: {what}");
        let head = store.head(&keys).unwrap_or_else(|error| panic!("HEAD: {error:?}: {what}"));
        let next = store.highest(&keys, SERVICE).unwrap() + 1;
        let found = store.find(&keys, &head, SERVICE, || next);
        let found = found.unwrap_or_else(|error| panic!("{error:?}: {what}"));
        assert!(found.quarantined.is_empty(), "{:?}: {what}", found.quarantined);
        let opened = found.opened.unwrap_or_else(|| panic!("there is none: {what}"));
        let sequence = opened.header.sequence;
        assert!(sequence >= durable, "{sequence} is the newest, and {durable} was durable: {what}");
        assert!(*opened.plain == state(sequence), "the state is not that of {sequence}: {what}");
        for (path, checked) in store.verify(&keys, None).unwrap() {
            checked.unwrap_or_else(|error| panic!("{}: {error:?}: {what}", path.display()));
        }
        store.save(keys.primary(), &stamp(next), &state(next)).unwrap_or_else(|e| panic!("{e:?}: {what}"));
        assert_eq!(store.load(&keys, SERVICE).unwrap().unwrap().header.sequence, next, "{what}");
    }
}

/// The names in the folders are forced to the disk before anything is read or said: who wrote them may have died before.
fn assert_synced_on_opening(calls: &str) {
    let before = calls.split("echo.state").next().unwrap_or_default();
    for folder in ["/state>", "/state/older>"] {
        let synced = before.lines().any(|call| call.contains("fsync(") && call.contains(folder));
        assert!(synced, "{folder} was not synced before a snapshot was read:\n{before}");
    }
}

fn writer(strace: &[&str], folder: &Path) -> std::process::Output {
    let mut command = Command::new("strace");
    command.args(strace).arg(std::env::current_exe().unwrap()).arg("writer").arg(folder);
    command.stdin(Stdio::null()).output().unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
