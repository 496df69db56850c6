//! A library without what is for debuggers: nine tenths of it, which no loader looks at, and which would be written and read each time.

/// A field of an ELF file of 64 bits, little-endian.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let mut value = [0; 8];
    value[..N].copy_from_slice(bytes.get(at..at + N)?);
    usize::try_from(u64::from_le_bytes(value)).ok()
}

/// Length of an entry of the table of sections.
const ENTRY: usize = 64;
const STRTAB: usize = 3;
const NOBITS: usize = 8;
const ALLOC: usize = 2;

/// The same library up to the last that is in memory at run time, and a table of those sections behind. `None` where it is no ELF file of 64
/// bits, or one whose sections are in another order than linkers leave them in.
pub(crate) fn stripped(bytes: &[u8]) -> Option<Vec<u8>> {
    if !bytes.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, count, names) = (field::<8>(bytes, 40)?, field::<2>(bytes, 60)?, field::<2>(bytes, 62)?);
    let entry = |number: usize| bytes.get(table + number * ENTRY..table + (number + 1) * ENTRY);
    let is_kept = |entry: &[u8]| field::<8>(entry, 8).is_some_and(|flags| flags & ALLOC != 0);
    // Their numbers stay as they are: symbols go by them.
    let kept = (1..count).take_while(|number| entry(*number).is_some_and(is_kept)).count();
    if (kept + 1..count).any(|number| entry(number).is_none_or(is_kept)) {
        return None;
    }
    let end = |number: usize| {
        let entry = entry(number)?;
        let len = if field::<4>(entry, 4)? == NOBITS { 0 } else { field::<8>(entry, 32)? };
        Some(field::<8>(entry, 24)? + len)
    };
    let end = (1..=kept).filter_map(end).max()?;
    let (of_names, len) = (entry(names)?, field::<8>(entry(names)?, 32)?);
    let from = field::<8>(of_names, 24)?;

    let mut made = bytes.get(..end)?.to_vec();
    made.extend_from_slice(bytes.get(from..from + len)?);
    made.resize(made.len().next_multiple_of(8), 0);
    let start = made.len();
    made.extend_from_slice(bytes.get(table..table + (kept + 1) * ENTRY)?);
    let mut of_names = of_names.to_vec();
    of_names[4..8].copy_from_slice(&u32::try_from(STRTAB).ok()?.to_le_bytes());
    of_names[24..32].copy_from_slice(&u64::try_from(end).ok()?.to_le_bytes());
    made.extend_from_slice(&of_names);
    made[40..48].copy_from_slice(&u64::try_from(start).ok()?.to_le_bytes());
    let number = u16::try_from(kept + 1).ok()?;
    made[60..62].copy_from_slice(&(number + 1).to_le_bytes());
    made[62..64].copy_from_slice(&number.to_le_bytes());
    Some(made)
}
