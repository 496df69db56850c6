//! Sealing and opening, beside the bare cipher and a copy of the same bytes.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use hotbay_state::Key;
use zeroize::Zeroizing;

use super::bare::{AesGcm, Bare};
use super::{STAMP, bytes, key};
use crate::pin;
use crate::rounds::{Goal, Row, timed};

/// The cipher of the storage, and what is before the names of its rows.
#[cfg(not(feature = "aws-lc"))]
type Built = AesGcm;
#[cfg(feature = "aws-lc")]
type Built = super::bare::AwsLc;
const OTHER: &str = if cfg!(feature = "aws-lc") { "aws-lc " } else { "" };

/// At least 0.9 of the bare cipher's speed.
const FRAMED: f64 = 1.11;

pub(super) fn rows() -> Result<Vec<Row>> {
    let mut rows = of_size(1 << 20, "1 MiB")?;
    rows.extend(of_size(16 << 20, "16 MiB")?);
    rows.extend(on_two(16 << 20)?);
    Ok(rows)
}

/// A row's name stays until the table is printed, and the program ends then.
fn name(text: String) -> &'static str {
    text.leak()
}

/// Ours, from memory that is there into memory that is there.
struct Sealed {
    key: Arc<Key>,
    plain: Zeroizing<Vec<u8>>,
    capsule: Vec<u8>,
}

impl Sealed {
    fn new(len: usize, key: &Arc<Key>) -> Self {
        let room = usize::try_from(hotbay_state::max_sealed_len(len as u64)).unwrap_or(usize::MAX);
        let (key, plain) = (Arc::clone(key), Zeroizing::new(bytes(len)));
        let mut sealed = Self { key, plain, capsule: vec![1; room] };
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

fn of_size(len: usize, size: &str) -> Result<Vec<Row>> {
    let copy = name(format!("copy, {size}"));
    let (from, mut to) = (bytes(len), vec![1; len]);
    let mut rows = vec![Row::new(copy, move |calls| {
        timed(calls, || {
            to.copy_from_slice(black_box(&from));
            black_box(&to);
        })
    })];
    rows.extend(bare::<AesGcm>(len, size, "", |_| copy)?);
    if cfg!(feature = "aws-lc") {
        rows.extend(bare::<Built>(len, size, OTHER, |what| name(format!("bare {what}, {size}")))?);
    }
    let key = Arc::new(key()?);
    let (mut sealing, mut opening) = (Sealed::new(len, &key), Sealed::new(len, &key));
    let ours = |what: &str| name(format!("{OTHER}{what}, {size}"));
    let control = |what: &str| name(format!("{OTHER}bare {what}, {size}"));
    rows.extend([
        Row::new(ours("seal"), move |calls| timed(calls, || sealing.seal()))
            .over(control("seal"))
            .goal(Goal::AtMost(FRAMED)),
        Row::new(ours("open"), move |calls| timed(calls, || opening.open()))
            .over(control("open"))
            .goal(Goal::AtMost(FRAMED)),
    ]);
    Ok(rows)
}

/// One message of a bare cipher, each way, beside another row.
fn bare<B: Bare>(
    len: usize,
    size: &str,
    whose: &str,
    over: impl Fn(&str) -> &'static str,
) -> Result<[Row; 2]> {
    let (mut sealing, mut opening) = (B::new(len)?, B::new(len)?);
    let named = |what: &str| name(format!("{whose}bare {what}, {size}"));
    Ok([
        Row::new(named("seal"), move |calls| timed(calls, || sealing.seal())).over(over("seal")),
        Row::new(named("open"), move |calls| timed(calls, || opening.open())).over(over("open")),
    ])
}

/// What a second processor is good for. The bound is of `aes-gcm`: what is some times faster waits for memory.
fn on_two(len: usize) -> Result<Vec<Row>> {
    let mut halves = [Built::new(len / 2)?, Built::new(len / 2)?];
    let key = Arc::new(key()?);
    let (mut sealing, mut opening) = (Sealed::new(len, &key), Sealed::new(len, &key));
    let alone = name(format!("{OTHER}bare seal, 16 MiB"));
    let pair = name(format!("{OTHER}bare seal, two processors"));
    let goal = |row: Row| match cfg!(feature = "aws-lc") {
        true => row,
        false => row.goal(Goal::GainsAtLeast(1.7, pair, alone)),
    };
    let ours = |what: &str| {
        [format!("{what}, two processors"), format!("{what}, 16 MiB")]
            .map(|text| name(format!("{OTHER}{text}")))
    };
    let ([seal, seal_alone], [open, open_alone]) = (ours("seal"), ours("open"));
    Ok(vec![
        Row::new(pair, move |calls| with_two(|| timed(calls, || together(&mut halves)))).over(alone),
        goal(Row::new(seal, move |calls| with_two(|| timed(calls, || sealing.seal()))).over(seal_alone)),
        goal(Row::new(open, move |calls| with_two(|| timed(calls, || opening.open()))).over(open_alone)),
    ])
}

/// Half of it each, on a thread that is started for it and on this one: what a neighbour has of the other processor shows here
/// as well.
fn together<B: Bare>([one, other]: &mut [B; 2]) {
    std::thread::scope(|scope| {
        scope.spawn(|| one.seal());
        other.seal();
    });
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
