//! What a library links to, looked for where the system's loader will look for it: one that is missing is named before anything runs.
//!
//! Linux with glibc or musl is judged. The loader itself is not asked: a plugin may keep it for itself for ever. So its order is followed, generously: a library that is found here and not by the loader is the probe's to tell,
//! one that is missing here is missing. What those libraries link to in turn is the probe's, too.
//!
//! Windows and macOS have libraries without files (API sets, the cache of dyld), and others are found by what the process has loaded by
//! then: there what is needed is shown, and judged by the probe.

mod cache;
mod process;

use std::cell::LazyCell;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Whether this system's loader is one whose ways are known.
const KNOWN: bool = cfg!(all(target_os = "linux", any(target_env = "gnu", target_env = "musl")));

/// The rest of what musl's own library answers for.
const OF_MUSL: [&str; 7] = ["c", "pthread", "rt", "m", "dl", "util", "xnet"];

/// So many folders of one list are looked in: a file may name as many as it likes.
const ENTRIES: usize = 64;

/// A library that another one links to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Needed {
    /// As the file names it.
    pub library: String,
    /// Where it was found.
    pub place: Place,
}

/// Where a library was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Place {
    /// The host has it loaded, so it is there.
    Host,
    /// The loader will find this file.
    At(PathBuf),
    /// Nowhere.
    Missing,
    /// Nowhere, and the file looks for it beside itself, which is nowhere: a host maps it from another place.
    MissingBeside,
    /// It cannot be known before it is loaded.
    Unknown,
}

/// What a file says about its libraries and where they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Asked {
    /// What it links to.
    pub(super) names: Vec<String>,
    /// Its first bytes: a library of another format or processor is passed over.
    pub(super) head: Vec<u8>,
    /// `DT_RUNPATH`.
    pub(super) run_path: Option<String>,
    /// `DT_RPATH`, which counts where there is no other.
    pub(super) old_run_path: Option<String>,
    /// Whether the system's folders do not count.
    pub(super) nowhere_else: bool,
}

/// Folders of one list, and whether it names what is no folder of this file's any more.
#[derive(Debug, Default)]
struct Folders {
    all: Vec<PathBuf>,
    beside: bool,
}

impl Asked {
    /// What it links to, as long as it is not looked for.
    pub(super) fn unknown(&self) -> Vec<Needed> {
        self.names.iter().map(|name| Needed { library: name.clone(), place: Place::Unknown }).collect()
    }

    /// Looks for each. It takes as long as the folders that the file names: a share that does not answer keeps whoever asks.
    pub(super) fn look_for(&self) -> Vec<Needed> {
        if !KNOWN {
            return self.unknown();
        }
        // Most of it is what the host has loaded, for which no folder is looked at.
        let folders = LazyCell::new(|| self.folders());
        let of = |name: &String| Needed { place: self.place(name, &folders), library: name.clone() };
        self.names.iter().map(of).collect()
    }

    fn place(&self, name: &str, folders: &LazyCell<Folders, impl FnOnce() -> Folders>) -> Place {
        if process::has_file(name) || (cfg!(target_env = "musl") && is_of_musl(name)) {
            return Place::Host;
        }
        // A name with a slash is a path.
        if name.contains('/') {
            let named = expanded(name, None);
            let there = named.all.into_iter().find(|path| self.fits(path));
            return there.map_or(missing(named.beside), Place::At);
        }
        if let Some(there) = folders.all.iter().find_map(|folder| self.in_folder(folder, name)) {
            return Place::At(there);
        }
        let listed = if self.nowhere_else { Ok(Vec::new()) } else { cache::paths_of(name) };
        match listed.as_deref().map(|paths| paths.iter().find(|path| self.fits(path))) {
            Ok(Some(path)) => Place::At(path.clone()),
            // By another file's name, as `libz.so.1` is `libz.so.1.3`.
            _ if process::has_name(name) => Place::Host,
            Ok(None) => missing(folders.beside),
            Err(()) => Place::Unknown,
        }
    }

