//! What a library's file says about never being unmapped.
//!
//! PE and Mach-O files can say nothing of the kind.

use std::fmt;

use object::elf::{DF_1_NODELETE, DT_FLAGS_1, STB_GNU_UNIQUE};
use object::read::elf::{ElfFile, FileHeader, Sym as _};

/// A mark by which the system's loader keeps a library for as long as the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// `DF_1_NODELETE` in its dynamic section.
    NoDelete,
    /// A symbol of which there is to be one in the process.
    Unique,
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
        })
    }
}

/// The mark of a file, if it has one.
pub(super) fn mark(file: &object::File<'_>) -> Option<Mark> {
    match file {
        object::File::Elf32(elf) => of_elf(elf),
        object::File::Elf64(elf) => of_elf(elf),
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
