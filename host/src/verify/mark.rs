//! What a library's file says about never being unmapped.
//!
//! PE files can say nothing of the kind. On macOS a thread-local says it, and the standard library of Rust has some: there
//! hardly a plugin is ever unmapped (`neverUnload` in dyld's source; not run on macOS yet).

use std::fmt;

use object::elf::{DF_1_NODELETE, DT_FLAGS_1, STB_GNU_UNIQUE};
use object::macho::MH_HAS_TLV_DESCRIPTORS;
use object::read::elf::{ElfFile, FileHeader, Sym as _};
use object::{FileFlags, Object as _};

/// A mark by which the system's loader keeps a library for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// `DF_1_NODELETE` in its dynamic section.
    NoDelete,
    /// A symbol of which there is to be one in the process.
    Unique,
    /// A Mach-O file with thread-locals.
    ThreadLocals,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoDelete => {
                "its file is marked NODELETE, so the system never unmaps it; link it without `-z nodelete`"
            }
            Self::Unique => {
                "its file holds symbols marked STB_GNU_UNIQUE, so the system never unmaps it; build its C++ parts with \
                 `-fno-gnu-unique`"
            }
            Self::ThreadLocals => {
                "macOS never unmaps a library that has thread-locals, as the Rust standard library has; a restart of the \
                 host does"
            }
        })
    }
}

/// The mark of a file, if it has one.
pub(super) fn mark(file: &object::File<'_>) -> Option<Mark> {
    match file {
        object::File::Elf32(elf) => of_elf(elf),
        object::File::Elf64(elf) => of_elf(elf),
        object::File::MachO32(_) | object::File::MachO64(_) => of_mach_o(file.flags()),
        _ => None,
    }
}

fn of_elf<Elf: FileHeader>(elf: &ElfFile<'_, Elf>) -> Option<Mark> {
    let dynamic = elf.elf_dynamic_table().ok()?;
    if dynamic.iter().any(|entry| entry.tag == DT_FLAGS_1 && entry.val & DF_1_NODELETE.0 != 0) {
        return Some(Mark::NoDelete);
    }
    let unique = elf.elf_dynamic_symbol_table().iter().any(|symbol| symbol.st_bind() == STB_GNU_UNIQUE);
    unique.then_some(Mark::Unique)
}

fn of_mach_o(flags: FileFlags) -> Option<Mark> {
    let FileFlags::MachO { flags, .. } = flags else { return None };
    ((flags & MH_HAS_TLV_DESCRIPTORS).0 != 0).then_some(Mark::ThreadLocals)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of a library for aarch64, and nothing else.
    fn mach_o(flags: u32) -> Vec<u8> {
        let (cpu, library) = (0x0100_000c, 6);
        [0xfeed_facf_u32, cpu, 0, library, 0, 0, flags, 0]
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect()
    }

    #[test]
    fn a_library_for_macos_with_thread_locals_is_known_to_stay() {
        let of = |flags| mark(&object::File::parse(mach_o(flags).as_slice()).unwrap());
        assert_eq!(of(0x0080_0085), Some(Mark::ThreadLocals));
        assert_eq!(of(0x0000_0085), None);
    }
}
