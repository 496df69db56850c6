//! What an ELF file says twice must be the same both times.
//!
//! The table of sections is the linker's, who built the file; program headers and dynamic section are what the loader goes by. A loader
//! believes them: where they say something else, it leaves out relocations, protects what is written to, or maps gigabytes, and a
//! probe need not notice before a plugin does what the probe did not try (a panic that cannot be unwound ends the process). So one
//! is held against the other. The code itself is not looked at: what is changed there, only a signature can tell.

mod texts;

use object::elf;
use object::read::elf::{Dynamic, ElfFile, FileHeader, ProgramHeader as _, Rela as _, SectionHeader as _};

pub(super) use texts::{exported, text, texts};

/// A segment is as long as its sections, and what a page adds, of whatever size.
const SLACK: u64 = 64 << 10;

/// The smallest page of any system.
const PAGE: u64 = 4096;

/// No linker writes as many of either: each section is looked for in each segment.
const SEGMENTS: usize = 256;
const SECTIONS: usize = 65_535;

/// No section has a longer name.
const LONGEST_NAME: usize = 4096;

/// An entry of the table of sections, of what is in memory at run time.
#[derive(Debug, Clone)]
struct Section<'a> {
    name: &'a [u8],
    kind: elf::SectionType,
    flags: u64,
    address: u64,
    offset: u64,
    size: u64,
    align: u64,
}

/// A program header.
#[derive(Debug, Clone)]
struct Segment {
    kind: elf::ProgramType,
    flags: u32,
    address: u64,
    offset: u64,
    in_file: u64,
    in_memory: u64,
    align: u64,
}

/// Where a file contradicts itself, in words.
pub(super) fn contradiction<Elf: FileHeader>(file: &ElfFile<'_, Elf>) -> Option<String> {
    let endian = file.endian();
    let table = file.elf_section_table();
    let (segments, sections) = (file.elf_program_headers().len(), table.len());
    if segments > SEGMENTS || sections > SECTIONS {
        return Some(format!("it has {segments} program headers and {sections} sections"));
    }
    let names = texts::section_names(file).unwrap_or_default();
    let name_of = |section: &Elf::SectionHeader| {
        let (name, ends) = text(names, section.sh_name(endian).into(), LONGEST_NAME)?;
        ends.then_some(name)
    };
    if !table.iter().all(|section| name_of(section).is_some()) {
        return Some("a section's name is not in its table of names".to_owned());
    }
    let sections: Vec<Section<'_>> = table
        .iter()
        .map(|section| Section {
            name: name_of(section).unwrap_or_default(),
            kind: section.sh_type(endian),
            flags: section.sh_flags(endian).0,
            address: section.sh_addr(endian).into(),
            offset: section.sh_offset(endian).into(),
            size: section.sh_size(endian).into(),
            align: section.sh_addralign(endian).into(),
        })
        .filter(|section| section.flags & SHF_ALLOC != 0 && section.size > 0)
        .collect();
    let segments: Vec<Segment> = file
        .elf_program_headers()
        .iter()
        .map(|header| Segment {
            kind: header.p_type(endian),
            flags: header.p_flags(endian).0,
            address: header.p_vaddr(endian).into(),
            offset: header.p_offset(endian).into(),
            in_file: header.p_filesz(endian).into(),
            in_memory: header.p_memsz(endian).into(),
            align: header.p_align(endian).into(),
        })
        .collect();
    let dynamic: Vec<Dynamic> = match file.elf_dynamic_table() {
        Ok(table) => table.iter().collect(),
        Err(error) => return Some(error.to_string()),
    };
    mapped(&sections, &segments)
        .or_else(|| named(&sections, &segments))
        .or_else(|| protected(&sections, &segments))
        .or_else(|| told(&sections, &dynamic))
        .or_else(|| counted(file, &dynamic))
}

const SHF_ALLOC: u64 = elf::SHF_ALLOC.0;
const SHF_WRITE: u64 = elf::SHF_WRITE.0;
const SHF_EXECINSTR: u64 = elf::SHF_EXECINSTR.0;
const SHF_TLS: u64 = elf::SHF_TLS.0;

