//! State goes there and back: through steps, in each way of writing, in pieces of any size.

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::sync::LazyLock;

use crate::prelude::*;
use crate::testkit::TestHost;
use crate::{Bytes, Encoded, StateReader, StateWriter};

#[derive(Serialize, Deserialize)]
struct Schema1 {
    count: u64,
}

#[derive(Serialize, Deserialize)]
struct Schema2 {
    counts: Vec<u64>,
}

/// Schema 3.
#[derive(Default, Serialize, Deserialize)]
struct Counts {
    by_name: BTreeMap<String, u64>,
}

impl From<Schema1> for Schema2 {
    fn from(old: Schema1) -> Self {
        Self { counts: vec![old.count] }
    }
}

impl TryFrom<Schema2> for Counts {
    type Error = Error;

    fn try_from(old: Schema2) -> Result<Self> {
        let count = old.counts.first().ok_or_else(|| Error::msg("count nothing"))?;
        Ok(Self { by_name: [("before".to_owned(), *count)].into() })
    }
}

impl From<Counts> for Schema2 {
    fn from(newer: Counts) -> Self {
        Self { counts: newer.by_name.into_values().collect() }
    }
}

impl From<Schema2> for Schema1 {
    fn from(newer: Schema2) -> Self {
        Self { count: newer.counts.iter().sum() }
    }
}

struct Counter(State<Counts>);

impl Plugin for Counter {
    fn create(_: Context) -> Result<Self> {
        Ok(Self(State::default()))
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "add" => {
                *self.0.write().by_name.entry(request.text()?.to_owned()).or_default() += 1;
                Ok(())
            }
            _ => reply.json(&self.0.read().by_name),
        }
    }
}

impl Stateful for Counter {
    type State = Counts;
    const SCHEMA: u32 = 3;
    const STEPS: &'static [Step] = &[
        Step::new::<Schema1, Schema2>(1, 2),
        Step::new::<Schema2, Counts>(2, 3),
        Step::new::<Counts, Schema2>(3, 2),
        Step::new::<Schema2, Schema1>(2, 1),
    ];

    fn state(&self) -> &State<Counts> {
        &self.0
    }
}

/// Holds one value, written in its own way.
struct Holds<T>(State<T>);

impl<T: Encoded + Default> Plugin for Holds<T> {
    fn create(_: Context) -> Result<Self> {
        Ok(Self(State::default()))
    }

    fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        Err(request.unknown_method())
    }
}

impl<T: Encoded + Default> Stateful for Holds<T> {
    type State = T;

    fn state(&self) -> &State<T> {
        &self.0
    }
}

/// Bytes that each writing makes anew, and reading looks at: they are never in memory whole.
#[derive(Default)]
struct Pattern;

const PATTERN: u64 = (64 << 20) / SCALE as u64;

/// Less of everything under Miri, which looks at each byte.
const SCALE: usize = if cfg!(miri) { 1024 } else { 1 };

/// The bytes of the pattern from there on.
fn pattern(at: u64, count: usize) -> &'static [u8] {
    static BLOCK: LazyLock<Vec<u8>> = LazyLock::new(|| (0..=255).cycle().take((2 << 20) / SCALE).collect());
    &BLOCK[at as usize % 256..][..count]
}

impl Encoded for Pattern {
    const CONTENT_TYPE: &'static str = "application/x-pattern";

    fn write(&self, out: &mut StateWriter<'_>) -> Result<()> {
        // Longer than any window below.
        for _ in 0..64 {
            out.write_all(pattern(0, (1 << 20) / SCALE))?;
        }
        Ok(())
    }

    fn read(source: &mut StateReader<'_>) -> Result<Self> {
        let (mut block, mut at) = (vec![0; 100_000 / SCALE], 0_u64);
        loop {
            let count = source.read(&mut block)?;
            if count == 0 {
                break;
            }
            if block[..count] != *pattern(at, count) {
                return Err(Error::msg("see the pattern"));
            }
            at += count as u64;
        }
        if at == PATTERN { Ok(Self) } else { Err(Error::msg(format_args!("see all of it: {at} bytes"))) }
    }
}