    /// Where it is looked for, beside the cache.
    fn folders(&self) -> Folders {
        let mut folders = Folders::default();
        let program = std::env::current_exe().ok();
        let of_program = program.as_deref().and_then(Path::parent);
        match &self.run_path {
            Some(run_path) => {
                folders.add(process::library_path(), of_program);
                folders.add(run_path.split(':'), None);
            }
            None => {
                folders.add(self.old_run_path.iter().flat_map(|path| path.split(':')), None);
                folders.add(process::run_path_of_program().split(':'), of_program);
                folders.add(process::library_path(), of_program);
            }
        }
        if !self.nowhere_else {
            folders.all.extend(process::usual_folders());
        }
        folders
    }

    /// The file of this name in a folder, or in one of those below it for newer processors.
    fn in_folder(&self, folder: &Path, name: &str) -> Option<PathBuf> {
        let plain = folder.join(name);
        if self.fits(&plain) {
            return Some(plain);
        }
        let newer = std::fs::read_dir(folder.join("glibc-hwcaps")).ok()?.flatten();
        newer.map(|of| of.path().join(name)).find(|path| self.fits(path))
    }

    /// Whether a file is there, for the same processor.
    fn fits(&self, path: &Path) -> bool {
        // The file names where to look: a pipe there would be waited for, and so would a file of the kernel's that has nothing to tell yet.
        if !std::fs::metadata(path).is_ok_and(|there| there.is_file()) {
            return false;
        }
        let mut head = [0; 20];
        // Libraries are links, mostly, and this reader follows none.
        let opened = std::fs::canonicalize(path).and_then(|real| crate::os::patient_reader().open(real));
        let read = opened.and_then(|mut file| file.read_exact(&mut head));
        // Class and byte order, then the processor.
        let alike = |range: std::ops::Range<usize>| self.head.get(range.clone()) == head.get(range);
        read.is_ok() && alike(0..6) && alike(18..20)
    }
}

impl Folders {
    fn add<'a>(&mut self, list: impl IntoIterator<Item = &'a str>, origin: Option<&Path>) {
        for entry in list.into_iter().take(ENTRIES) {
            let mut of_entry = expanded(entry, origin);
            self.beside |= of_entry.beside;
            self.all.append(&mut of_entry.all);
        }
    }
}

/// What a path means to the loader. `$ORIGIN` is the folder of who names it: of a library none, since a host maps a sealed file, or a
/// copy in its own folder.
fn expanded(entry: &str, origin: Option<&Path>) -> Folders {
    let names = |word: &str| entry.contains(&format!("${word}")) || entry.contains(&format!("${{{word}}}"));
    let with = |text: &str, word: &str, value: &str| {
        text.replace(&format!("${{{word}}}"), value).replace(&format!("${word}"), value)
    };
    let mut text = entry.to_owned();
    if names("ORIGIN") {
        let Some(origin) = origin else { return Folders { all: Vec::new(), beside: true } };
        text = with(&text, "ORIGIN", &origin.to_string_lossy());
    }
    text = with(&text, "PLATFORM", std::env::consts::ARCH);
    let all = if names("LIB") {
        let mut libs = vec!["lib64".to_owned(), "lib".to_owned()];
        libs.extend(process::multiarch());
        libs.iter().map(|lib| with(&text, "LIB", lib).into()).collect()
    } else {
        vec![text.into()]
    };
    Folders { all, beside: false }
}

fn missing(beside: bool) -> Place {
    if beside { Place::MissingBeside } else { Place::Missing }
}

fn is_of_musl(name: &str) -> bool {
    let reserved = |of: &str| name.strip_prefix("lib").and_then(|rest| rest.strip_prefix(of));
    name.starts_with("libc.musl-")
        || name.starts_with("ld-musl-")
        || OF_MUSL.iter().any(|of| reserved(of).is_some_and(|rest| rest.starts_with('.')))
}

#[cfg(test)]
#[cfg(target_os = "linux")] // Windows: nothing is judged there.
mod tests;
