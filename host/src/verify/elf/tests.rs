// Windows: there are no ELF files at hand, and none are loaded there; likewise on macOS.
#![cfg(target_os = "linux")]

use object::read::elf::ElfFile64;
use object::{Endianness, Object as _, ObjectSection as _};

use super::*;

/// A real one, with thread-locals, protected parts and relocations: this very program. Linked as a library is, but for how it begins.
fn real() -> Vec<u8> {
    std::fs::read(std::env::current_exe().unwrap()).unwrap()
}

fn of(bytes: &[u8]) -> Option<String> {
    ElfFile64::<Endianness>::parse(bytes).map_or_else(|e| Some(e.to_string()), |file| contradiction(&file))
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

#[test]
fn a_file_as_it_was_linked_does_not_contradict_itself() {
    assert_eq!(of(&real()), None);
}

#[test]
fn a_program_header_that_is_changed_is_seen_whatever_it_maps_or_names() {
    let real = real();
    let (table, count) = {
        let file = ElfFile64::<Endianness>::parse(&*real).unwrap();
        let header = file.elf_header();
        (usize::try_from(header.e_phoff(file.endian())).unwrap(), file.elf_program_headers().len())
    };
    let mut seen = 0;
    for at in (0..count).map(|number| table + 56 * number) {
        let kind = u32::from_le_bytes(real[at..at + 4].try_into().unwrap());
        let kinds = [elf::PT_LOAD, elf::PT_DYNAMIC, elf::PT_TLS, elf::PT_GNU_EH_FRAME];
        if !kinds.iter().any(|known| known.0 == kind) {
            continue;
        }
        // It is another, lies elsewhere, goes elsewhere, or is longer than there is room for.
        for (field, by) in [(8, 0x1000), (16, 0x1000), (40, 1 << 30)] {
            let mut changed = real.clone();
            put(&mut changed, at + field, get(&real, at + field) + by);
            // Of what has no bytes in the file it says nothing where they lie; nor, of what is named, how long it is in memory.
            let says = match field {
                8 => get(&real, at + 32) > 0,
                40 => kind == elf::PT_LOAD.0 || kind == elf::PT_TLS.0,
                _ => true,
            };
            assert!(!says || of(&changed).is_some(), "kind {kind:#x}, field {field}");
            seen += 1;
        }
        if kind == elf::PT_TLS.0 {
            // "cannot allocate memory for thread-local data: ABORT", in a thread of the host.
            let mut changed = real.clone();
            put(&mut changed, at + 48, 1 << 40);
            assert!(of(&changed).is_some());
        }
        let mut changed = real.clone();
        changed[at] ^= 0x40;
        assert!(of(&changed).is_some(), "a header of the kind {kind:#x} is missing");
    }
    assert!(seen >= 12, "{seen} headers were changed");
}

#[test]
fn a_protection_that_is_longer_than_it_was_is_seen_before_anything_is_written_there() {
    let mut changed = real();
    let (table, count) = {
        let file = ElfFile64::<Endianness>::parse(&*changed).unwrap();
        let header = file.elf_header();
        (usize::try_from(header.e_phoff(file.endian())).unwrap(), file.elf_program_headers().len())
    };
    let mut headers = (0..count).map(|number| table + 56 * number);
    let relro = headers.find(|at| changed[*at..at + 4] == elf::PT_GNU_RELRO.0.to_le_bytes()).unwrap();
    let longer = get(&changed, relro + 40) + (1 << 20);
    put(&mut changed, relro + 40, longer);
    assert!(of(&changed).unwrap().contains("protected"));
}

#[test]
fn a_table_of_the_dynamic_section_that_is_elsewhere_shorter_or_left_out_is_seen() {
    let real = real();
    let (start, len) = {
        let file = ElfFile64::<Endianness>::parse(&*real).unwrap();
        let (start, len) = file.section_by_name(".dynamic").unwrap().file_range().unwrap();
        (usize::try_from(start).unwrap(), usize::try_from(len).unwrap())
    };
    let tags = [
        elf::DT_RELASZ,
        elf::DT_INIT_ARRAY,
        elf::DT_INIT_ARRAYSZ,
        elf::DT_FINI_ARRAY,
        elf::DT_FINI_ARRAYSZ,
        elf::DT_STRTAB,
        elf::DT_STRSZ,
        elf::DT_SYMTAB,
        elf::DT_GNU_HASH,
        elf::DT_VERSYM,
        elf::DT_VERNEED,
    ];
    let mut seen = 0;
    for at in (start..start + len).step_by(16) {
        if !tags.iter().any(|tag| tag.0 as u64 == get(&real, at)) {
            continue;
        }
        let mut changed = real.clone();
        put(&mut changed, at + 8, get(&real, at + 8) - 8);
        assert!(of(&changed).is_some(), "{:#x}", get(&real, at));
        // No loader knows a tag of this number.
        put(&mut changed, at, 0x6000_0000);
        put(&mut changed, at + 8, get(&real, at + 8));
        assert!(of(&changed).is_some(), "{:#x} is left out", get(&real, at));
        seen += 1;
    }
    assert!(seen >= 8, "{seen} entries were changed");
}

#[test]
fn more_program_headers_than_any_linker_writes_are_not_looked_at() {
    let mut changed = real();
    let count = ElfFile64::<Endianness>::parse(&*changed).unwrap().elf_program_headers().len();
    assert!(count <= SEGMENTS);
    // e_phnum. The table goes on into what lies behind it.
    changed[56..58].copy_from_slice(&1000_u16.to_le_bytes());
    assert!(of(&changed).is_some_and(|why| why.contains("1000 program headers")));
}

#[test]
fn what_the_loader_alone_writes_to_is_protected_by_any_linker() {
    for name in [".data.rel.ro", ".data.rel.ro.local", ".data.rel.ro.local.x"] {
        assert!(is_for_a_moment(name.as_bytes()), "{name}");
    }
    assert!(!is_for_a_moment(b".data") && !is_for_a_moment(b".data.rel"));
}

#[test]
fn a_table_of_names_without_ends_is_damaged() {
    let mut changed = real();
    let names = {
        let file = ElfFile64::<Endianness>::parse(&*changed).unwrap();
        let section = file.section_by_name(".shstrtab").unwrap().file_range().unwrap();
        usize::try_from(section.0).unwrap()..usize::try_from(section.0 + section.1).unwrap()
    };
    changed[names].fill(b'x');
    assert!(of(&changed).is_some_and(|why| why.contains("table of names")));
}