/// Each section is mapped from where it lies to where it is to be, with the rights that it needs; and nothing is mapped that is no section.
fn mapped(sections: &[Section<'_>], segments: &[Segment]) -> Option<String> {
    let loads = || segments.iter().filter(|segment| segment.kind == elf::PT_LOAD);
    let holds = |load: &Segment, section: &Section<'_>| {
        let Some(within) = section.address.checked_sub(load.address) else { return false };
        let fits = |all: u64| within.checked_add(section.size).is_some_and(|end| end <= all);
        let in_file =
            section.is_empty() || fits(load.in_file) && section.offset == load.offset.wrapping_add(within);
        let needs = [(SHF_WRITE, elf::PF_W.0), (SHF_EXECINSTR, elf::PF_X.0), (SHF_ALLOC, elf::PF_R.0)];
        let may = needs.iter().all(|(of, right)| section.flags & of == 0 || load.flags & right != 0);
        fits(load.in_memory) && in_file && may
    };
    // What each thread has of its own, and is zero, has no place here.
    let placed = || sections.iter().filter(|section| !(section.is_empty() && section.flags & SHF_TLS != 0));
    if let Some(lost) = placed().find(|section| !loads().any(|load| holds(load, section))) {
        return Some(format!(
            "its section {} is mapped from, or to, another place than where it lies",
            lost.shown()
        ));
    }
    let too_long = |load: &&Segment| {
        let ends =
            placed().filter(|section| holds(load, section)).map(|section| section.address + section.size);
        let last = ends.max().unwrap_or(load.address);
        load.in_file > load.in_memory
            || load.address.checked_add(load.in_memory).is_none_or(|end| end - last > SLACK)
    };
    loads()
        .find(too_long)
        .map(|load| format!("{} bytes are to be mapped where its sections end before", load.in_memory))
}

/// What the loader and the unwinder find by a program header is the section that it is.
fn named(sections: &[Section<'_>], segments: &[Segment]) -> Option<String> {
    let one = |kind, is: &dyn Fn(&Section<'_>) -> bool| {
        let section = sections.iter().find(|section| is(section));
        let mut segments = segments.iter().filter(|segment| segment.kind == kind);
        match (section, segments.next(), segments.next()) {
            (None, None, None) => true,
            (Some(section), Some(segment), None) => {
                (segment.address, segment.offset) == (section.address, section.offset)
                    && segment.in_file == section.size
            }
            _ => false,
        }
    };
    if !one(elf::PT_DYNAMIC, &|section| section.kind == elf::SHT_DYNAMIC) {
        return Some("its dynamic section is said to be in two places".to_owned());
    }
    if !one(elf::PT_GNU_EH_FRAME, &|section| section.name == b".eh_frame_hdr") {
        return Some("what unwinding needs is said to be in two places".to_owned());
    }
    let locals = || sections.iter().filter(|section| section.flags & SHF_TLS != 0);
    let first = locals().min_by_key(|section| section.address);
    let end = |all: bool| {
        let of = locals().filter(|section| all || !section.is_empty());
        of.map(|section| section.address.saturating_add(section.size)).max()
    };
    let mut templates = segments.iter().filter(|segment| segment.kind == elf::PT_TLS);
    let agrees = match (first, templates.next(), templates.next()) {
        (None, None, None) => true,
        (Some(first), Some(segment), None) => {
            let len = |all| end(all).unwrap_or(first.address).saturating_sub(first.address);
            // Some linkers round the whole of it up.
            let rounded = len(true)..=len(true).saturating_add(PAGE);
            // Each thread takes room of that alignment, or ends the process: the probe has one thread, and the host many.
            let aligned = locals().map(|section| section.align).max().unwrap_or_default().max(1);
            segment.address == first.address
                && (segment.in_file == 0 || segment.offset == first.offset)
                && segment.in_file == len(false)
                && rounded.contains(&segment.in_memory)
                && segment.align <= aligned
        }
        _ => false,
    };
    (!agrees).then(|| "its thread-locals are said to be in two places".to_owned())
}

/// Whether a section of this name is written to by the loader only: `.data.rel.ro`, and `.data.rel.ro.local`, which gold keeps.
fn is_for_a_moment(name: &[u8]) -> bool {
    const OF_LOADER: &[u8] = b".rel.ro";
    name.windows(OF_LOADER.len()).any(|part| part == OF_LOADER)
}

/// What is written to at run time is not protected from that.
fn protected(sections: &[Section<'_>], segments: &[Segment]) -> Option<String> {
    let written = |section: &&Section<'_>| {
        let is = |of: &[u8]| {
            section.name == of || section.name.strip_prefix(of).is_some_and(|rest| rest.starts_with(b"."))
        };
        section.flags & SHF_WRITE != 0 && (is(b".data") || is(b".bss")) && !is_for_a_moment(section.name)
    };
    let relro = segments.iter().filter(|segment| segment.kind == elf::PT_GNU_RELRO);
    let found = relro.flat_map(|segment| {
        let start = segment.address / PAGE * PAGE;
        let end = segment.address.saturating_add(segment.in_memory) / PAGE * PAGE;
        let touched = move |section: &&Section<'_>| {
            section.address < end && section.address.saturating_add(section.size) > start
        };
        sections.iter().filter(written).filter(touched)
    });
    found
        .map(|section| {
            format!("its section {} is written to, and would be protected from that", section.shown())
        })
        .next()
}

