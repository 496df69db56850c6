//! What a library's file says of itself beside its manifest: what it is, what it links to, and how its thread-locals are reached.

use std::ffi::OsStr;
use std::sync::OnceLock;

use object::elf::{
    DF_1_NODEFLIB, DF_STATIC_TLS, DT_FLAGS, DT_FLAGS_1, DT_NEEDED, DT_NULL, DT_RPATH, DT_RUNPATH, PT_TLS,
    R_AARCH64_TLS_TPREL, R_X86_64_TPOFF64,
};
use object::read::elf::{Dyn as _, ElfFile, FileHeader, ProgramHeader as _};
use object::{
    Architecture, Object as _, ObjectSymbol as _, ObjectSymbolTable as _, RelocationFlags, RelocationTarget,
};
use serde::{Deserialize, Serialize};

use super::elf::{text, texts};
use super::mark::Mark;
use super::needs::{Asked, Needed};

/// What a library's file says, found without running an instruction of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Anatomy {
    /// The processor that it is built for.
    pub architecture: String,
    /// `shared library`: nothing else is looked at further.
    pub kind: String,
    /// Its sections, all of which lie within the file.
    pub sections: usize,
    /// The symbol of the contract's header, by which a host finds its functions.
    pub root: String,
    /// What it links to; its place is not known before it was looked for.
    pub needs: Vec<Needed>,
    /// Its thread-locals, if it has some and its format tells.
    pub thread_locals: Option<ThreadLocals>,
    /// Why the system will never unmap it, if its file says so.
    pub stays_mapped: Option<String>,
    #[serde(skip)]
    asked: Asked,
}

impl Anatomy {
    /// Looks for what it links to. Not on the loop: the file says where, and that may be a share that does not answer.
    pub(crate) fn look_for_needs(&mut self) {
        self.needs = self.asked.look_for();
    }
}

/// What each thread of the process has of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ThreadLocals {
    /// Bytes of each thread.
    pub bytes: u64,
    /// Whether code reaches them at a fixed distance from the thread's own pointer (the initial-exec model). A library that is
    /// loaded late gets such room only from a small rest, which is shared by all.
    pub initial_exec: bool,
}

impl ThreadLocals {
    /// Whether there is room for two versions of it at once, as a swap needs it.
    pub(super) fn fit(self) -> bool {
        !self.initial_exec || rest().is_none_or(|rest| self.bytes.saturating_mul(2) <= rest)
    }
}

/// What the system's loader keeps of each thread's memory for libraries with initial-exec thread-locals that come late. That of glibc
/// is 1,664 bytes (x86-64, 2.33 and later, where [`OF_GLIBC`] is not set); before it was about as much. musl has
/// none and refuses such libraries. Elsewhere it is not known, and not judged.
pub(super) fn rest() -> Option<u64> {
    // As it was when this was first asked, before any plugin was there: the loader has read it once, too.
    static SET: OnceLock<bool> = OnceLock::new();
    if !cfg!(target_os = "linux") {
        None
    } else if cfg!(target_env = "musl") {
        Some(0)
    } else if cfg!(target_env = "gnu") {
        let is_set = *SET.get_or_init(|| sets_rest(&std::env::var_os("GLIBC_TUNABLES").unwrap_or_default()));
        (!is_set).then_some(1664)
    } else {
        None
    }
}

/// The setting of glibc by which it keeps more or less than it does by itself.
const OF_GLIBC: &str = "glibc.rtld.optional_static_tls";

fn sets_rest(tunables: &OsStr) -> bool {
    let tunables = tunables.to_string_lossy();
    tunables.split(':').any(|one| one.split('=').next() == Some(OF_GLIBC))
}

/// A file may name as many libraries as it likes, and looking for each takes its time: those beyond are the probe's to find.
const LIBRARIES: usize = 256;

/// No file has a longer name.
const LONGEST: usize = 4096;

/// So much of a list of folders is read.
const LONGEST_LIST: usize = 64 << 10;

/// Looks at a file that parsed whole.
pub(super) fn anatomy(file: &object::File<'_>, bytes: &[u8], root: &str, mark: Option<Mark>) -> Anatomy {
    let asked = match file {
        object::File::Elf32(elf) => asked(elf, bytes),
        object::File::Elf64(elf) => asked(elf, bytes),
        _ => Asked { names: imported(file), ..Asked::default() },
    };
    let thread_locals = match file {
        object::File::Elf32(elf) => thread_locals(elf),
        object::File::Elf64(elf) => thread_locals(elf),
        _ => None,
    };
    Anatomy {
        architecture: architecture(file.architecture()),
        kind: "shared library".to_owned(),
        sections: file.sections().count(),
        root: root.to_owned(),
        needs: asked.unknown(),
        thread_locals,
        stays_mapped: mark.map(|mark| mark.to_string()),
        asked,
    }
}

