use proptest::prelude::*;

use super::*;
use crate::Cipher;
use crate::header::MAX_HEADER;

const STAMP: Stamp<'_> =
    Stamp { service: "echo", plugin_version: "1.0.0", schema: 1, sequence: 7, generation: 2 };
const PLAIN: &[u8] = br#"{"count":3}"#;

/// The example of FORMAT.md: everything fixed.
fn example() -> (Key, Vec<u8>) {
    let key = key(32);
    let once = Once {
        salt: std::array::from_fn(|i| 0x20 + i as u8),
        nonce: std::array::from_fn(|i| 0x40 + i as u8),
        created_unix_ms: 1_700_000_000_000,
    };
    let (capsule, _) = seal_once(&key, &STAMP, PLAIN, once).unwrap();
    (key, capsule)
}

fn key(len: u8) -> Key {
    Key::new(&(0..len).collect::<Vec<_>>()).unwrap()
}

#[test]
fn the_example_of_the_format_is_what_we_write() {
    let page = include_str!("../../FORMAT.md");
    let block = page.split("```hex\n").nth(1).unwrap().split("```").next().unwrap();
    let pairs = block.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    let bytes: Vec<u8> = pairs.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    let (key, capsule) = example();
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x} ")).collect::<String>();
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
        format: 1,
        service: "echo".into(),
        plugin_version: "1.0.0".into(),
        schema: 1,
        sequence: 7,
        generation: 2,
        created_unix_ms: header.created_unix_ms,
        key_id: key.id(),
        cipher: Cipher::Aes192Gcm,
        plain_len: 11,
    };
    assert_eq!(header, expected);
    let json = serde_json::to_value(&header).unwrap();
    assert_eq!(json["key_id"], key.id().to_string());
    assert_eq!(json["cipher"], "AES-192-GCM");
}

#[test]
fn a_truncation_at_any_length_is_refused() {
    let (key, capsule) = example();
    for len in 0..capsule.len() {
        let error = open(&key, "echo", &capsule[..len]).unwrap_err();
        let as_said =
            matches!(error, OpenError::Truncated { got, expected } if got == len as u64 && expected > got);
        assert!(as_said, "{len}: {error}");
        assert!(matches!(read_header(&capsule[..len]), Err(OpenError::Truncated { .. })), "{len}");
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    for len in [16, 24, 32] {
        let key = key(len);
        let mut capsule = seal(&key, &STAMP, PLAIN).unwrap();
        for at in 0..capsule.len() {
            for flip in 1..=255 {
                capsule[at] ^= flip;
                assert!(open(&key, "echo", &capsule).is_err(), "byte {at} flipped by {flip:#04x}");
                capsule[at] ^= flip;
            }
        }
        open(&key, "echo", &capsule).unwrap();
    }
}

#[test]
fn each_part_of_a_capsule_has_its_own_error_when_flipped() {
    let (key, mut capsule) = example();
    let end = capsule.len();
    // Offsets as in FORMAT.md, for a service of 4 bytes and a version of 5.
    for (range, expected) in [
        (0..8, "NotState"),
        (9..10, "Newer"),
        (10..11, "BadHeader"),
        (11..19, "WrongKey"),
        (19..91, "Damaged"),
        (91..99, "Truncated"),
        (100..104, "BadHeader"),
        (105..110, "BadHeader"),
        (110..end, "Damaged"),
    ] {
        for at in range {
            capsule[at] ^= 0x80;
            let error = open(&key, "echo", &capsule).unwrap_err();
            assert!(format!("{error:?}").starts_with(expected), "byte {at}: {error:?}");
            capsule[at] ^= 0x80;
        }
    }
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
        assert!(matches!(open_into(&key, "echo", &capsule, &mut plain), Err(OpenError::Damaged)));
        assert!(plain.is_empty());
    }
}

#[test]
fn another_services_file_is_refused() {
    let (key, capsule) = example();
    let error = open(&key, "logger", &capsule).unwrap_err();
    assert!(
        matches!(error, OpenError::OtherService { ref found, ref asked } if found == "echo" && asked == "logger")
    );
}

#[test]
fn a_wrong_key_is_named_before_anything_is_decrypted() {
    let (right, mut capsule) = example();
    // A body that could not be decrypted anyway: the key is judged first.
    *capsule.last_mut().unwrap() ^= 1;
    for len in [16, 24] {
        let wrong = key(len);
        let error = open(&wrong, "echo", &capsule).unwrap_err();
        let OpenError::WrongKey { sealed_with, ours } = error else { panic!("{error}") };
        assert!(sealed_with == right.id() && ours == wrong.id());
    }
}

