//! What of a library's file lies where.

use std::ops::Range;

use anyhow::{Context as _, Result, bail};
use object::read::elf::{ElfFile64, FileHeader as _};
use object::read::macho::{MachHeader as _, MachOFile64};
use object::read::pe::PeFile64;
use object::{Endianness, File, Object as _, ObjectSection as _, SectionKind};

type Part = Range<usize>;

/// What stands before the manifest.
const MAGIC: &[u8] = b"HOTBAY-MANIFEST\0";

/// The parts of a file that are changed, or are not.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// What says what the file is: the header of ELF or Mach-O, all headers of PE.
    pub(crate) file_header: Part,
    /// What says what is to be mapped: program headers, load commands, PE's table of sections.
    pub(crate) segments: Part,
    /// ELF: the table of sections.
    pub(crate) sections: Part,
    /// The length of an entry there.
    pub(crate) section_entry: usize,
    /// ELF: what the loader is told.
    pub(crate) dynamic: Part,
    /// Magic, length and JSON.
    pub(crate) manifest: Option<Part>,
    /// Where parts of the file begin and end.
    pub(crate) edges: Vec<usize>,
    /// The code.
    pub(crate) code: Vec<Part>,
}

impl Layout {
    pub(crate) fn of(bytes: &[u8]) -> Result<Self> {
        let file = File::parse(bytes)?;
        let mut layout = match &file {
            File::Elf64(elf) => of_elf(elf)?,
            File::Pe64(pe) => of_pe(pe, bytes)?,
            File::MachO64(mach_o) => of_mach_o(mach_o),
            _ => bail!("it is no library of 64 bits"),
        };
        let part = |(start, len): (u64, u64)| -> Option<Part> {
            let start = usize::try_from(start).ok()?;
            let end = start.checked_add(usize::try_from(len).ok()?)?;
            (start < end && end <= bytes.len()).then_some(start..end)
        };
        for section in file.sections() {
            let Some(part) = section.file_range().and_then(part) else { continue };
            layout.edges.extend([part.start, part.end]);
            if section.kind() == SectionKind::Text {
                layout.code.push(part.clone());
            }
            if section.name() == Ok(".dynamic") {
                layout.dynamic = part;
            }
        }
        let parts = [&layout.file_header, &layout.segments, &layout.sections];
        layout.edges.extend(parts.into_iter().flat_map(|part| [part.start, part.end]));
        layout.edges.sort_unstable();
        layout.edges.dedup();
        layout.manifest = manifest(bytes);
        Ok(layout)
    }
}

fn of_elf(elf: &ElfFile64<'_, Endianness>) -> Result<Layout> {
    let (header, endian) = (elf.elf_header(), elf.endian());
    let table = |start: u64, count: u16, entry: u16| -> Result<Part> {
        let start = usize::try_from(start)?;
        Ok(start..start + usize::from(count) * usize::from(entry))
    };
    Ok(Layout {
        file_header: 0..64,
        segments: table(header.e_phoff(endian), header.e_phnum(endian), header.e_phentsize(endian))?,
        sections: table(header.e_shoff(endian), header.e_shnum(endian), header.e_shentsize(endian))?,
        section_entry: header.e_shentsize(endian).into(),
        ..Layout::default()
    })
}

fn of_pe(pe: &PeFile64<'_>, bytes: &[u8]) -> Result<Layout> {
    let headers = bytes.get(0x3c..0x40).and_then(|at| Some(u32::from_le_bytes(at.try_into().ok()?)));
    let at = usize::try_from(headers.context("it has no header")?)?;
    // Signature, file header and optional header; behind them the table of sections.
    let optional = usize::from(pe.nt_headers().file_header.size_of_optional_header.get(object::LittleEndian));
    let table = at + 24 + optional;
    let count = pe.sections().count();
    Ok(Layout { file_header: 0..table, segments: table..table + 40 * count, ..Layout::default() })
}

fn of_mach_o(mach_o: &MachOFile64<'_, Endianness>) -> Layout {
    let commands = mach_o.macho_header().sizeofcmds(mach_o.endian());
    let end = 32 + usize::try_from(commands).unwrap_or_default();
    Layout { file_header: 0..32, segments: 32..end, ..Layout::default() }
}

/// Where the manifest lies, by its magic: that of the code that looks for it has no JSON behind it.
fn manifest(bytes: &[u8]) -> Option<Part> {
    let places = bytes.windows(MAGIC.len()).enumerate().filter(|(_, window)| *window == MAGIC);
    places.map(|(at, _)| at).find_map(|at| {
        let json = at + MAGIC.len() + 4;
        let len = u32::from_le_bytes(bytes.get(json - 4..json)?.try_into().ok()?);
        let end = json.checked_add(usize::try_from(len).ok()?)?;
        (bytes.get(json..end)?.first() == Some(&b'{')).then_some(at..end)
    })
}

/// The same library under another service's name, its manifest as long as before. Unchanged where it has none.
pub(crate) fn renamed(bytes: &[u8], service: &str) -> Result<Vec<u8>> {
    let mut bytes = bytes.to_vec();
    let Some(part) = manifest(&bytes) else { return Ok(bytes) };
    let json = &mut bytes[part.start + MAGIC.len() + 4..part.end];
    let mut manifest: serde_json::Value = serde_json::from_slice(json)?;
    manifest["name"] = service.into();
    // What nobody asks for makes room.
    manifest["toolchain"] = "".into();
    let written = serde_json::to_vec(&manifest)?;
    if written.len() > json.len() {
        bail!("the name `{service}` does not fit into its manifest");
    }
    json.fill(b' ');
    json[..written.len()].copy_from_slice(&written);
    Ok(bytes)
}