/// Tables are where the dynamic section says, and as long; and it tells of each that there is.
fn told(sections: &[Section<'_>], dynamic: &[Dynamic]) -> Option<String> {
    let value = |tag| dynamic.iter().rfind(|entry| entry.tag == tag).map(|entry| entry.val);
    let tables = [
        (elf::SHT_RELA, elf::DT_RELA, Some(elf::DT_RELASZ)),
        (elf::SHT_REL, elf::DT_REL, Some(elf::DT_RELSZ)),
        (elf::SHT_RELR, elf::DT_RELR, Some(elf::DT_RELRSZ)),
        (elf::SHT_INIT_ARRAY, elf::DT_INIT_ARRAY, Some(elf::DT_INIT_ARRAYSZ)),
        (elf::SHT_FINI_ARRAY, elf::DT_FINI_ARRAY, Some(elf::DT_FINI_ARRAYSZ)),
        (elf::SHT_STRTAB, elf::DT_STRTAB, Some(elf::DT_STRSZ)),
        (elf::SHT_DYNSYM, elf::DT_SYMTAB, None),
        (elf::SHT_HASH, elf::DT_HASH, None),
        (elf::SHT_GNU_HASH, elf::DT_GNU_HASH, None),
        (elf::SHT_GNU_VERSYM, elf::DT_VERSYM, None),
        (elf::SHT_GNU_VERNEED, elf::DT_VERNEED, None),
        (elf::SHT_GNU_VERDEF, elf::DT_VERDEF, None),
    ];
    let of_calls = value(elf::DT_JMPREL).zip(value(elf::DT_PLTRELSZ));
    for (kind, start, len) in tables {
        // Relocations of calls are a table of their own, often behind the others.
        let is_of_calls = |section: &Section<'_>| of_calls == Some((section.address, section.size));
        let of_kind = || sections.iter().filter(|section| section.kind == kind && !is_of_calls(section));
        let told = value(start).map(|start| (start, len.map(|len| value(len).unwrap_or_default())));
        let Some((start, len)) = told else {
            if let Some(section) = of_kind().next() {
                return Some(format!("the loader is not told of its section {}", section.shown()));
            }
            continue;
        };
        let end = of_kind().map(|section| section.address.saturating_add(section.size)).max();
        let first = of_kind().map(|section| section.address).min();
        let (Some(first), Some(end)) = (first, end) else {
            if len == Some(0) || of_calls.is_some_and(|(address, _)| address == start) {
                continue;
            }
            return Some(format!("the loader is told of a table at {start:#x} that is no section"));
        };
        let all = of_calls
            .filter(|(address, _)| *address == end)
            .map(|(address, size)| address.wrapping_add(size).wrapping_sub(first));
        if start != first || len.is_some_and(|len| len != end - first && Some(len) != all) {
            return Some(format!(
                "the loader is told of a table at {start:#x} that lies at {first:#x}, or is of another length"
            ));
        }
    }
    None
}

/// Relocations that are said to need no symbol are of one kind: a loader takes them all for that.
fn counted<Elf: FileHeader>(file: &ElfFile<'_, Elf>, dynamic: &[Dynamic]) -> Option<String> {
    let endian = file.endian();
    let count = dynamic.iter().rfind(|entry| entry.tag == elf::DT_RELACOUNT)?.val;
    let start = dynamic.iter().rfind(|entry| entry.tag == elf::DT_RELA)?.val;
    let table = file.elf_section_table();
    let section = table.iter().find(|section| {
        section.sh_type(endian) == elf::SHT_RELA && section.sh_addr(endian).into() == start
    })?;
    let (relocations, _) = section.rela(endian, file.data()).ok().flatten()?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let kind = |at: usize| relocations.get(at).map(|relocation| relocation.r_type(endian, false));
    let alike = count <= relocations.len() && (1..count).all(|at| kind(at) == kind(0));
    (!alike).then(|| {
        format!("{count} of its relocations are said to need no symbol, and not all of them are such")
    })
}

impl Section<'_> {
    /// It has no bytes in the file: zeros, at run time.
    fn is_empty(&self) -> bool {
        self.kind == elf::SHT_NOBITS
    }

    fn shown(&self) -> String {
        format!("`{}`", String::from_utf8_lossy(self.name).escape_debug())
    }
}

#[cfg(test)]
mod tests;
