//! `vectors/`: one file per way of being wrong, and one per key length that is right.
//!
//! They are opened as the state of `echo` with the key of 32 bytes 00, 01, … 1f (the first 16 or 24 of them for
//! `good-aes-128` and `good-aes-192`). They are made from fixed salts and nonces by
//! `HOTBAY_WRITE_VECTORS=1 cargo test -p hotbay-state vectors`, which writes the same bytes again as long as the
//! format is the same: a change that shows up in git is a change of the format.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use crate::error::OpenError;
use crate::header::Stamp;
use crate::key::Key;
use crate::seal::{Once, open, read_header, seal_once};

const PLAIN: &[u8] = br#"{"count":3}"#;

struct Vector {
    name: &'static str,
    bytes: Vec<u8>,
    key_len: u8,
    /// `None` if it is right.
    expected: Option<fn(&OpenError) -> bool>,
}

fn key(len: u8) -> Key {
    Key::new(&(0..len).collect::<Vec<_>>()).unwrap()
}

fn sealed(service: &str, key: &Key) -> Vec<u8> {
    let stamp = Stamp { service, plugin_version: "1.0.0", schema: 1, sequence: 7, generation: 2 };
    let once = Once { salt: [0x5a; 32], nonce: [0xa5; 12], created_unix_ms: 1_700_000_000_000 };
    seal_once(key, &stamp, PLAIN, once).unwrap().0
}

/// The capsule that is right but for `change`. Offsets are those of FORMAT.md.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = sealed("echo", &key(32));
    change(&mut bytes);
    bytes
}

fn vectors() -> Vec<Vector> {
    let wrong = |name, bytes, expected| Vector { name, bytes, key_len: 32, expected: Some(expected) };
    let right =
        |name, key_len| Vector { name, bytes: sealed("echo", &key(key_len)), key_len, expected: None };
    vec![
        right("good-aes-128", 16),
        right("good-aes-192", 24),
        right("good-aes-256", 32),
        wrong("not-a-state-file", b"#!/bin/sh\necho hello\n".to_vec(), |e| matches!(e, OpenError::NotState)),
        wrong("magic-through-text-mode", changed(|b| drop(b.splice(7..8, *b"\r\n"))), |e| {
            matches!(e, OpenError::NotState)
        }),
        wrong("empty", Vec::new(), |e| matches!(e, OpenError::Truncated { got: 0, .. })),
        wrong("truncated-in-magic", changed(|b| b.truncate(5)), |e| {
            matches!(e, OpenError::Truncated { got: 5, expected: 8 })
        }),
        wrong("truncated-in-header", changed(|b| b.truncate(60)), |e| {
            matches!(e, OpenError::Truncated { got: 60, expected: 63 })
        }),
        wrong("truncated-in-body", changed(|b| b.truncate(115)), |e| {
            matches!(e, OpenError::Truncated { got: 115, expected: 137 })
        }),
        wrong("truncated-in-tag", changed(|b| b.truncate(136)), |e| {
            matches!(e, OpenError::Truncated { got: 136, expected: 137 })
        }),
        wrong("length-of-everything", changed(|b| b[91..99].fill(0xff)), |e| {
            matches!(e, OpenError::Truncated { expected: u64::MAX, .. })
        }),
        wrong("length-too-short", changed(|b| b[91] -= 1), |e| matches!(e, OpenError::Trailing { extra: 1 })),
        wrong("trailing-bytes", changed(|b| b.extend(*b"more")), |e| {
            matches!(e, OpenError::Trailing { extra: 4 })
        }),
        wrong("newer-format", changed(|b| b[8] = 2), |e| {
            matches!(e, OpenError::Newer { format: 2, known: 1 })
        }),
        wrong("newest-format-without-the-rest", b"\x89HOTBAY\n\xff\xff".to_vec(), |e| {
            matches!(e, OpenError::Newer { format: 0xffff, .. })
        }),
        wrong("format-zero", changed(|b| b[8] = 0), |e| matches!(e, OpenError::BadHeader { .. })),
        wrong("unknown-cipher", changed(|b| b[10] = 4), |e| {
            matches!(e, OpenError::BadHeader { problem: "its cipher is unknown" })
        }),
        wrong("cipher-of-another-key-length", changed(|b| b[10] = 1), |e| {
            matches!(e, OpenError::BadHeader { problem: "its cipher is not the one of its key" })
        }),
        wrong("service-leaves-the-folder", changed(|b| b[100..104].copy_from_slice(b"../x")), |e| {
            matches!(e, OpenError::BadHeader { problem: "its service has no valid name" })
        }),
        wrong("service-is-not-utf-8", changed(|b| b[100] = 0xff), |e| {
            matches!(e, OpenError::BadHeader { problem: "its service has no valid name" })
        }),
        wrong("version-with-escape-sequence", changed(|b| b[105] = 0x1b), |e| {
            matches!(e, OpenError::BadHeader { problem: "its plugin version is not visible ASCII" })
        }),
        wrong("wrong-key", sealed("echo", &Key::new(&[0xee; 32]).unwrap()), |e| {
            matches!(e, OpenError::WrongKey { .. })
        }),
        wrong(
            "other-service",
            sealed("logger", &key(32)),
            |e| matches!(e, OpenError::OtherService { found, .. } if found == "logger"),
        ),
        wrong("renamed-in-the-header", changed_service(), |e| matches!(e, OpenError::Damaged)),
        wrong("damaged-salt", changed(|b| b[19] ^= 1), |e| matches!(e, OpenError::Damaged)),
        wrong("damaged-nonce", changed(|b| b[51] ^= 1), |e| matches!(e, OpenError::Damaged)),
        wrong("schema-changed", changed(|b| b[63] = 2), |e| matches!(e, OpenError::Damaged)),
        wrong("sequence-set-back", changed(|b| b[67] = 6), |e| matches!(e, OpenError::Damaged)),
        wrong("generation-changed", changed(|b| b[75] = 9), |e| matches!(e, OpenError::Damaged)),
        wrong("created-later", changed(|b| b[88] ^= 1), |e| matches!(e, OpenError::Damaged)),
        wrong("version-changed", changed(|b| b[105] = b'2'), |e| matches!(e, OpenError::Damaged)),
        wrong("damaged-body", changed(|b| b[110] ^= 1), |e| matches!(e, OpenError::Damaged)),
        wrong("damaged-tag", changed(|b| b[136] ^= 1), |e| matches!(e, OpenError::Damaged)),
    ]
}

