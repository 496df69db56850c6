use proptest::prelude::*;

use super::*;
use crate::OpenError;
use crate::open::{open, read_header};
use crate::sample::{HEAD, STAMP, key, sealed, small, state};

/// Takes so many bytes and then fails.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_state_whose_length_is_not_known_is_as_long_as_it_turns_out() {
    for len in [0, 1, 63, 64, 65, 128, 1000] {
        let mut sealer = Sealer::once(&key(32), &STAMP, None, Vec::new(), small(1)).unwrap();
        sealer.write_all(&state(len)).unwrap();
        let (capsule, header) = sealer.finish().unwrap();
        assert_eq!(capsule[98..106], [0xff; 8], "{len}");
        assert_eq!(header.plain_len, len as u64);
        assert_eq!(header, read_header(&capsule).unwrap());
        let opened = open(&key(32), "echo", &capsule).unwrap();
        assert_eq!((opened.header, &*opened.plain), (header, &state(len)));
    }
}

#[test]
fn a_state_of_another_length_than_was_said_is_refused() {
    let sealer = || Sealer::new(&key(32), &STAMP, Some(100), Vec::new()).unwrap();
    let mut short = sealer();
    short.push(&state(99)).unwrap();
    let error = short.finish().unwrap_err();
    assert!(matches!(error, SealError::Length { declared: 100, got: 99 }), "{error}");

    let mut long = sealer();
    long.push(&state(100)).unwrap();
    let error = long.push(b"!").unwrap_err();
    assert!(matches!(error, SealError::Length { declared: 100, got: 101 }), "{error}");
    assert!(long.write(b"").is_err());
    long.finish().unwrap_err();
}

#[test]
fn a_sealer_that_was_not_finished_leaves_a_capsule_that_is_truncated() {
    for (len, written) in [(None, 0), (None, 64), (None, 300), (Some(300), 300)] {
        let mut capsule = Vec::new();
        let mut sealer = Sealer::once(&key(32), &STAMP, len, &mut capsule, small(1)).unwrap();
        sealer.push(&state(written)).unwrap();
        drop(sealer);
        let error = open(&key(32), "echo", &capsule).unwrap_err();
        assert!(matches!(error, OpenError::Truncated { .. }), "{written}: {error}");
    }
}

#[test]
fn a_writer_that_fails_ends_the_capsule() {
    let begin = |room| Sealer::once(&key(32), &STAMP, None, Full(room), small(1));
    assert!(matches!(begin(HEAD - 1), Err(SealError::Write { .. })));
    for room in [HEAD, HEAD + 1, HEAD + 80, HEAD + 90] {
        let mut sealer = begin(room).unwrap();
        let error = sealer.write_all(&state(1000)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{room}");
        assert!(sealer.push(b"more").is_err());
        assert!(matches!(sealer.finish(), Err(SealError::Write { .. })));
    }
    // The last chunk is written by the end.
    let mut sealer = begin(HEAD + 5).unwrap();
    sealer.push(b"state").unwrap();
    assert!(matches!(sealer.finish(), Err(SealError::Write { .. })));
}

#[test]
fn a_sealer_does_not_print_the_state() {
    let mut sealer = Sealer::new(&key(32), &STAMP, None, Vec::new()).unwrap();
    sealer.push(b"secret").unwrap();
    let shown = format!("{sealer:?}");
    assert!(shown.contains("taken: 6") && !shown.contains("115"), "{shown}");
}

proptest! {
    #[test]
    fn a_stream_is_the_capsule_that_is_sealed_at_once(
        writes in prop::collection::vec(0..300_usize, 0..12),
    ) {
        let plain = state(writes.iter().sum());
        let mut sealer =
            Sealer::once(&key(32), &STAMP, Some(plain.len() as u64), Vec::new(), small(1)).unwrap();
        let mut rest = &plain[..];
        for len in writes {
            let (part, after) = rest.split_at(len);
            sealer.write_all(part).unwrap();
            rest = after;
        }
        let (capsule, header) = sealer.finish().unwrap();
        prop_assert_eq!(&capsule, &sealed(&key(32), &STAMP, &plain, small(1)));
        prop_assert_eq!(header, read_header(&capsule).unwrap());
    }
}
