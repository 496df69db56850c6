//! What a PE file has behind its sections lies within the file as well: nothing maps it, and a file that is cut there is not whole.

use object::LittleEndian as LE;
use object::pe::{IMAGE_DIRECTORY_ENTRY_SECURITY, IMAGE_SIZEOF_SYMBOL};
use object::read::pe::{ImageNtHeaders, PeFile};
use object::{ReadRef as _, U32};

/// What of it ends behind the file, in words.
pub(super) fn cut<Pe: ImageNtHeaders>(file: &PeFile<'_, Pe>, len: u64) -> Option<&'static str> {
    // The one directory that says where in the file something lies, and not where in memory.
    let signatures = file.data_directory(IMAGE_DIRECTORY_ENTRY_SECURITY).is_some_and(|directory| {
        let (from, size) = directory.address_range();
        u64::from(from) + u64::from(size) > len
    });
    if signatures {
        return Some("its signatures end behind the file");
    }
    (symbols_end(file)? > len).then_some("its symbols end behind the file")
}

/// Where the table of symbols and that of their names behind it end, which the GNU linker writes last.
fn symbols_end<Pe: ImageNtHeaders>(file: &PeFile<'_, Pe>) -> Option<u64> {
    let header = file.nt_headers().file_header();
    let from = u64::from(header.pointer_to_symbol_table.get(LE));
    if from == 0 {
        return None;
    }
    let count = u64::from(header.number_of_symbols.get(LE));
    let names = from + count * IMAGE_SIZEOF_SYMBOL as u64;
    // Their length, itself included. Cut off before that, four bytes at the least are missing.
    let length = file.data().read_at::<U32<LE>>(names).map_or(4, |length| length.get(LE));
    Some(names + u64::from(length))
}

#[cfg(test)]
mod tests {
    use crate::verify::manifest_for_any_machine;

    /// Of the header of a PE file.
    const SYMBOLS: usize = 12;

    /// A plugin, with two symbols and the names of both behind it.
    fn with_symbols() -> (Vec<u8>, usize) {
        let mut bytes = include_bytes!("../../fuzz/corpus/object/pe64").to_vec();
        let whole = bytes.len();
        let header = u32::from_le_bytes(bytes[0x3c..0x40].try_into().unwrap()) as usize;
        let [from, count] = [u32::try_from(whole).unwrap(), 2].map(u32::to_le_bytes);
        bytes[header + SYMBOLS..][..4].copy_from_slice(&from);
        bytes[header + SYMBOLS + 4..][..4].copy_from_slice(&count);
        bytes.extend([0; 2 * 18]);
        bytes.extend(12_u32.to_le_bytes());
        bytes.extend(b"one\0two\0");
        (bytes, whole)
    }

    #[test]
    fn a_file_that_is_cut_in_its_symbols_is_not_whole() {
        let (bytes, sections) = with_symbols();
        manifest_for_any_machine(&bytes).unwrap();
        for len in sections..bytes.len() {
            let error = manifest_for_any_machine(&bytes[..len]).unwrap_err().to_string();
            assert!(error.contains("its symbols end behind the file"), "{len}: {error}");
        }
    }

    #[test]
    fn a_file_that_is_cut_in_its_signatures_is_not_whole() {
        let (mut bytes, _) = with_symbols();
        let header = u32::from_le_bytes(bytes[0x3c..0x40].try_into().unwrap()) as usize;
        // Behind the header of 24 bytes stands the optional one, and in that, from byte 112 on, the directories: the fifth.
        let entry = header + 24 + 112 + 4 * 8;
        let [from, size] = [u32::try_from(bytes.len()).unwrap(), 8].map(u32::to_le_bytes);
        bytes[entry..][..4].copy_from_slice(&from);
        bytes[entry + 4..][..4].copy_from_slice(&size);
        let cut = manifest_for_any_machine(&bytes).unwrap_err().to_string();
        assert!(cut.contains("its signatures end behind the file"), "{cut}");
        bytes.extend([0; 8]);
        manifest_for_any_machine(&bytes).unwrap();
    }
}
