//! A shared library as bytes: format, target, wholeness, and the manifest's bytes.

use hotbay_plugin_api::abi::{HEADER_SYMBOL, MANIFEST_SYMBOL};
use hotbay_plugin_api::manifest::MAGIC;
use object::read::{ExportTarget, NameOrOrdinal};
use object::{Architecture, BinaryFormat, FileKind, Object, ObjectKind, ObjectSection, ObjectSegment};

use super::VerifyError;
use super::anatomy::{Anatomy, anatomy};
use super::elf;
use super::mark::{Mark, mark};
use super::pe;

/// The format's name, where it is one that some system loads.
pub(super) fn format(bytes: &[u8]) -> Option<&'static str> {
    match FileKind::parse(bytes).ok()? {
        FileKind::Elf32 | FileKind::Elf64 => Some("elf"),
        FileKind::Pe32 | FileKind::Pe64 => Some("pe"),
        FileKind::MachO32 | FileKind::MachO64 | FileKind::MachOFat32 | FileKind::MachOFat64 => Some("mach-o"),
        _ => None,
    }
}

/// What a whole library holds.
pub(super) struct Read<'a> {
    /// The manifest.
    pub(super) json: &'a [u8],
    pub(super) mark: Option<Mark>,
    pub(super) anatomy: Anatomy,
}

/// Reads a library, after everything that can be checked without its manifest.
pub(super) fn read(bytes: &[u8]) -> Result<Read<'_>, VerifyError> {
    let file = parse(bytes)?;
    require_this_machine(&file)?;
    let (json, mark) = inspect(&file, bytes.len() as u64)?;
    Ok(Read { json, mark, anatomy: anatomy(&file, bytes, HEADER_SYMBOL, mark) })
}

/// The manifest and the mark of a library for any machine: what reads the files of one system can then be tried on another.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn manifest_for_any_machine(bytes: &[u8]) -> Result<(&[u8], Option<Mark>), VerifyError> {
    let file = parse(bytes)?;
    let (json, mark) = inspect(&file, bytes.len() as u64)?;
    // What else is read of it, and what that says, is another matter: it ends, and does not panic.
    let _ = anatomy(&file, bytes, HEADER_SYMBOL, mark);
    Ok((json, mark))
}

fn parse(bytes: &[u8]) -> Result<object::File<'_>, VerifyError> {
    if format(bytes).is_none() {
        // A file cut inside its first bytes is no library yet, and may become one.
        return Err(if is_start_of_library(bytes) {
            broken("cut off in its header")
        } else {
            VerifyError::NoLibrary
        });
    }
    if matches!(FileKind::parse(bytes), Ok(FileKind::MachOFat32 | FileKind::MachOFat64)) {
        return Err(VerifyError::Universal);
    }
    object::File::parse(bytes).map_err(broken)
}

fn inspect<'a>(file: &object::File<'a>, len: u64) -> Result<(&'a [u8], Option<Mark>), VerifyError> {
    require_shared(file)?;
    require_whole(file, len)?;
    let address = exported(file, len, MANIFEST_SYMBOL)?.ok_or(VerifyError::NoPlugin(MANIFEST_SYMBOL))?;
    exported(file, len, HEADER_SYMBOL)?.ok_or(VerifyError::NoPlugin(HEADER_SYMBOL))?;
    let json = embedded_json(file, address).map_err(|e| VerifyError::Manifest(e.to_owned()))?;
    Ok((json, mark(file)))
}

fn is_start_of_library(bytes: &[u8]) -> bool {
    let magics: [&[u8]; 4] = [b"\x7fELF", b"MZ", &[0xcf, 0xfa, 0xed, 0xfe], &[0xca, 0xfe, 0xba, 0xbe]];
    magics.iter().any(|magic| bytes.starts_with(magic) || magic.starts_with(bytes))
}

fn require_this_machine(file: &object::File<'_>) -> Result<(), VerifyError> {
    let ours = (BinaryFormat::native_object(), native_architecture());
    let found = (file.format(), file.architecture());
    let native = |(format, architecture)| {
        // COFF is what Windows calls its object files, PE its libraries.
        let format = if format == BinaryFormat::Pe { BinaryFormat::Coff } else { format };
        (format, architecture)
    };
    if native(found) == native(ours) && file.is_64() == cfg!(target_pointer_width = "64") {
        return Ok(());
    }
    let words = |(format, architecture): (BinaryFormat, Architecture)| format!("{architecture:?} {format:?}");
    Err(VerifyError::OtherTarget { found: words(found), ours: words(ours) })
}

