//! What is written today, and what can be wrong with it. Three chunks of 64 bytes at most, where nothing else is said.

use std::fs;

use super::{Expected, check, folder, key_len, names_are, read};
use crate::error::OpenError;
use crate::header::Stamp;
use crate::key::Key;
use crate::sample::{FULL, HEAD, STAMP, key, ordered, sealed, small, state, streamed, swapped};

const LEN: usize = 150;
const WHOLE: u64 = (HEAD + LEN + 3 * 16) as u64;

struct Vector {
    name: &'static str,
    bytes: Vec<u8>,
    plain: usize,
    expected: Expected,
}

fn right(name: &'static str, plain: usize, seal: fn(&Key, &[u8]) -> Vec<u8>) -> Vector {
    Vector { name, bytes: seal(&key(key_len(name)), &state(plain)), plain, expected: None }
}

fn wrong(name: &'static str, bytes: Vec<u8>, expected: fn(&OpenError) -> bool) -> Vector {
    Vector { name, bytes, plain: LEN, expected: Some(expected) }
}

fn known(key: &Key, plain: &[u8]) -> Vec<u8> {
    sealed(key, &STAMP, plain, small(0x5a))
}

fn unknown(key: &Key, plain: &[u8]) -> Vec<u8> {
    streamed(key, &STAMP, plain, small(0x5b))
}

/// The capsule that is right but for `change`. Offsets are those of FORMAT.md.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = known(&key(32), &state(LEN));
    change(&mut bytes);
    bytes
}

/// The same of one whose length was not known.
fn stream(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = unknown(&key(32), &state(LEN));
    change(&mut bytes);
    bytes
}

fn good() -> Vec<Vector> {
    vec![
        right("good-aes-128", LEN, known),
        right("good-aes-192", LEN, known),
        right("good-aes-256", LEN, known),
        right("good-empty", 0, known),
        right("good-full-chunks", 128, known),
        right("good-length-not-known", LEN, unknown),
        right("good-length-not-known-empty", 0, unknown),
        right("good-length-not-known-full-chunks", 128, unknown),
    ]
}

fn cut() -> Vec<Vector> {
    vec![
        wrong("empty", Vec::new(), |e| matches!(e, OpenError::Truncated { got: 0, .. })),
        wrong("truncated-in-magic", changed(|b| b.truncate(5)), |e| {
            matches!(e, OpenError::Truncated { got: 5, expected: 8 })
        }),
        wrong("truncated-in-header", changed(|b| b.truncate(60)), |e| {
            matches!(e, OpenError::Truncated { got: 60, expected: 155 })
        }),
        wrong("truncated-behind-the-header", changed(|b| b.truncate(HEAD)), |e| {
            matches!(e, OpenError::Truncated { got: 155, expected: WHOLE })
        }),
        wrong("truncated-in-a-chunk", changed(|b| b.truncate(HEAD + 100)), |e| {
            matches!(e, OpenError::Truncated { got: 255, expected: WHOLE })
        }),
        wrong("truncated-between-chunks", changed(|b| b.truncate(HEAD + 2 * FULL)), |e| {
            matches!(e, OpenError::Truncated { got: 315, expected: WHOLE })
        }),
        wrong("truncated-in-the-last-tag", changed(|b| b.truncate(b.len() - 1)), |e| {
            matches!(e, OpenError::Truncated { expected: WHOLE, .. })
        }),
        wrong("length-not-known-truncated-behind-the-header", stream(|b| b.truncate(HEAD)), |e| {
            matches!(e, OpenError::Truncated { got: 155, expected: 171 })
        }),
        wrong("length-not-known-truncated-between-chunks", stream(|b| b.truncate(HEAD + 2 * FULL)), |e| {
            matches!(e, OpenError::Truncated { got: 315, expected: 332 })
        }),
        wrong("length-not-known-truncated-in-a-tag", stream(|b| b.truncate(HEAD + FULL + 9)), |e| {
            matches!(e, OpenError::Truncated { got: 244, expected: 252 })
        }),
        wrong("length-not-known-truncated-in-a-chunk", stream(|b| b.truncate(HEAD + FULL + 40)), |e| {
            matches!(e, OpenError::Damaged { chunk: 1 })
        }),
        wrong("trailing-bytes", changed(|b| b.extend(*b"more")), |e| {
            matches!(e, OpenError::Trailing { extra: 4 })
        }),
        wrong(
            "length-not-known-trailing-bytes-behind-full-chunks",
            [unknown(&key(32), &state(128)), b"more bytes than a tag".to_vec()].concat(),
            |e| matches!(e, OpenError::Trailing { extra: 21 }),
        ),
        wrong("length-too-long", changed(|b| b[98] += 1), |e| matches!(e, OpenError::Truncated { .. })),
        wrong("length-too-short", changed(|b| b[98] -= 1), |e| matches!(e, OpenError::Trailing { extra: 1 })),
        wrong(
            "length-beyond-all-chunks",
            changed(|b| b[98..106].copy_from_slice(&(u64::MAX - 1).to_le_bytes())),
            |e| {
                matches!(e, OpenError::BadHeader { problem: "its state has more chunks than can be counted" })
            },
        ),
        wrong("length-forgotten", changed(|b| b[98..106].fill(0xff)), |e| {
            matches!(e, OpenError::HeaderChanged)
        }),
    ]
}

