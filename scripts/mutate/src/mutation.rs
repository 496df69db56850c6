//! The ways in which a library is changed.

use std::ops::Range;

use serde::Serialize;

use crate::layout::Layout;
use crate::random::Random;

/// A way of being wrong. Of all but the last, no bit of code is another than it was built: whether that runs cannot be seen before it
/// does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// As it was built.
    Whole,
    /// Cut off anywhere.
    Cut,
    /// Cut off where a part of it ends.
    CutAtAnEdge,
    /// From somewhere on, zeros: as long as it should be, and written in part.
    ZeroTail,
    /// Bytes of its header are others.
    FileHeader,
    /// Of what is to be mapped, and where.
    Segments,
    /// Of the table of sections.
    Sections,
    /// Of what tells the loader where its tables are.
    Dynamic,
    /// Of its manifest.
    Manifest,
    /// It says that it is of another machine, system or kind.
    OtherMachine,
    /// Sections are said to lie elsewhere.
    SectionMoved,
    /// Bytes were put in or left out where a part begins, and all behind them moved.
    BytesMoved,
    /// Bytes were put behind its end.
    Grown,
    /// Some bytes, or none, that are no library.
    NoLibrary,
    /// Bits of its code are others.
    CodeFlipped,
}

/// All that are offered without a signature.
pub(crate) const STRUCTURAL: [Kind; 14] = [
    Kind::Whole,
    Kind::Cut,
    Kind::CutAtAnEdge,
    Kind::ZeroTail,
    Kind::FileHeader,
    Kind::Segments,
    Kind::Sections,
    Kind::Dynamic,
    Kind::Manifest,
    Kind::OtherMachine,
    Kind::SectionMoved,
    Kind::BytesMoved,
    Kind::Grown,
    Kind::NoLibrary,
];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Cut => "cut",
            Self::CutAtAnEdge => "cut_at_an_edge",
            Self::ZeroTail => "zero_tail",
            Self::FileHeader => "file_header",
            Self::Segments => "segments",
            Self::Sections => "sections",
            Self::Dynamic => "dynamic",
            Self::Manifest => "manifest",
            Self::OtherMachine => "other_machine",
            Self::SectionMoved => "section_moved",
            Self::BytesMoved => "bytes_moved",
            Self::Grown => "grown",
            Self::NoLibrary => "no_library",
            Self::CodeFlipped => "code_flipped",
        }
    }

    /// Changes a library in this way.
    pub(crate) fn apply(self, bytes: &mut Vec<u8>, layout: &Layout, random: &mut Random) {
        let len = bytes.len();
        match self {
            Self::Whole => {}
            Self::Cut => bytes.truncate(random.below(len)),
            Self::CutAtAnEdge => {
                let edge = random.one_of(&layout.edges).unwrap_or_default();
                bytes.truncate(edge.min(len - 1));
            }
            Self::ZeroTail => {
                let from = random.below(len);
                bytes[from..].fill(0);
            }
            Self::FileHeader => fuzz(bytes, &layout.file_header, random),
            Self::Segments => fuzz(bytes, &layout.segments, random),
            Self::Sections if layout.sections.is_empty() => fuzz(bytes, &layout.segments, random),
            Self::Sections => fuzz(bytes, &layout.sections, random),
            Self::Dynamic if layout.dynamic.is_empty() => fuzz(bytes, &layout.file_header, random),
            Self::Dynamic => fuzz(bytes, &layout.dynamic, random),
            Self::Manifest => match &layout.manifest {
                Some(manifest) => fuzz(bytes, manifest, random),
                None => fuzz(bytes, &layout.file_header, random),
            },
            Self::OtherMachine => other_machine(bytes, random),
            Self::SectionMoved => section_moved(bytes, layout, random),
            Self::BytesMoved => {
                let at = random.one_of(&layout.edges).unwrap_or_default().min(len);
                let count = random.one_of(&[1, 8, 16, 64, 4096]).unwrap_or(1);
                if random.below(2) == 0 {
                    bytes.splice(at..at, std::iter::repeat_n(0, count));
                } else {
                    bytes.drain(at..(at + count).min(len));
                }
            }
            Self::Grown => {
                let more = 1 + random.below(8192);
                bytes.extend((0..more).map(|_| low_byte(random)));
            }
            Self::NoLibrary => {
                let count = random.one_of(&[0, 1, 3, 16, 64, 4096]).unwrap_or_default();
                // Half of them begin like one.
                bytes.truncate(if random.below(2) == 0 { 4.min(count) } else { 0 });
                bytes.resize_with(count, || low_byte(random));
            }
            Self::CodeFlipped => {
                let total: usize = layout.code.iter().map(Range::len).sum();
                for _ in 0..=random.below(8) {
                    let mut at = random.below(total);
                    for part in &layout.code {
                        if at < part.len() {
                            bytes[part.start + at] ^= 1 << random.below(8);
                            break;
                        }
                        at -= part.len();
                    }
                }
            }
        }
    }
}