/// What a file that is no ELF file links to.
fn imported(file: &object::File<'_>) -> Vec<String> {
    let mut names = Vec::new();
    for library in file.import_libraries().into_iter().flatten().take(LIBRARIES).flatten() {
        let name = library.name();
        let name = String::from_utf8_lossy(name.get(..LONGEST).unwrap_or(name)).into_owned();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// As Rust calls it in a target's name.
fn architecture(found: Architecture) -> String {
    match found {
        Architecture::X86_64 => "x86_64".to_owned(),
        Architecture::I386 => "i686".to_owned(),
        other => format!("{other:?}").to_lowercase(),
    }
}

fn asked<Elf: FileHeader>(elf: &ElfFile<'_, Elf>, bytes: &[u8]) -> Asked {
    let mut asked = Asked { head: bytes.get(..20).unwrap_or_default().to_vec(), ..Asked::default() };
    let endian = elf.endian();
    let Ok(Some((dynamic, strings))) = elf.elf_section_table().dynamic(endian, elf.data()) else {
        return asked;
    };
    let texts = texts(elf, strings).unwrap_or_default();
    let text_of = |at, longest| {
        let (text, ends) = text(texts, at, longest)?;
        Some((String::from_utf8_lossy(text).into_owned(), ends))
    };
    // Of each of these the last one counts; the others are not read: there may be as many as the file has room for.
    let (mut run_path, mut old_run_path) = (None, None);
    let mut needed = 0;
    for (tag, value) in dynamic.iter().map(|entry| (entry.d_tag(endian), entry.d_val(endian).into())) {
        match tag {
            DT_NULL => break,
            DT_RUNPATH => run_path = Some(value),
            DT_RPATH => old_run_path = Some(value),
            DT_FLAGS_1 => asked.nowhere_else = value & DF_1_NODEFLIB.0 != 0,
            DT_NEEDED if needed < LIBRARIES => {
                needed += 1;
                let name = text_of(value, LONGEST).map(|(name, _)| name);
                asked.names.extend(name.filter(|name| !asked.names.contains(name)));
            }
            _ => {}
        }
    }
    let list = |at| {
        let (mut list, ends) = text_of(at, LONGEST_LIST)?;
        if !ends {
            // Its last entry is cut off.
            list.truncate(list.rfind(':').unwrap_or_default());
        }
        Some(list)
    };
    asked.run_path = run_path.and_then(list);
    asked.old_run_path = old_run_path.and_then(list);
    asked
}

fn thread_locals<Elf: FileHeader>(elf: &ElfFile<'_, Elf>) -> Option<ThreadLocals> {
    let segment = elf.elf_program_headers().iter().find(|segment| segment.p_type(elf.endian()) == PT_TLS)?;
    let bytes: u64 = segment.p_memsz(elf.endian()).into();
    let flagged = elf.elf_dynamic_table().is_ok_and(|table| {
        table.iter().any(|entry| entry.tag == DT_FLAGS && entry.val & DF_STATIC_TLS.0 != 0)
    });
    Some(ThreadLocals { bytes, initial_exec: flagged || has_fixed_distances(elf) })
}

/// Whether the loader is to write down how far from the thread's pointer one of its own thread-locals is. Linkers are to say so in a
/// flag as well, and some forget it.
fn has_fixed_distances<Elf: FileHeader>(elf: &ElfFile<'_, Elf>) -> bool {
    let wanted = match elf.architecture() {
        Architecture::X86_64 => R_X86_64_TPOFF64,
        Architecture::Aarch64 => R_AARCH64_TLS_TPREL,
        // There the flag is all that is known.
        _ => return false,
    };
    let symbols = elf.dynamic_symbol_table();
    let is_own = |target| match target {
        RelocationTarget::Symbol(index) => symbols
            .as_ref()
            .and_then(|symbols| symbols.symbol_by_index(index).ok())
            .is_none_or(|symbol| !symbol.is_undefined()),
        _ => true,
    };
    elf.dynamic_relocations().into_iter().flatten().any(|(_, relocation)| {
        matches!(relocation.flags(), RelocationFlags::Elf { r_type } if r_type == wanted)
            && is_own(relocation.target())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_the_loader_is_told_how_much_room_it_keeps_nothing_is_judged_by_what_it_keeps_by_itself() {
        let sets = |tunables: &str| sets_rest(OsStr::new(tunables));
        assert!(sets("glibc.malloc.check=1:glibc.rtld.optional_static_tls=4096"));
        assert!(
            !sets("") && !sets("glibc.rtld.nns=8") && !sets("glibc.rtld.optional_static_tls_of_another=1")
        );
    }
}
