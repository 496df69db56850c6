//! What this process says about libraries: those that it has, and where its loader looks.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use object::elf::{DT_RPATH, DT_RUNPATH, DT_SONAME};
use object::read::elf::{ElfFile, FileHeader};
use object::{ReadCache, ReadRef};

/// Whether a library is loaded whose file has this name. As it was when this was first asked, before any plugin was there.
pub(super) fn has_file(name: &str) -> bool {
    mapped().iter().any(|path| path.file_name().is_some_and(|file| file == name))
}

/// Whether a library is loaded that has this name of its own.
pub(super) fn has_name(name: &str) -> bool {
    static NAMES: OnceLock<BTreeSet<String>> = OnceLock::new();
    let name_of = |path: &PathBuf| dynamic_text(path, |tags| tags.find(DT_SONAME));
    NAMES.get_or_init(|| mapped().iter().filter_map(name_of).collect()).contains(name)
}

/// `LD_LIBRARY_PATH`, as far as it can be read: what this process was started with.
pub(super) fn library_path() -> Vec<&'static str> {
    static PATH: OnceLock<String> = OnceLock::new();
    let path = PATH.get_or_init(|| std::env::var("LD_LIBRARY_PATH").unwrap_or_default());
    let entries = path.split([':', ';']).map(|entry| if entry.is_empty() { "." } else { entry });
    entries.filter(|_| !path.is_empty()).collect()
}

/// `DT_RPATH` of this program, which counts for whatever it loads, unless it has a `DT_RUNPATH`.
pub(super) fn run_path_of_program() -> &'static str {
    static PATH: OnceLock<String> = OnceLock::new();
    PATH.get_or_init(|| {
        let old = |tags: &Tags| if tags.find(DT_RUNPATH).is_some() { None } else { tags.find(DT_RPATH) };
        dynamic_text(Path::new("/proc/self/exe"), old).unwrap_or_default()
    })
}

/// The folders that are looked in whoever asks: those of the C library by default, where the libraries of this process lie
/// (as with Nix, which has no others), and those of a system for several processors.
pub(super) fn usual_folders() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        mapped().iter().filter_map(|path| path.parent().map(Path::to_owned)).collect();
    folders.dedup();
    if cfg!(target_env = "musl") {
        let list = std::fs::read_to_string(format!("/etc/ld-musl-{}.path", std::env::consts::ARCH));
        folders.extend(list.iter().flat_map(|list| list.split([':', '\n'])).map(PathBuf::from));
    }
    for top in ["/lib64", "/usr/lib64", "/lib", "/usr/lib", "/usr/local/lib", "/usr/local/lib64"] {
        folders.push(top.into());
    }
    for lib in multiarch() {
        folders.extend(["/", "/usr", "/usr/local"].map(|top| Path::new(top).join(&lib)));
    }
    folders
}

/// `lib/x86_64-linux-gnu` and its like, as far as there are some.
pub(super) fn multiarch() -> Vec<String> {
    let of = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let names = of.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| name.contains("-linux-")).map(|name| format!("lib/{name}")).collect()
}

/// The files that are mapped as code: at first this program and its libraries.
fn mapped() -> &'static BTreeSet<PathBuf> {
    static MAPPED: OnceLock<BTreeSet<PathBuf>> = OnceLock::new();
    MAPPED.get_or_init(|| {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let of_code = maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|is| is.contains('x')));
        let paths = of_code.filter_map(|line| line.find('/').map(|at| &line[at..]));
        paths
            .filter(|path| !path.ends_with(" (deleted)") && !path.starts_with("/memfd:"))
            .map(PathBuf::from)
            .collect()
    })
}

/// The texts of a dynamic section.
struct Tags(Vec<(object::elf::DynamicTag, String)>);

impl Tags {
    fn find(&self, tag: object::elf::DynamicTag) -> Option<String> {
        self.0.iter().find(|(found, _)| *found == tag).map(|(_, text)| text.clone())
    }
}

fn dynamic_text(path: &Path, find: impl Fn(&Tags) -> Option<String>) -> Option<String> {
    let cache = ReadCache::new(File::open(path).ok()?);
    let tags = match object::File::parse(&cache).ok()? {
        object::File::Elf32(elf) => tags(&elf),
        object::File::Elf64(elf) => tags(&elf),
        _ => return None,
    };
    find(&tags)
}

fn tags<'data, Elf: FileHeader, R: ReadRef<'data>>(elf: &ElfFile<'data, Elf, R>) -> Tags {
    let table = elf.elf_dynamic_table().unwrap_or_default();
    let wanted = table.iter().filter(|entry| [DT_SONAME, DT_RPATH, DT_RUNPATH].contains(&entry.tag));
    let text = |entry| table.string(entry).ok().map(|text| String::from_utf8_lossy(text).into_owned());
    Tags(wanted.filter_map(|entry| text(entry).map(|text| (entry.tag, text))).collect())
}