fn header() -> Vec<Vector> {
    let other = |service| sealed(&key(32), &Stamp { service, ..STAMP }, &state(LEN), small(0x5c));
    vec![
        wrong("not-a-state-file", b"#!/bin/sh\necho hello\n".to_vec(), |e| matches!(e, OpenError::NotState)),
        wrong("magic-through-text-mode", changed(|b| drop(b.splice(7..8, *b"\r\n"))), |e| {
            matches!(e, OpenError::NotState)
        }),
        wrong("newer-format", changed(|b| b[8] = 3), |e| {
            matches!(e, OpenError::Newer { format: 3, known: 2 })
        }),
        wrong("newest-format-without-the-rest", b"\x89HOTBAY\n\xff\xff".to_vec(), |e| {
            matches!(e, OpenError::Newer { format: 0xffff, .. })
        }),
        wrong("format-zero", changed(|b| b[8] = 0), |e| {
            matches!(e, OpenError::BadHeader { problem: "there is no format 0" })
        }),
        wrong("header-of-no-length", changed(|b| b[10..12].fill(0)), |e| {
            matches!(e, OpenError::BadHeader { problem: "its length is not the one that its fields have" })
        }),
        wrong("header-longer-than-any", changed(|b| b[10..12].fill(0xff)), |e| {
            matches!(e, OpenError::BadHeader { problem: "its length is not the one that its fields have" })
        }),
        wrong("header-shorter-than-its-fields", changed(|b| b[10] -= 1), |e| {
            matches!(e, OpenError::BadHeader { problem: "its length is not the one that its fields have" })
        }),
        wrong("header-longer-than-its-fields", changed(|b| b[10] += 1), |e| {
            matches!(e, OpenError::BadHeader { problem: "its length is not the one that its fields have" })
        }),
        wrong("unknown-cipher", changed(|b| b[12] = 4), |e| {
            matches!(e, OpenError::BadHeader { problem: "its cipher is unknown" })
        }),
        wrong("cipher-of-another-key-length", changed(|b| b[12] = 1), |e| {
            matches!(e, OpenError::BadHeader { problem: "its cipher is not the one of its key" })
        }),
        wrong("chunks-too-large", changed(|b| b[13] = 63), |e| {
            matches!(e, OpenError::BadHeader { problem: "its chunks have a length that none has" })
        }),
        wrong("service-leaves-the-folder", changed(|b| b[107..111].copy_from_slice(b"../x")), |e| {
            matches!(e, OpenError::BadHeader { problem: "its service has no valid name" })
        }),
        wrong("service-is-not-utf-8", changed(|b| b[107] = 0xff), |e| {
            matches!(e, OpenError::BadHeader { problem: "its service has no valid name" })
        }),
        wrong("plugin-with-escape-sequence", changed(|b| b[112] = 0x1b), |e| {
            matches!(e, OpenError::BadHeader { problem: "its plugin's name is not visible ASCII" })
        }),
        wrong("version-with-escape-sequence", changed(|b| b[117] = 0x1b), |e| {
            matches!(e, OpenError::BadHeader { problem: "its plugin version is not visible ASCII" })
        }),
        wrong("content-type-with-escape-sequence", changed(|b| b[123] = 0x1b), |e| {
            matches!(e, OpenError::BadHeader { problem: "its content type is not visible ASCII" })
        }),
        wrong("wrong-key", known(&Key::new(&[0xee; 32]).unwrap(), &state(LEN)), |e| {
            matches!(e, OpenError::WrongKey { .. })
        }),
        wrong(
            "other-service",
            other("logger"),
            |e| matches!(e, OpenError::OtherService { found, .. } if found == "logger"),
        ),
    ]
}