/// The state of `pong`, made by its header the state of `echo`.
fn changed_service() -> Vec<u8> {
    let mut bytes = sealed("pong", &key(32));
    bytes[100..104].copy_from_slice(b"echo");
    bytes
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("vectors")
}

#[test]
fn every_vector_is_refused_for_its_own_reason() {
    if std::env::var_os("HOTBAY_WRITE_VECTORS").is_some_and(|set| set == "1") {
        write();
    }
    let mut names = BTreeSet::new();
    for Vector { name, bytes, key_len, expected } in vectors() {
        let file = folder().join(format!("{name}.state"));
        let found = fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        assert_eq!(found, bytes, "{name}: we would write it differently today");
        match (open(&key(key_len), "echo", &found), expected) {
            (Ok(opened), None) => {
                assert_eq!(*opened.plain, PLAIN, "{name}");
                assert_eq!(opened.header, read_header(&found).unwrap(), "{name}");
            }
            (Err(error), Some(is_expected)) => {
                assert!(is_expected(&error), "{name}: {error:?}");
                let text = error.to_string();
                assert!(!text.contains('\n') && !text.ends_with('.'), "{name}: {text}");
                assert!(text.starts_with(char::is_lowercase), "{name}: {text}");
            }
            (result, _) => panic!("{name}: {result:?}"),
        }
        assert!(names.insert(format!("{name}.state")), "{name} is there twice");
    }
    let files: BTreeSet<String> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(files, names, "each file has its reason, and each reason its file");
}

fn write() {
    fs::create_dir_all(folder()).unwrap();
    for Vector { name, bytes, .. } in vectors() {
        fs::write(folder().join(format!("{name}.state")), bytes).unwrap();
    }
}