#[test]
fn what_follows_the_end_is_refused() {
    let (key, mut capsule) = example();
    for extra in 1..=40 {
        capsule.push(0);
        assert!(
            matches!(open(&key, "echo", &capsule), Err(OpenError::Trailing { extra: found }) if found == extra)
        );
    }
}

#[test]
fn parts_of_two_capsules_do_not_make_a_third() {
    let key = key(32);
    let [one, two] = [PLAIN, PLAIN].map(|plain| seal(&key, &STAMP, plain).unwrap());
    for cut in 8..one.len() {
        let spliced = [&one[..cut], &two[cut..]].concat();
        if spliced != one && spliced != two {
            assert!(open(&key, "echo", &spliced).is_err(), "cut at {cut}");
        }
    }
}

#[test]
fn the_same_state_is_never_sealed_to_the_same_bytes() {
    let key = key(16);
    let [one, two] = [PLAIN, PLAIN].map(|plain| seal(&key, &STAMP, plain).unwrap());
    assert_ne!(one[19..51], two[19..51], "salt");
    assert_ne!(one[51..63], two[51..63], "nonce");
    assert_ne!(one[110..], two[110..], "body and tag");
}

#[test]
fn bad_stamps_are_refused_before_sealing() {
    let key = key(32);
    for service in ["", "../up", "Echo", "nul"] {
        let error = seal(&key, &Stamp { service, ..STAMP }, PLAIN).unwrap_err();
        assert!(matches!(error, SealError::Service { .. }), "{error}");
    }
    let long = "1".repeat(256);
    for plugin_version in ["1.0\n", "\x1b[2J", &long] {
        let error = seal(&key, &Stamp { plugin_version, ..STAMP }, PLAIN).unwrap_err();
        assert!(matches!(error, SealError::Version { .. }), "{error}");
    }
}

#[test]
fn an_opened_capsule_does_not_print_the_state() {
    let (key, capsule) = example();
    let shown = format!("{:?}", open(&key, "echo", &capsule).unwrap());
    assert!(shown.contains("sequence: 7"), "{shown}");
    assert!(!shown.contains("plain:"), "{shown}");
}

#[test]
fn the_longest_header_is_as_long_as_we_say() {
    let (service, plugin_version) = ("a".repeat(64), "1".repeat(255));
    let key = key(32);
    let stamp = Stamp { service: &service, plugin_version: &plugin_version, ..STAMP };
    let sealed = seal(&key, &stamp, b"").unwrap();
    assert_eq!(sealed.len(), MAX_HEADER + 16);
    assert!(open(&key, &service, &sealed).unwrap().plain.is_empty());
}

proptest! {
    #[test]
    fn what_was_sealed_is_opened(
        key_bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 16),
            prop::collection::vec(any::<u8>(), 24),
            prop::collection::vec(any::<u8>(), 32),
        ],
        service in "[a-z0-9_-]{1,64}",
        plugin_version in "[!-~]{0,255}",
        (schema, sequence, generation) in any::<(u32, u64, u64)>(),
        plain in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        prop_assume!(name::is_service(&service));
        let key = Key::new(&key_bytes).unwrap();
        let stamp = Stamp { service: &service, plugin_version: &plugin_version, schema, sequence, generation };
        let (sealed, header) = seal_with_header(&key, &stamp, &plain).unwrap();
        prop_assert_eq!(&read_header(&sealed).unwrap(), &header);
        let opened = open(&key, &service, &sealed).unwrap();
        prop_assert_eq!(&*opened.plain, &plain);
        prop_assert_eq!(opened.header, header);
        prop_assert_eq!((schema, sequence, generation), (stamp.schema, stamp.sequence, stamp.generation));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..512), lie in any::<u64>()) {
        let key = key(32);
        prop_assert!(open(&key, "echo", &bytes).is_err());
        // Past the magic and the format, where there is more to stumble over.
        let mut begun = example().1[..10].to_vec();
        begun.extend_from_slice(&bytes);
        prop_assert!(open(&key, "echo", &begun).is_err());
        // A length that promises anything.
        let mut lying = example().1;
        lying[91..99].copy_from_slice(&lie.to_le_bytes());
        prop_assert!(lie == PLAIN.len() as u64 || open(&key, "echo", &lying).is_err());
    }
}
