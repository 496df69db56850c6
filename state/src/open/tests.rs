use proptest::prelude::*;

use super::*;
use crate::header::Stamp;
use crate::name;
use crate::sample::{FULL, HEAD, STAMP, key, ordered, sealed, small, state, streamed, swapped};
use crate::seal::{seal, seal_with_header};

/// Three chunks, the last one short; its length known and not known.
fn both() -> [Vec<u8>; 2] {
    [sealed(&key(32), &STAMP, &state(150), small(1)), streamed(&key(32), &STAMP, &state(150), small(1))]
}

#[test]
fn a_truncation_at_any_length_is_refused() {
    let [known, unknown] = both();
    for len in 0..known.len() {
        let error = open(&key(32), "echo", &known[..len]).unwrap_err();
        let as_said =
            matches!(error, OpenError::Truncated { got, expected } if got == len as u64 && expected > got);
        assert!(as_said, "{len}: {error}");
        assert!(matches!(read_header(&known[..len]), Err(OpenError::Truncated { .. })), "{len}");

        // Where the length is not in the header, a cut inside a chunk cannot be told from damage to it.
        let error = open(&key(32), "echo", &unknown[..len]).unwrap_err();
        let in_a_chunk = len == HEAD + 16 || len > HEAD && (len - HEAD) % FULL > 16;
        match error {
            OpenError::Truncated { got, expected } => {
                assert!(got == len as u64 && expected > got, "{len}: {error}");
            }
            OpenError::Damaged { .. } => assert!(in_a_chunk, "{len}"),
            error => panic!("{len}: {error}"),
        }
    }
}

#[test]
fn every_flipped_byte_is_refused() {
    for len in [16, 24, 32] {
        let key = key(len);
        let known = sealed(&key, &STAMP, &state(150), small(1));
        let unknown = streamed(&key, &STAMP, &state(150), small(1));
        // Of a length that is not known, a chunk that is wrong is looked for far and wide.
        let flips: &[u8] = if len == 32 { &[1, 2, 4, 8, 16, 32, 64, 128, 255] } else { &[128] };
        for (mut capsule, flips) in [(known, flips), (unknown, &[128])] {
            for at in 0..capsule.len() {
                for flip in flips {
                    capsule[at] ^= flip;
                    assert!(open(&key, "echo", &capsule).is_err(), "byte {at} flipped by {flip:#04x}");
                    capsule[at] ^= flip;
                }
            }
            open(&key, "echo", &capsule).unwrap();
        }
    }
}

#[test]
fn each_part_of_a_capsule_has_its_own_error_when_flipped() {
    let [mut capsule, _] = both();
    let end = capsule.len();
    // Offsets as in FORMAT.md.
    for (range, expected) in [
        (0..8, "NotState"),
        (9..10, "Newer"),
        (10..14, "BadHeader"),
        (14..98, "HeaderChanged"),
        (98..99, "Trailing"),
        (99..102, "Truncated"),
        (102..106, "BadHeader"),
        (106..139, "BadHeader"),
        (139..HEAD, "HeaderChanged"),
        (HEAD..HEAD + FULL, "Damaged { chunk: 0 }"),
        (HEAD + FULL..HEAD + 2 * FULL, "Damaged { chunk: 1 }"),
        (HEAD + 2 * FULL..end, "Damaged { chunk: 2 }"),
    ] {
        for at in range {
            capsule[at] ^= 0x80;
            let error = open(&key(32), "echo", &capsule).unwrap_err();
            assert!(format!("{error:?}").starts_with(expected), "byte {at}: {error:?}");
            capsule[at] ^= 0x80;
        }
    }
}

#[test]
fn chunks_in_any_other_order_or_number_are_refused() {
    for capsule in both() {
        for len in 0..=4_usize {
            for code in 0..3_usize.pow(u32::try_from(len).unwrap()) {
                let order: Vec<usize> =
                    (0..len).map(|at| code / 3_usize.pow(u32::try_from(at).unwrap()) % 3).collect();
                let opened = open(&key(32), "echo", &ordered(&capsule, &order));
                assert_eq!(opened.is_ok(), order == [0, 1, 2], "{order:?}");
            }
        }
    }
}

#[test]
fn a_chunk_that_was_moved_is_said_to_be() {
    let [known, unknown] = both();
    for capsule in [&known, &unknown] {
        let error = open(&key(32), "echo", &ordered(capsule, &[1, 0, 2])).unwrap_err();
        assert!(matches!(error, OpenError::Misplaced { chunk: 0, belongs: 1 }), "{error:?}");
    }
    let error = open(&key(32), "echo", &ordered(&unknown, &[0, 1])).unwrap_err();
    assert!(matches!(error, OpenError::Truncated { .. }), "{error:?}");
}

#[test]
fn a_chunk_is_looked_for_as_many_places_away_as_the_format_says_and_no_further() {
    let key = key(32);
    let capsule = streamed(&key, &STAMP, &state(64 * 70), small(1));
    for (at, from) in [(0, 64), (66, 2)] {
        let error = open(&key, "echo", &swapped(&capsule, at, from)).unwrap_err();
        let (chunk, belongs) = if at < from { (at, from) } else { (from, at) };
        let moved = matches!(error, OpenError::Misplaced { chunk: c, belongs: b } if (c, b) == (chunk as u64, belongs as u64));
        assert!(moved, "{error:?}");
    }
    let error = open(&key, "echo", &swapped(&capsule, 0, 65)).unwrap_err();
    assert!(matches!(error, OpenError::Damaged { chunk: 0 }), "{error:?}");
}

