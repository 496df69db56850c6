//! What a host of format 1 wrote, and what can be wrong with it.

use super::{Expected, check, key_len, names_are, read};
use crate::error::OpenError;
use crate::open::open;
use crate::opener::Opener;
use crate::sample::key;

fn expected() -> Vec<(&'static str, Expected)> {
    let damaged: Expected = Some(|e| matches!(e, OpenError::Damaged { chunk: 0 }));
    vec![
        ("good-aes-128", None),
        ("good-aes-192", None),
        ("good-aes-256", None),
        ("not-a-state-file", Some(|e| matches!(e, OpenError::NotState))),
        ("magic-through-text-mode", Some(|e| matches!(e, OpenError::NotState))),
        ("empty", Some(|e| matches!(e, OpenError::Truncated { got: 0, .. }))),
        ("truncated-in-magic", Some(|e| matches!(e, OpenError::Truncated { got: 5, expected: 8 }))),
        ("truncated-in-header", Some(|e| matches!(e, OpenError::Truncated { got: 60, expected: 63 }))),
        ("truncated-in-body", Some(|e| matches!(e, OpenError::Truncated { got: 115, expected: 137 }))),
        ("truncated-in-tag", Some(|e| matches!(e, OpenError::Truncated { got: 136, expected: 137 }))),
        ("length-of-everything", Some(|e| matches!(e, OpenError::Truncated { expected: u64::MAX, .. }))),
        ("length-too-short", Some(|e| matches!(e, OpenError::Trailing { extra: 1 }))),
        ("trailing-bytes", Some(|e| matches!(e, OpenError::Trailing { extra: 4 }))),
        ("newest-format-without-the-rest", Some(|e| matches!(e, OpenError::Newer { format: 0xffff, .. }))),
        ("format-zero", Some(|e| matches!(e, OpenError::BadHeader { .. }))),
        ("unknown-cipher", Some(|e| matches!(e, OpenError::BadHeader { problem: "its cipher is unknown" }))),
        (
            "cipher-of-another-key-length",
            Some(|e| matches!(e, OpenError::BadHeader { problem: "its cipher is not the one of its key" })),
        ),
        (
            "service-leaves-the-folder",
            Some(|e| matches!(e, OpenError::BadHeader { problem: "its service has no valid name" })),
        ),
        (
            "service-is-not-utf-8",
            Some(|e| matches!(e, OpenError::BadHeader { problem: "its service has no valid name" })),
        ),
        (
            "version-with-escape-sequence",
            Some(|e| {
                matches!(e, OpenError::BadHeader { problem: "its plugin version is not visible ASCII" })
            }),
        ),
        ("wrong-key", Some(|e| matches!(e, OpenError::WrongKey { .. }))),
        ("other-service", Some(|e| matches!(e, OpenError::OtherService { found, .. } if found == "logger"))),
        ("renamed-in-the-header", damaged),
        ("damaged-salt", damaged),
        ("damaged-nonce", damaged),
        ("schema-changed", damaged),
        ("sequence-set-back", damaged),
        ("generation-changed", damaged),
        ("created-later", damaged),
        ("version-changed", damaged),
        ("damaged-body", damaged),
        ("damaged-tag", damaged),
    ]
}

#[test]
fn every_vector_of_format_1_is_read_or_refused_for_its_own_reason() {
    for (name, expected) in expected() {
        check(name, &read(1, name), br#"{"count":3}"#, expected);
    }
    names_are(1, expected().into_iter().map(|(name, _)| name.to_owned()));
}

#[test]
fn a_file_of_format_1_with_any_byte_flipped_or_of_any_other_length_is_refused() {
    for (name, _) in expected().into_iter().filter(|(_, expected)| expected.is_none()) {
        let (key, whole) = (key(key_len(name)), read(1, name));
        let refused = |file: &[u8], what: &str, at: usize| {
            assert!(open(&key, "echo", file).is_err(), "{name}: {what} {at}");
            assert!(Opener::new(&key, "echo", file).and_then(Opener::finish).is_err(), "{name}: {what} {at}");
        };
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x10;
            refused(&flipped, "byte", at);
            refused(&whole[..at], "cut at", at);
        }
        let mut longer = whole.clone();
        longer.push(0);
        refused(&longer, "length", longer.len());
    }
}