/// What is well-formed and not what was sealed.
fn forged() -> Vec<Vector> {
    let header = |name, change: fn(&mut Vec<u8>)| {
        wrong(name, changed(change), |e| matches!(e, OpenError::HeaderChanged))
    };
    let mut pong = sealed(&key(32), &Stamp { service: "pong", ..STAMP }, &state(LEN), small(0x5c));
    pong[107..111].copy_from_slice(b"echo");
    vec![
        header("key-id-changed", |b| b[14] ^= 1),
        header("key-check-changed", |b| b[22] ^= 1),
        header("damaged-salt", |b| b[38] ^= 1),
        header("schema-changed", |b| b[70] = 2),
        header("sequence-set-back", |b| b[74] = 6),
        header("generation-changed", |b| b[82] = 9),
        header("created-later", |b| b[95] ^= 1),
        header("plugin-changed", |b| b[112] = b'E'),
        header("version-changed", |b| b[117] = b'2'),
        header("content-type-changed", |b| b[123] = b'A'),
        header("damaged-header-tag", |b| b[154] ^= 1),
        wrong("renamed-in-the-header", pong, |e| matches!(e, OpenError::HeaderChanged)),
        wrong("length-not-known-chunks-of-another-length", stream(|b| b[13] += 1), |e| {
            matches!(e, OpenError::HeaderChanged)
        }),
    ]
}

fn chunks() -> Vec<Vector> {
    let (known, unknown) = (known(&key(32), &state(LEN)), unknown(&key(32), &state(LEN)));
    let other = sealed(&key(32), &STAMP, &state(LEN), small(0x5d));
    let spliced = |at: usize| [&known[..at], &other[at..at + FULL], &known[at + FULL..]].concat();
    vec![
        wrong("damaged-first-chunk", changed(|b| b[HEAD] ^= 1), |e| {
            matches!(e, OpenError::Damaged { chunk: 0 })
        }),
        wrong("damaged-tag-of-a-chunk", changed(|b| b[HEAD + 2 * FULL - 1] ^= 1), |e| {
            matches!(e, OpenError::Damaged { chunk: 1 })
        }),
        wrong("damaged-last-tag", changed(|b| *b.last_mut().unwrap() ^= 1), |e| {
            matches!(e, OpenError::Damaged { chunk: 2 })
        }),
        wrong("chunks-exchanged", swapped(&known, 0, 1), |e| {
            matches!(e, OpenError::Misplaced { chunk: 0, belongs: 1 })
        }),
        wrong("chunk-in-place-of-another", ordered(&known, &[0, 0, 2]), |e| {
            matches!(e, OpenError::Misplaced { chunk: 1, belongs: 0 })
        }),
        wrong("chunk-repeated", ordered(&known, &[0, 1, 1, 2]), |e| {
            matches!(e, OpenError::Trailing { extra: 80 })
        }),
        wrong("chunk-left-out", ordered(&known, &[0, 2]), |e| matches!(e, OpenError::Truncated { .. })),
        wrong("length-not-known-chunk-repeated", ordered(&unknown, &[0, 1, 1, 2]), |e| {
            matches!(e, OpenError::Misplaced { chunk: 2, belongs: 1 })
        }),
        wrong("length-not-known-chunk-left-out", ordered(&unknown, &[0, 2]), |e| {
            matches!(e, OpenError::Misplaced { chunk: 1, belongs: 2 })
        }),
        wrong("chunk-of-another-file", spliced(HEAD + FULL), |e| {
            matches!(e, OpenError::Damaged { chunk: 1 })
        }),
        wrong("chunks-of-another-file", [&known[..HEAD], &other[HEAD..]].concat(), |e| {
            matches!(e, OpenError::Damaged { chunk: 0 })
        }),
        wrong("header-of-another-file", [&other[..HEAD], &known[HEAD..]].concat(), |e| {
            matches!(e, OpenError::Damaged { chunk: 0 })
        }),
    ]
}

fn vectors() -> Vec<Vector> {
    [good(), cut(), header(), forged(), chunks()].into_iter().flatten().collect()
}

#[test]
fn every_vector_of_format_2_is_written_again_and_read_or_refused_for_its_own_reason() {
    if std::env::var_os("HOTBAY_WRITE_VECTORS").is_some_and(|set| set == "1") {
        fs::create_dir_all(folder(2)).unwrap();
        for Vector { name, bytes, .. } in vectors() {
            fs::write(folder(2).join(format!("{name}.state")), bytes).unwrap();
        }
    }
    for Vector { name, bytes, plain, expected } in vectors() {
        let file = read(2, name);
        assert_eq!(file, bytes, "{name}: we would write it differently today");
        check(name, &file, &state(plain), expected);
    }
    names_are(2, vectors().into_iter().map(|vector| vector.name.to_owned()));
}
