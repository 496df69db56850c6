//! `HEAD` of any bytes: what nobody signed is refused, and what is signed is read without a panic, whatever it says.
//!
//! The first byte of the input says which of the two it is. A tag is not to be guessed, so without the second no input would ever reach
//! what is behind it.

use std::sync::LazyLock;

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use hotbay_state::{Head, Key, KeyRing};
use sha2::Sha256;

const KEY: [u8; 32] = [7; 32];
/// Magic, format and key id.
const START: usize = 18;

static RING: LazyLock<KeyRing> = LazyLock::new(|| Key::new(&KEY).expect("32 bytes are a key").into());

/// The key of the tag, by `FORMAT.md` and with nothing of the crate's.
static TAG: LazyLock<Hmac<Sha256>> = LazyLock::new(|| {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, &KEY).expand(b"hotbay head 1", &mut key).expect("32 bytes are few");
    Hmac::new_from_slice(&key).expect("any length is good")
});

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut head = Head::default();
    head.note("echo", 7);
    head.note_aside("kv", 2);
    head.seal(RING.primary())
});

pub(crate) fn check(input: &[u8]) {
    match input.split_first() {
        Some((0, bytes)) => assert!(Head::open(&RING, bytes).is_err() || *bytes == **GOOD, "forged"),
        Some((1, edits)) => edited(edits),
        Some((_, services)) => signed(services),
        None => {}
    }
}

/// Bytes of one that was signed are changed: two bytes of input say which and how.
fn edited(edits: &[u8]) {
    let mut bytes = GOOD.clone();
    for edit in edits.chunks_exact(2).take(8) {
        let at = usize::from(edit[0]) % bytes.len();
        bytes[at] ^= edit[1];
    }
    let opened = Head::open(&RING, &bytes);
    assert_eq!(opened.is_ok(), bytes == *GOOD, "{opened:?}");
}

/// Count and services of any bytes, under a right tag: what is read is written and read again as it is.
fn signed(services: &[u8]) {
    let mut bytes = [&GOOD[..START], services].concat();
    let tag = TAG.clone().chain_update(&bytes).finalize().into_bytes();
    bytes.extend_from_slice(&tag);
    if let Ok(head) = Head::open(&RING, &bytes) {
        let again = head.seal(RING.primary());
        assert_eq!(Head::open(&RING, &again).expect("it was written a moment ago"), head);
        assert!(again.len() <= bytes.len(), "it says more than was there");
        // What is known is never forgotten, whatever the numbers are.
        for (service, newest) in head.iter() {
            let mut noted = head.clone();
            noted.note(service, newest.sequence.saturating_sub(1));
            noted.note_aside(service, newest.sequence);
            assert_eq!(noted.of(service).map(|n| n.sequence), Some(newest.sequence));
        }
    }
}
