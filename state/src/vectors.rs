//! `vectors/`: for each format that is read, one file per way of being wrong, and some that are right.
//!
//! They are opened as the state of `echo` with the key of 32 bytes 00, 01, … 1f (the first 16 or 24 of them for
//! `good-aes-128` and `good-aes-192`). Those of the format that is written are made from fixed salts by
//! `HOTBAY_WRITE_VECTORS=1 cargo test -p hotbay-state vectors`, which writes the same bytes again as long as the
//! format is the same: a change that shows up in git is a change of the format. Those of a format that is only read
//! never change.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::error::OpenError;
use crate::open::{open, read_header};
use crate::opener::Opener;
use crate::sample::key;

mod format_1;
mod format_2;

/// Whether it is the error that is expected; `None` if the file is right.
type Expected = Option<fn(&OpenError) -> bool>;

fn folder(format: u16) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors").join(format.to_string())
}

fn read(format: u16, name: &str) -> Vec<u8> {
    let file = folder(format).join(format!("{name}.state"));
    fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn key_len(name: &str) -> u8 {
    match name {
        "good-aes-128" => 16,
        "good-aes-192" => 24,
        _ => 32,
    }
}

/// Opens a file at once and as a stream: both say the same of it.
fn check(name: &str, file: &[u8], plain: &[u8], expected: Expected) {
    let key = key(key_len(name));
    let streamed = Opener::new(&key, "echo", file).and_then(Opener::finish);
    match (open(&key, "echo", file), streamed, expected) {
        (Ok(opened), Ok(streamed), None) => {
            assert_eq!(*opened.plain, plain, "{name}");
            assert_eq!(opened.header, read_header(file).unwrap(), "{name}");
            assert_eq!(opened.header, streamed, "{name}");
        }
        (Err(error), Err(streamed), Some(is_expected)) => {
            assert!(is_expected(&error), "{name}: {error:?}");
            let (at_once, as_stream) = (std::mem::discriminant(&error), std::mem::discriminant(&streamed));
            assert!(at_once == as_stream || is_later(&error, &streamed), "{name}: {error:?}, {streamed:?}");
            let text = error.to_string();
            assert!(!text.contains('\n') && !text.ends_with('.'), "{name}: {text}");
            assert!(text.starts_with(char::is_lowercase), "{name}: {text}");
        }
        (result, streamed, _) => panic!("{name}: {result:?}, {streamed:?}"),
    }
}

/// A stream has no length to hold against its header before the key is tried.
fn is_later(at_once: &OpenError, streamed: &OpenError) -> bool {
    let by_length = matches!(at_once, OpenError::Truncated { .. } | OpenError::Trailing { .. });
    by_length && matches!(streamed, OpenError::HeaderChanged | OpenError::Damaged { .. })
}

/// Each file has its reason, and each reason its file.
fn names_are(format: u16, names: impl IntoIterator<Item = String>) {
    let mut expected = BTreeSet::new();
    for name in names {
        assert!(expected.insert(format!("{name}.state")), "{name} is there twice");
    }
    let files = fs::read_dir(folder(format)).unwrap();
    let files: BTreeSet<String> =
        files.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(files, expected);
}
