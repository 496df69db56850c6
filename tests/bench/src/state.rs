//! Sealing and opening state, beside the bare cipher and a copy of the same bytes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut as _, KeyInit as _};
use aes_gcm::{Aes256Gcm, Nonce, Tag};
use anyhow::{Context as _, Result};
use hotbay_state::{Key, Stamp};
use zeroize::Zeroizing;

use crate::pairs::{Work, alone, together};
use crate::pin;
use crate::rounds::{Goal, Row, timed};

const STAMP: Stamp<'_> = Stamp {
    service: "bench",
    plugin: "bench",
    plugin_version: "1.0.0",
    schema: 1,
    sequence: 1,
    generation: 1,
    content_type: "application/octet-stream",
};

/// At least 0.9 of the bare cipher's speed.
const FRAMED: f64 = 1.11;

pub(crate) fn rows() -> Result<Vec<Row>> {
    let names = ["copy, 1 MiB", "bare seal, 1 MiB", "seal, 1 MiB", "bare open, 1 MiB", "open, 1 MiB"];
    let mut rows = of_size(1 << 20, names)?;
    let names = ["copy, 16 MiB", "bare seal, 16 MiB", "seal, 16 MiB", "bare open, 16 MiB", "open, 16 MiB"];
    rows.extend(of_size(16 << 20, names)?);
    rows.extend(on_two(16 << 20)?);
    Ok(rows)
}

/// One message of the bare cipher, from memory that is there into memory that is there.
struct Bare {
    cipher: Aes256Gcm,
    plain: Vec<u8>,
    body: Vec<u8>,
    tag: Tag,
}

impl Bare {
    fn new(len: usize) -> Result<Self> {
        let cipher = Aes256Gcm::new_from_slice(&[7; 32]).ok().context("32 bytes are a key")?;
        let mut bare = Self { cipher, plain: state(len), body: vec![1; len], tag: Tag::default() };
        bare.seal();
        Ok(bare)
    }

    fn seal(&mut self) {
        let both = InOutBuf::new(&self.plain, &mut self.body).expect("of one length");
        let sealed = self.cipher.encrypt_inout_detached(&Nonce::default(), &STAMP_BYTES, both);
        self.tag = sealed.expect("it is not too long");
        black_box(&self.body);
    }

    fn open(&mut self) {
        let both = InOutBuf::new(&self.body, &mut self.plain).expect("of one length");
        let opened = self.cipher.decrypt_inout_detached(&Nonce::default(), &STAMP_BYTES, both, &self.tag);
        opened.expect("it was sealed a moment ago");
        black_box(&self.plain);
    }
}

/// As long as a header.
const STAMP_BYTES: [u8; 160] = [9; 160];

/// Ours, likewise.
struct Sealed {
    key: Arc<Key>,
    plain: Zeroizing<Vec<u8>>,
    capsule: Vec<u8>,
}

impl Sealed {
    fn new(len: usize, key: &Arc<Key>) -> Self {
        let room = usize::try_from(hotbay_state::max_sealed_len(len as u64)).unwrap_or(usize::MAX);
        let mut sealed =
            Self { key: Arc::clone(key), plain: Zeroizing::new(state(len)), capsule: vec![1; room] };
        sealed.seal();
        sealed
    }

    fn seal(&mut self) {
        let sealed = hotbay_state::seal_into(&self.key, &STAMP, &self.plain, &mut self.capsule);
        black_box(sealed.expect("the stamp is good"));
    }

    fn open(&mut self) {
        let opened = hotbay_state::open_into(&self.key, "bench", &self.capsule, &mut self.plain);
        black_box(opened.expect("it was sealed a moment ago"));
    }
}

fn state(len: usize) -> Vec<u8> {
    (0_u8..=250).cycle().take(len).collect()
}

fn key() -> Result<Arc<Key>> {
    Ok(Arc::new(Key::new(&[7; 32]).context("32 bytes are a key")?))
}

fn of_size(len: usize, names: [&'static str; 5]) -> Result<Vec<Row>> {
    let [copy, bare_seal, seal, bare_open, open] = names;
    let key = key()?;
    let (from, mut to) = (state(len), vec![1; len]);
    let (mut sealing, mut opening) = (Bare::new(len)?, Bare::new(len)?);
    let (mut our_sealing, mut our_opening) = (Sealed::new(len, &key), Sealed::new(len, &key));
    Ok(vec![
        Row::new(copy, move |calls| {
            timed(calls, || {
                to.copy_from_slice(black_box(&from));
                black_box(&to);
            })
        }),
        Row::new(bare_seal, move |calls| timed(calls, || sealing.seal())).over(copy),
        Row::new(seal, move |calls| timed(calls, || our_sealing.seal()))
            .over(bare_seal)
            .goal(Goal::AtMost(FRAMED)),
        Row::new(bare_open, move |calls| timed(calls, || opening.open())).over(copy),
        Row::new(open, move |calls| timed(calls, || our_opening.open()))
            .over(bare_open)
            .goal(Goal::AtMost(FRAMED)),
    ])
}

/// What a second processor is good for.
fn on_two(len: usize) -> Result<Vec<Row>> {
    let bare = move || -> Work {
        let mut bare = Bare::new(len).expect("it was made before");
        Box::new(move |calls| timed(calls, || bare.seal()))
    };
    let key = key()?;
    let (mut sealing, mut opening) = (Sealed::new(len, &key), Sealed::new(len, &key));
    let (one, two) = ("bare seal, one thread", "bare seal, two threads");
    Ok(vec![
        Row::new(one, alone(bare)),
        Row::new(two, together(bare)).over(one),
        Row::new("seal, two processors", move |calls| with_two(|| timed(calls, || sealing.seal())))
            .over("seal, 16 MiB")
            .goal(Goal::GainsAtLeast(1.7, two, one)),
        Row::new("open, two processors", move |calls| with_two(|| timed(calls, || opening.open())))
            .over("open, 16 MiB")
            .goal(Goal::GainsAtLeast(1.7, two, one)),
    ])
}

/// On a thread that may use two processors, and so may those that it starts.
fn with_two(work: impl FnOnce() -> Duration + Send) -> Duration {
    std::thread::scope(|scope| {
        let measured = scope.spawn(|| {
            pin::among(0..2);
            work()
        });
        measured.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}
