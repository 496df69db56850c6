use super::*;
use crate::open::{open, open_into, read_header};
use crate::sample::{HEAD, STAMP, key, sealed, small, state};
use crate::{Cipher, FORMAT, max_sealed_len};
use zeroize::Zeroizing;

const PLAIN: &[u8] = br#"{"count":3}"#;

/// The example of FORMAT.md: everything fixed.
fn example() -> Once {
    Once { chunk_log2: CHUNK_LOG2, ..small(0x20) }
}

#[test]
fn the_example_of_the_format_is_what_we_write() {
    let page = include_str!("../../FORMAT.md");
    let block = page.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    let pairs = block.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    let key = key(32);
    let capsule = sealed(&key, &STAMP, PLAIN, example());
    let hex = |bytes: &[u8]| {
        bytes
            .chunks(16)
            .map(|line| line.iter().map(|b| format!("{b:02x} ")).collect::<String>() + "\n")
            .collect::<String>()
    };
    assert_eq!(hex(&bytes), hex(&capsule));
    let opened = open(&key, "echo", &bytes).unwrap();
    assert_eq!(*opened.plain, PLAIN);
    assert_eq!(opened.header, read_header(&bytes).unwrap());
}

#[test]
fn a_header_is_what_the_stamp_said_and_what_sealing_added() {
    let before = unix_ms();
    let key = key(24);
    let sealed = seal(&key, &STAMP, PLAIN).unwrap();
    let header = read_header(&sealed).unwrap();
    assert!((before..=unix_ms()).contains(&header.created_unix_ms));
    let expected = Header {
        format: FORMAT,
        service: "echo".into(),
        plugin: "echo".into(),
        plugin_version: "1.0.0".into(),
        schema: 1,
        sequence: 7,
        generation: 2,
        created_unix_ms: header.created_unix_ms,
        key_id: key.id(),
        cipher: Cipher::Aes192Gcm,
        plain_len: 11,
        content_type: "application/json".into(),
    };
    assert_eq!(header, expected);
    assert_eq!(format!("{:?}", header.stamp()), format!("{STAMP:?}"));
    let json = serde_json::to_value(&header).unwrap();
    assert_eq!(json["key_id"], key.id().to_string());
    assert_eq!(json["cipher"], "AES-192-GCM");
}

#[test]
fn memory_that_is_there_is_used_again_whatever_it_held() {
    let key = key(32);
    for held in [0, 3, 4096] {
        let (mut capsule, mut plain) = (vec![0xaa; held], Zeroizing::new(vec![0xaa; held]));
        let header = seal_into(&key, &STAMP, PLAIN, &mut capsule).unwrap();
        assert_eq!(*open(&key, "echo", &capsule).unwrap().plain, PLAIN);
        assert_eq!(open_into(&key, "echo", &capsule, &mut plain).unwrap(), header);
        assert_eq!(*plain, PLAIN);
        assert!(capsule.capacity() >= held && plain.capacity() >= held);
        *capsule.last_mut().unwrap() ^= 1;
        open_into(&key, "echo", &capsule, &mut plain).unwrap_err();
        assert!(plain.is_empty());
    }
}

#[test]
fn memory_that_was_made_for_a_state_is_enough_for_its_capsule() {
    let (service, text) = ("a".repeat(64), "1".repeat(255));
    let longest =
        Stamp { service: &service, plugin: &text, plugin_version: &text, content_type: &text, ..STAMP };
    let key = key(32);
    for len in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let room = usize::try_from(max_sealed_len(len as u64)).unwrap();
        let mut capsule = vec![0; room];
        let at = capsule.as_ptr();
        seal_into(&key, &longest, &state(len), &mut capsule).unwrap();
        assert_eq!((capsule.len(), capsule.as_ptr()), (room, at), "{len}");
        assert_eq!(*open(&key, &service, &capsule).unwrap().plain, state(len));
    }
}

#[test]
fn the_same_state_is_never_sealed_to_the_same_bytes() {
    let key = key(16);
    let [one, two] = [PLAIN, PLAIN].map(|plain| seal(&key, &STAMP, plain).unwrap());
    assert_ne!(one[22..38], two[22..38], "key check");
    assert_ne!(one[38..70], two[38..70], "salt");
    assert_ne!(one[HEAD..], two[HEAD..], "chunk");
}

#[test]
fn bad_stamps_are_refused_before_sealing() {
    let key = key(32);
    for service in ["", "../up", "Echo", "nul"] {
        let error = seal(&key, &Stamp { service, ..STAMP }, PLAIN).unwrap_err();
        assert!(matches!(error, SealError::Service { .. }), "{error}");
    }
    let long = "1".repeat(256);
    for text in ["1.0\n", "\x1b[2J", "a b", &long] {
        for (stamp, expected) in [
            (Stamp { plugin: text, ..STAMP }, "plugin's name"),
            (Stamp { plugin_version: text, ..STAMP }, "plugin version"),
            (Stamp { content_type: text, ..STAMP }, "content type"),
        ] {
            let error = seal(&key, &stamp, PLAIN).unwrap_err();
            assert!(matches!(error, SealError::Text { field, .. } if field == expected), "{error}");
        }
    }
}

#[test]
fn a_stamp_with_nothing_but_a_service_is_enough() {
    let capsule = seal(&key(32), &Stamp { service: "echo", ..Stamp::default() }, PLAIN).unwrap();
    let header = open(&key(32), "echo", &capsule).unwrap().header;
    assert_eq!((&*header.plugin, &*header.plugin_version, &*header.content_type), ("", "", ""));
}

#[test]
fn a_large_state_is_sealed_and_opened_by_several_threads_as_by_one() {
    let key = key(32);
    let plain = state((3 << 20) + 77);
    let once = Once { chunk_log2: CHUNK_LOG2, ..small(9) };
    let at_once = sealed(&key, &STAMP, &plain, once.clone());
    // A stream is sealed on its caller's thread alone.
    let len = Some(plain.len() as u64);
    let mut sealer = crate::sealer::Sealer::once(&key, &STAMP, len, Vec::new(), once).unwrap();
    sealer.push(&plain).unwrap();
    assert!(at_once == sealer.finish().unwrap().0);
    assert!(*open(&key, "echo", &at_once).unwrap().plain == plain);
}