#[test]
fn another_services_file_is_refused() {
    for capsule in both() {
        let error = open(&key(32), "logger", &capsule).unwrap_err();
        assert!(
            matches!(error, OpenError::OtherService { ref found, ref asked } if found == "echo" && asked == "logger")
        );
    }
}

#[test]
fn a_wrong_key_is_named_before_anything_is_decrypted() {
    for mut capsule in both() {
        // A chunk that could not be decrypted anyway: the key is judged first.
        *capsule.last_mut().unwrap() ^= 1;
        for len in [16, 24] {
            let wrong = key(len);
            let error = open(&wrong, "echo", &capsule).unwrap_err();
            let OpenError::WrongKey { sealed_with, ours } = error else { panic!("{error}") };
            assert!(sealed_with == key(32).id() && ours == wrong.id());
        }
    }
}

#[test]
fn what_follows_the_end_is_refused() {
    let [mut known, mut unknown] = both();
    for extra in 1..=200 {
        known.push(0);
        unknown.push(0);
        let error = open(&key(32), "echo", &known).unwrap_err();
        assert!(matches!(error, OpenError::Trailing { extra: found } if found == extra), "{error}");
        open(&key(32), "echo", &unknown).unwrap_err();
    }
}

#[test]
fn parts_of_two_capsules_do_not_make_a_third() {
    let [one, two] = [2, 3].map(|salt| sealed(&key(32), &STAMP, &state(150), small(salt)));
    for cut in 8..one.len() {
        for spliced in [[&one[..cut], &two[cut..]].concat(), [&two[..cut], &one[cut..]].concat()] {
            if spliced != one && spliced != two {
                assert!(open(&key(32), "echo", &spliced).is_err(), "cut at {cut}");
            }
        }
    }
}

#[test]
fn the_first_wrong_chunk_is_named_by_any_number_of_threads() {
    let plain = state(5 << 20);
    let capsule = seal(&key(32), &STAMP, &plain).unwrap();
    let full = (1 << 16) + 16;
    for (one, two) in [(3, 70), (40, 41), (79, 5)] {
        let mut capsule = capsule.clone();
        capsule[HEAD + one * full] ^= 1;
        capsule[HEAD + two * full] ^= 1;
        let mut into = Zeroizing::default();
        let error = open_into(&key(32), "echo", &capsule, &mut into).unwrap_err();
        let first = one.min(two) as u64;
        assert!(matches!(error, OpenError::Damaged { chunk } if chunk == first), "{error:?}");
        assert!(into.is_empty());
    }
}

#[test]
fn an_opened_capsule_does_not_print_the_state() {
    let shown = format!("{:?}", open(&key(32), "echo", &both()[0]).unwrap());
    assert!(shown.contains("sequence: 7"), "{shown}");
    assert!(!shown.contains("plain:"), "{shown}");
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
        plugin in "[!-~]{0,255}",
        plugin_version in "[!-~]{0,255}",
        content_type in "[!-~]{0,255}",
        (schema, sequence, generation) in any::<(u32, u64, u64)>(),
        plain in prop::collection::vec(any::<u8>(), 0..4096),
    ) {
        prop_assume!(name::is_service(&service));
        let key = Key::new(&key_bytes).unwrap();
        let (plugin, plugin_version, content_type) = (&*plugin, &*plugin_version, &*content_type);
        let service = &*service;
        let stamp = Stamp { service, plugin, plugin_version, schema, sequence, generation, content_type };
        let (capsule, header) = seal_with_header(&key, &stamp, &plain).unwrap();
        prop_assert_eq!(&read_header(&capsule).unwrap(), &header);
        let opened = open(&key, service, &capsule).unwrap();
        prop_assert_eq!(&*opened.plain, &plain);
        prop_assert_eq!(format!("{:?}", header.stamp()), format!("{stamp:?}"));
        prop_assert_eq!(opened.header, header);
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..512), lie in any::<u64>()) {
        let key = key(32);
        prop_assert!(open(&key, "echo", &bytes).is_err());
        for capsule in both() {
            // Past the magic, the format and the header's length, where there is more to stumble over.
            let begun = [&capsule[..12], &bytes].concat();
            prop_assert!(open(&key, "echo", &begun).is_err());
            // Chunks of anything.
            let ended = [&capsule[..HEAD], &bytes].concat();
            prop_assert!(open(&key, "echo", &ended).is_err());
            // A length that promises anything.
            let mut lying = capsule.clone();
            lying[98..106].copy_from_slice(&lie.to_le_bytes());
            prop_assert!(lying == capsule || open(&key, "echo", &lying).is_err());
        }
        let one = [b"\x89HOTBAY\n\x01\x00", &bytes[..]].concat();
        prop_assert!(open(&key, "echo", &one).is_err());
    }
}
