//! Texts of an ELF file: never read further than a text may be long, since as many may begin in one place as the file has room for, and end
//! nowhere.

use object::SectionIndex;
use object::elf;
use object::read::elf::{ElfFile, FileHeader, SectionHeader as _, Sym as _};

/// The bytes of a table of texts.
pub(in super::super) fn texts<'a, Elf: FileHeader>(
    file: &ElfFile<'a, Elf>,
    table: SectionIndex,
) -> Option<&'a [u8]> {
    file.elf_section_table().section(table).ok()?.data(file.endian(), file.data()).ok()
}

/// The table of the sections' names.
pub(super) fn section_names<'a, Elf: FileHeader>(file: &ElfFile<'a, Elf>) -> Option<&'a [u8]> {
    let table = file.elf_header().shstrndx(file.endian(), file.data()).ok()?;
    texts(file, SectionIndex(usize::try_from(table).ok()?))
}

/// The text that begins there, as far as it is to be read; whether it ends there.
pub(in super::super) fn text(texts: &[u8], at: u64, longest: usize) -> Option<(&[u8], bool)> {
    let rest = texts.get(usize::try_from(at).ok()?..)?;
    let near = &rest[..rest.len().min(longest)];
    Some(near.iter().position(|byte| *byte == 0).map_or((near, false), |end| (&near[..end], true)))
}

/// The address of what it exports under a name.
pub(in super::super) fn exported<Elf: FileHeader>(file: &ElfFile<'_, Elf>, name: &[u8]) -> Option<u64> {
    let endian = file.endian();
    let symbols = file.elf_dynamic_symbol_table();
    let names = texts(file, symbols.string_section())?;
    let kinds = [elf::STT_NOTYPE, elf::STT_OBJECT, elf::STT_FUNC];
    let is_it = |symbol: &&Elf::Sym| {
        let section = symbol.st_shndx(endian);
        let is_address = !section.is_special() || section == elf::SHN_XINDEX;
        is_address
            && !symbol.is_local()
            && kinds.contains(&symbol.st_type())
            && text(names, symbol.st_name(endian).into(), name.len() + 1) == Some((name, true))
    };
    symbols.iter().skip(1).find(is_it).map(|symbol| symbol.st_value(endian).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_an_end_is_read_no_further_than_it_may_be_long() {
        let bytes = [b"\0ab\0".as_slice(), &[b'x'; 64]].concat();
        assert_eq!(text(&bytes, 1, 3), Some((b"ab".as_slice(), true)));
        assert_eq!(text(&bytes, 1, 2), Some((b"ab".as_slice(), false)));
        assert_eq!(text(&bytes, 4, 8), Some((b"xxxxxxxx".as_slice(), false)));
        assert_eq!(text(&bytes, 60, 4096).map(|(text, ends)| (text.len(), ends)), Some((8, false)));
        assert_eq!(text(&bytes, 69, 8), None);
    }
}