fn native_architecture() -> Architecture {
    match std::env::consts::ARCH {
        "x86_64" => Architecture::X86_64,
        "x86" => Architecture::I386,
        "aarch64" => Architecture::Aarch64,
        "arm" => Architecture::Arm,
        "riscv64" => Architecture::Riscv64,
        "powerpc64" => Architecture::PowerPc64,
        "s390x" => Architecture::S390x,
        "loongarch64" => Architecture::LoongArch64,
        _ => Architecture::Unknown,
    }
}

fn require_shared(file: &object::File<'_>) -> Result<(), VerifyError> {
    match file.kind() {
        ObjectKind::Dynamic => Ok(()),
        ObjectKind::Executable => Err(VerifyError::NotShared("an executable")),
        ObjectKind::Relocatable => Err(VerifyError::NotShared("an object file")),
        ObjectKind::Core => Err(VerifyError::NotShared("a core dump")),
        _ => Err(VerifyError::NotShared("of an unknown kind")),
    }
}

/// Everything that the headers promise lies within the file: a loader would map what is missing, and crash on it.
fn require_whole(file: &object::File<'_>, len: u64) -> Result<(), VerifyError> {
    let within = |(start, size): (u64, u64)| start.checked_add(size).is_some_and(|end| end <= len);
    if !file.segments().map(|segment| segment.file_range()).all(within) {
        return Err(broken("a segment ends behind the file"));
    }
    let mut sections = 0usize;
    let mut names = Names::of(len);
    for section in file.sections() {
        sections += 1;
        if !section.file_range().is_none_or(within) {
            return Err(broken("a section ends behind the file"));
        }
        // Of ELF below, where they are read no further than a name is long.
        if file.format() != BinaryFormat::Elf {
            names.read(section.name().map_err(broken)?.as_bytes())?;
        }
    }
    // Linkers write the table of sections last: a file that was allocated before it was written ends in zeros.
    if sections == 0 {
        return Err(broken("its sections are missing"));
    }
    let contradiction = match file {
        object::File::Elf32(elf) => elf::contradiction(elf),
        object::File::Elf64(elf) => elf::contradiction(elf),
        object::File::Pe32(file) => pe::cut(file, len).map(str::to_owned),
        object::File::Pe64(file) => pe::cut(file, len).map(str::to_owned),
        _ => None,
    };
    contradiction.map_or(Ok(()), |what| Err(broken(what)))
}

/// The names of one table, all of which together are no longer than the file that holds them. A table may name one and the same text
/// as often as it has entries, and each time its end is looked for.
struct Names {
    left: u64,
}

impl Names {
    fn of(len: u64) -> Self {
        Self { left: len }
    }

    fn read(&mut self, name: &[u8]) -> Result<(), VerifyError> {
        let left = self.left.checked_sub(name.len() as u64);
        self.left = left.ok_or_else(|| broken("its names are longer than the file"))?;
        Ok(())
    }
}

/// The address of an exported symbol.
fn exported(file: &object::File<'_>, len: u64, name: &str) -> Result<Option<u64>, VerifyError> {
    match file {
        object::File::Elf32(elf) => return Ok(elf::exported(elf, name.as_bytes())),
        object::File::Elf64(elf) => return Ok(elf::exported(elf, name.as_bytes())),
        _ => {}
    }
    // Mach-O puts an underscore before each name.
    let same = |found: &[u8]| found == name.as_bytes() || found.strip_prefix(b"_") == Some(name.as_bytes());
    let mut names = Names::of(len);
    for export in file.exports().map_err(broken)? {
        let export = export.map_err(broken)?;
        let NameOrOrdinal::Name(found) = export.name() else { continue };
        names.read(found)?;
        if let ExportTarget::Address { address } = export.target()
            && same(found)
        {
            return Ok(Some(address));
        }
    }
    Ok(None)
}

fn embedded_json<'a>(file: &object::File<'a>, address: u64) -> Result<&'a [u8], &'static str> {
    let at = |address, size| {
        file.sections()
            .find_map(|section| section.data_range(address, size).ok().flatten())
            .ok_or("it is not in the file")
    };
    let head = at(address, 20)?;
    let (magic, len) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err("its magic is another");
    }
    let len = u32::from_le_bytes(len.try_into().map_err(|_| "it is cut off")?);
    at(address.checked_add(20).ok_or("it is not in the file")?, u64::from(len))
}

fn broken(what: impl std::fmt::Display) -> VerifyError {
    VerifyError::Broken(what.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_names_one_long_text_again_and_again_is_read_no_longer_than_its_file_is() {
        let file = [b'a'; 100];
        let mut names = Names::of(file.len() as u64);
        let read = std::iter::repeat_with(|| names.read(&file[..40])).take_while(Result::is_ok).count();
        assert_eq!(read, 2);
    }
}
