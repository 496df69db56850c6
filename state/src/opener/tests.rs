use proptest::prelude::*;

use super::*;
use crate::open::open;
use crate::sample::{FULL, HEAD, STAMP, key, ordered, sealed, small, state, streamed};

/// Gives a few bytes at a time, and now and then it is interrupted.
struct Drops<'a> {
    from: &'a [u8],
    size: usize,
    calls: usize,
}

impl Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.calls += 1;
        if self.calls.is_multiple_of(5) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = buffer.len().min(self.size);
        self.from.read(&mut buffer[..len])
    }
}

fn capsules(len: usize) -> [Vec<u8>; 2] {
    [sealed(&key(32), &STAMP, &state(len), small(1)), streamed(&key(32), &STAMP, &state(len), small(1))]
}

#[test]
fn each_chunk_is_given_when_it_is_authentic_and_the_end_when_it_is() {
    for (capsule, declared) in capsules(150).iter().zip([Some(150), None]) {
        let mut opener = Opener::new(&key(32), "echo", &capsule[..]).unwrap();
        assert_eq!(opener.declared_len(), declared);
        assert_eq!(format!("{:?}", opener.stamp()), format!("{STAMP:?}"));
        let mut plain = Vec::new();
        for expected in [64, 64, 22] {
            let chunk = opener.next_chunk().unwrap().unwrap();
            assert_eq!(chunk.len(), expected);
            plain.extend_from_slice(chunk);
        }
        for _ in 0..2 {
            assert!(opener.next_chunk().unwrap().is_none());
        }
        assert_eq!(plain, state(150));
        let header = opener.finish().unwrap();
        assert_eq!(header, open(&key(32), "echo", capsule).unwrap().header);
    }
}

#[test]
fn a_capsule_that_was_cut_gives_what_is_authentic_and_never_an_end() {
    for capsule in capsules(150) {
        for len in 0..capsule.len() {
            let opener = Opener::new(&key(32), "echo", &capsule[..len]);
            let Ok(mut opener) = opener else {
                assert!(len < HEAD, "{len}");
                continue;
            };
            let mut plain = Vec::new();
            let error = loop {
                match opener.next_chunk() {
                    Ok(Some(chunk)) => plain.extend_from_slice(chunk),
                    Ok(None) => panic!("{len}: an end"),
                    Err(error) => break error,
                }
            };
            assert!(
                matches!(error, OpenError::Truncated { .. } | OpenError::Damaged { .. }),
                "{len}: {error}"
            );
            assert!(state(150).starts_with(&plain) && plain.len() <= len - HEAD, "{len}");
            assert!(matches!(opener.next_chunk(), Err(OpenError::Read { .. })), "{len}");
            opener.read_to_end(&mut plain).unwrap_err();
            opener.finish().unwrap_err();
        }
    }
}

#[test]
fn every_flipped_byte_is_refused_at_the_latest_where_it_is() {
    for mut capsule in capsules(150) {
        for at in 0..capsule.len() {
            capsule[at] ^= 0x41;
            let mut given = 0;
            let opened = Opener::new(&key(32), "echo", &capsule[..]).and_then(|mut opener| {
                while let Some(chunk) = opener.next_chunk()? {
                    given += chunk.len();
                }
                Ok(())
            });
            assert!(opened.is_err(), "{at}");
            assert!(given <= at.saturating_sub(HEAD) / FULL * 64, "{at}: {given}");
            capsule[at] ^= 0x41;
        }
    }
}

#[test]
fn a_stream_says_what_is_wrong_as_opening_at_once_does() {
    let [known, unknown] = capsules(150);
    let error = |bytes: &[u8]| {
        let streamed = Opener::new(&key(32), "echo", bytes).and_then(Opener::finish).unwrap_err();
        let at_once = open(&key(32), "echo", bytes).unwrap_err();
        assert_eq!(
            std::mem::discriminant(&streamed),
            std::mem::discriminant(&at_once),
            "{streamed:?} {at_once:?}"
        );
        streamed
    };
    assert!(matches!(error(&ordered(&known, &[1, 0, 2])), OpenError::Misplaced { chunk: 0, belongs: 1 }));
    assert!(matches!(error(&ordered(&unknown, &[0, 2])), OpenError::Misplaced { chunk: 1, belongs: 2 }));
    assert!(matches!(error(&ordered(&unknown, &[0, 1])), OpenError::Truncated { got: 315, expected: 332 }));
    assert!(matches!(error(&ordered(&known, &[0, 1])), OpenError::Truncated { got: 315, expected: 353 }));
    assert!(matches!(error(&known[..HEAD + 3]), OpenError::Truncated { got: 158, expected: 353 }));
    assert!(matches!(error(&ordered(&known, &[0, 1, 2, 2])), OpenError::Trailing { .. }));
    let full = streamed(&key(32), &STAMP, &state(128), small(1));
    assert!(matches!(error(&ordered(&full, &[0, 1, 1])), OpenError::Trailing { .. }));
}

#[test]
fn what_must_not_be_opened_is_refused_by_its_header() {
    for capsule in capsules(150) {
        let head = &capsule[..HEAD];
        let other = Opener::new(&key(32), "logger", head).unwrap_err();
        assert!(matches!(other, OpenError::OtherService { .. }), "{other}");
        let wrong = Opener::new(&key(16), "echo", head).unwrap_err();
        assert!(matches!(wrong, OpenError::WrongKey { .. }), "{wrong}");
    }
}

#[test]
fn a_reader_that_fails_is_the_source_of_the_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("pulled out"))
        }
    }
    let capsule = &capsules(150)[0];
    for len in [0, 50, HEAD, HEAD + FULL + 7] {
        let opened = Opener::new(&key(32), "echo", capsule[..len].chain(Broken)).and_then(Opener::finish);
        let error = opened.unwrap_err();
        assert!(
            matches!(&error, OpenError::Read { source } if source.to_string() == "pulled out"),
            "{error:?}"
        );
    }
}

proptest! {
    #[test]
    fn reads_of_any_size_give_the_state(len in 0..600_usize, drops in 1..200_usize, read in 1..200_usize) {
        for capsule in capsules(len) {
            let mut opener =
                Opener::new(&key(32), "echo", Drops { from: &capsule, size: drops, calls: 0 }).unwrap();
            let (mut plain, mut buffer) = (Vec::new(), vec![0; read]);
            loop {
                match opener.read(&mut buffer).unwrap() {
                    0 => break,
                    given => plain.extend_from_slice(&buffer[..given]),
                }
            }
            prop_assert_eq!(&plain, &state(len));
            prop_assert_eq!(opener.finish().unwrap().plain_len, len as u64);
        }
    }

    #[test]
    fn no_bytes_make_the_opener_panic(bytes in prop::collection::vec(any::<u8>(), 0..512), at in 0..HEAD) {
        let capsule = &capsules(150)[0];
        for bytes in [bytes.clone(), [&capsule[..at], &bytes].concat(), [&capsule[..HEAD], &bytes].concat()] {
            let opened = Opener::new(&key(32), "echo", &bytes[..]).and_then(Opener::finish);
            prop_assert!(opened.is_err());
        }
    }
}