export_plugin!(Counter: Stateful { name: "counter" });
export_plugin!(Holds<Bytes>: Stateful { name: "holds" });
export_plugin!(Holds<Pattern>: Stateful { name: "holds" });
export_plugin!(Holds<Vec<String>>: Stateful { name: "holds" });

#[test]
fn old_state_takes_one_step_after_the_other() {
    for (schema, state) in
        [(1, r#"{"count":41}"#), (2, r#"{"counts":[41]}"#), (3, r#"{"by_name":{"before":41}}"#)]
    {
        let counter = TestHost::new().resume::<Counter>(schema, state.as_bytes()).unwrap();
        counter.call("add", b"before").unwrap();
        assert_eq!(counter.call("all", b"").unwrap(), br#"{"before":42}"#, "from schema {schema}");
    }
}

#[test]
fn newer_state_steps_down_for_an_older_version() {
    let counter = TestHost::new().start::<Counter>().unwrap();
    for name in [b"a", b"b", b"a"] {
        counter.call("add", name).unwrap();
    }
    assert_eq!(counter.export().unwrap(), br#"{"by_name":{"a":2,"b":1}}"#);
    assert_eq!(counter.export_as(2).unwrap(), br#"{"counts":[2,1]}"#);
    assert_eq!(counter.export_as(1).unwrap(), br#"{"count":3}"#);
    let error = counter.export_as(4).unwrap_err();
    assert_eq!(error.message(), "export state in schema 4: this version writes 3 and has no step from there");
}

#[test]
fn a_step_that_fails_is_named_and_an_unknown_schema_is_refused_with_what_is_read() {
    let error = TestHost::new().resume::<Counter>(2, br#"{"counts":[]}"#).unwrap_err();
    assert_eq!(error.message(), "migrate state from schema 2 to 3: count nothing");
    let error = TestHost::new().resume::<Counter>(1, b"[").unwrap_err();
    assert!(error.message().starts_with("import state of schema 1: read the state as JSON: "), "{error}");
    let error = TestHost::new().resume::<Counter>(9, b"{}").unwrap_err();
    assert_eq!(error.message(), "import state of schema 9: this version reads 1, 2 and writes 3");
}

#[test]
fn a_state_that_was_not_written_keeps_its_number() {
    let counter = TestHost::new().start::<Counter>().unwrap();
    let before = counter.changes().unwrap();
    counter.call("all", b"").unwrap();
    counter.export().unwrap();
    assert_eq!(counter.changes().unwrap(), before);
    counter.call("add", b"a").unwrap();
    assert_ne!(counter.changes().unwrap(), before);
    let state = State::new(std::sync::atomic::AtomicU64::new(0));
    state.touch();
    assert_eq!(state.changes(), 1);
}

#[test]
fn a_host_of_contract_1_0_gets_and_gives_state_all_the_same() {
    let old = || TestHost::new().of_contract_1_0();
    let counter = old().resume::<Counter>(1, br#"{"count":7}"#).unwrap();
    assert_eq!(counter.export().unwrap(), br#"{"by_name":{"before":7}}"#);
    for error in [counter.changes().map(drop), counter.export_as(1).map(drop)] {
        assert!(error.unwrap_err().message().contains("contract 1.0"));
    }
}

#[test]
fn sixty_four_mebibytes_go_through_a_window_and_come_back_in_pieces() {
    const WINDOW: usize = (256 << 10) / SCALE;
    let holds = TestHost::new().start::<Holds<Pattern>>().unwrap();
    let (mut at, mut largest) = (0_u64, 0);
    let sink = |piece: &[u8]| {
        largest = largest.max(piece.len());
        assert!(piece == pattern(at, piece.len()), "at {at}");
        at += piece.len() as u64;
        true
    };
    holds.export_through(WINDOW, sink).unwrap();
    assert_eq!((at, largest), (PATTERN, WINDOW));

    let mut left = PATTERN;
    let source = |piece: &mut Vec<u8>| {
        // Of no one size.
        let count = left.min((200_000 + left % 7919) / SCALE as u64);
        piece.extend_from_slice(pattern(PATTERN - left, count as usize));
        left -= count;
        true
    };
    drop(TestHost::new().resume_from::<Holds<Pattern>>(1, source).unwrap());
}

/// Exports through a window of each size and imports in pieces of that size; what comes out is what went in.
fn there_and_back<T: Encoded + Default>(state: &[u8])
where
    Holds<T>: crate::Export,
{
    for size in [1, 3, 64, 1 << 20] {
        let mut pieces = state.chunks(size);
        let source = |piece: &mut Vec<u8>| {
            piece.extend_from_slice(pieces.next().unwrap_or_default());
            true
        };
        let holds = TestHost::new().resume_from::<Holds<T>>(1, source).unwrap();
        let mut written = Vec::new();
        let sink = |piece: &[u8]| {
            written.extend_from_slice(piece);
            true
        };
        holds.export_through(size, sink).unwrap();
        assert_eq!(written, state, "in pieces of {size}");
        assert_eq!(TestHost::new().resume::<Holds<T>>(1, state).unwrap().export().unwrap(), state);
    }
}

#[test]
fn each_way_of_writing_goes_there_and_back_in_pieces_of_any_size() {
    there_and_back::<Bytes>(b"bytes as they are \0\xff");
    there_and_back::<Vec<String>>(br#"["some","text","with \"quotes\" in it"]"#);
    #[cfg(feature = "message-pack")]
    {
        there_and_back::<MessagePack<Vec<String>>>(b"\x92\xa4some\xa4text");
        // With the names of its fields.
        let named = b"\x81\xa7by_name\x81\xa1a\x02";
        there_and_back::<MessagePack<Counts>>(named);
    }
}

#[cfg(feature = "message-pack")]
export_plugin!(Holds<MessagePack<Vec<String>>>: Stateful { name: "holds" });
#[cfg(feature = "message-pack")]
export_plugin!(Holds<MessagePack<Counts>>: Stateful { name: "holds" });

#[test]
fn state_that_is_cut_off_or_too_long_is_refused() {
    let cut = TestHost::new().resume::<Holds<Vec<String>>>(1, br#"["some"#).unwrap_err();
    assert!(cut.message().starts_with("import state of schema 1: "), "{cut}");
    for state in [&br#"["some"] ["more"]"#[..], b"[] x"] {
        TestHost::new().resume::<Holds<Vec<String>>>(1, state).unwrap_err();
        let mut pieces = state.chunks(4);
        let source = |piece: &mut Vec<u8>| {
            piece.extend_from_slice(pieces.next().unwrap_or_default());
            true
        };
        TestHost::new().resume_from::<Holds<Vec<String>>>(1, source).unwrap_err();
    }
    #[cfg(feature = "message-pack")]
    {
        let long =
            TestHost::new().resume::<Holds<MessagePack<Vec<String>>>>(1, b"\x91\xa4some\x90").unwrap_err();
        assert!(long.message().contains("more than the state"), "{long}");
    }
}

#[test]
fn a_host_that_fails_on_the_way_is_an_error_of_the_export_and_import() {
    let mut pieces = 0;
    let source = |piece: &mut Vec<u8>| {
        pieces += 1;
        piece.extend_from_slice(b"[\"");
        pieces < 2
    };
    let error = TestHost::new().resume_from::<Holds<Vec<String>>>(1, source).unwrap_err();
    assert!(error.message().contains("the host could not read on"), "{error}");
    let holds = TestHost::new().start::<Holds<Pattern>>().unwrap();
    let error = holds.export_through(1 << 16, |_| false).unwrap_err();
    assert!(error.message().contains("the host takes no more of it"), "{error}");
}
