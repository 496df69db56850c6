//! `ld.so.cache`, the list that `ldconfig` writes of the libraries in the system's folders.
//!
//! Read as glibc reads it: a table of names and paths behind a magic, which may stand behind a table of the older format.

use std::path::{Path, PathBuf};

const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Behind the magic: how many entries, how long the texts are, and what is not needed here.
const HEADER: usize = 48;
/// Flags, name, path, and what it needs of the system.
const ENTRY: usize = 24;

/// The files that are listed under this name; an error where the list is there and cannot be read: what is missing then cannot be said.
pub(super) fn paths_of(name: &str) -> Result<Vec<PathBuf>, ()> {
    match std::fs::read("/etc/ld.so.cache") {
        Ok(bytes) => listed(&bytes, name).ok_or(()),
        // musl has none, nor does a system without `ldconfig`.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(_) => Err(()),
    }
}

fn listed(bytes: &[u8], name: &str) -> Option<Vec<PathBuf>> {
    // Offsets count from the magic of this table.
    let start = bytes.windows(MAGIC.len()).position(|window| window == MAGIC)?;
    let table = &bytes[start..];
    let number = |at: usize| {
        let four: [u8; 4] = table.get(at..at + 4)?.try_into().ok()?;
        usize::try_from(u32::from_ne_bytes(four)).ok()
    };
    let text = |at: usize| {
        let rest = table.get(at..)?;
        rest.split(|byte| *byte == 0).next().filter(|text| text.len() < rest.len())
    };
    let count = number(MAGIC.len())?;
    let mut paths = Vec::new();
    for entry in 0..count {
        let at = HEADER.checked_add(entry.checked_mul(ENTRY)?)?;
        if text(number(at + 4)?)? == name.as_bytes() {
            let path = std::str::from_utf8(text(number(at + 8)?)?).ok()?;
            paths.push(Path::new(path).to_owned());
        }
    }
    Some(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of one entry, as `ldconfig` writes it.
    fn table(name: &str, path: &str) -> Vec<u8> {
        let texts = format!("{name}\0{path}\0");
        let first = u32::try_from(HEADER + ENTRY).unwrap();
        let mut bytes = MAGIC.to_vec();
        for word in [1, u32::try_from(texts.len()).unwrap(), 0, 0, 0, 0, 0] {
            bytes.extend(word.to_ne_bytes());
        }
        for word in [0, first, first + u32::try_from(name.len() + 1).unwrap(), 0, 0, 0] {
            bytes.extend(u32::to_ne_bytes(word));
        }
        bytes.extend(texts.bytes());
        bytes
    }

    #[test]
    fn a_library_is_listed_by_its_name_also_behind_a_table_of_the_older_format() {
        let plain = table("liba.so.1", "/usr/lib/liba.so.1");
        let behind = [b"ld.so-1.7.0\0\0\0\0\0".to_vec(), plain.clone()].concat();
        for bytes in [&plain, &behind] {
            assert_eq!(listed(bytes, "liba.so.1"), Some(vec!["/usr/lib/liba.so.1".into()]));
            assert_eq!(listed(bytes, "liba.so"), Some(Vec::new()));
        }
    }

    #[test]
    fn a_table_that_is_cut_off_or_of_another_format_lists_nothing_that_could_be_judged_by() {
        let whole = table("liba.so.1", "/usr/lib/liba.so.1");
        for length in 0..whole.len() {
            assert_eq!(listed(&whole[..length], "liba.so.1"), None, "{length}");
        }
    }

    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[test]
    fn the_cache_of_this_system_is_read() {
        if Path::new("/etc/ld.so.cache").exists() {
            assert!(paths_of("no such library").unwrap().is_empty());
        }
    }
}