/// One to four fields of a part become others: those that a writer's mistake, or an attacker, would put there.
fn fuzz(bytes: &mut [u8], part: &Range<usize>, random: &mut Random) {
    let file = bytes.len();
    let part = &mut bytes[part.clone()];
    for _ in 0..=random.below(4) {
        let size = random.one_of(&[1, 2, 4, 8]).unwrap_or(1).min(part.len());
        if size == 0 {
            return;
        }
        let at = random.below(part.len()) / size * size;
        let Some(field) = part.get_mut(at..at + size) else { continue };
        let mut value = [0; 8];
        value[..size].copy_from_slice(field);
        let old = u64::from_le_bytes(value);
        let file = u64::try_from(file).unwrap_or_default();
        let new = match random.below(10) {
            0 => 0,
            1 => u64::MAX,
            2 => random.next(),
            3 => old.wrapping_add(1),
            4 => old.wrapping_sub(1),
            5 => old.wrapping_add(0x1000),
            6 => file,
            7 => file.wrapping_sub(old),
            _ => old ^ (1 << random.below(8 * size)),
        };
        field.copy_from_slice(&new.to_le_bytes()[..size]);
    }
}

/// Machines, classes and kinds, where ELF has them; and the magic of other formats.
fn other_machine(bytes: &mut [u8], random: &mut Random) {
    const MAGICS: [&[u8]; 5] = [
        b"MZ",
        &[0xcf, 0xfa, 0xed, 0xfe],
        &[0xca, 0xfe, 0xba, 0xbe, 0, 0, 0, 2],
        &[0xce, 0xfa, 0xed, 0xfe],
        b"\x7fELF",
    ];
    // 386, PowerPC, ARM, x86-64, AArch64, RISC-V, LoongArch, and none.
    const MACHINES: [u16; 8] = [3, 21, 40, 62, 183, 243, 258, 0];
    let (at, new): (usize, Vec<u8>) = match random.below(6) {
        0 => (0, random.one_of(&MAGICS).unwrap_or_default().to_vec()),
        // 32 bits, the other order of bytes, another system, another version.
        1 => (4 + random.below(5), vec![random.one_of(&[0, 1, 2, 3, 9, 0xff]).unwrap_or_default()]),
        // An object file, an executable, a core dump, or nothing known.
        2 => (16, random.one_of(&[0_u16, 1, 2, 4, 0xfe00]).unwrap_or_default().to_le_bytes().to_vec()),
        _ => (18, random.one_of(&MACHINES).unwrap_or_default().to_le_bytes().to_vec()),
    };
    if let Some(place) = bytes.get_mut(at..at + new.len()) {
        place.copy_from_slice(&new);
    }
}

/// Two entries of the table change places, or one says that its bytes lie elsewhere.
fn section_moved(bytes: &mut [u8], layout: &Layout, random: &mut Random) {
    let Layout { sections, section_entry, segments, .. } = layout;
    if sections.is_empty() || *section_entry < 64 {
        return fuzz(bytes, segments, random);
    }
    let count = sections.len() / section_entry;
    let entry = |number: usize| sections.start + number * section_entry;
    let (one, other) = (entry(random.below(count)), entry(random.below(count)));
    if random.below(2) == 0 {
        (0..*section_entry).for_each(|at| bytes.swap(one + at, other + at));
        return;
    }
    // Its address, its place in the file, or its length.
    let field = one + random.one_of(&[16, 24, 32]).unwrap_or(24);
    let by = random.one_of(&[1, 8, 16, 0x1000, 0x10_0000]).unwrap_or(1_u64);
    let place = &mut bytes[field..field + 8];
    let old = u64::from_le_bytes(std::array::from_fn(|at| place[at]));
    let new = if random.below(2) == 0 { old.wrapping_add(by) } else { old.wrapping_sub(by) };
    place.copy_from_slice(&new.to_le_bytes());
}

fn low_byte(random: &mut Random) -> u8 {
    random.next().to_le_bytes()[0]
}
