//! A map of many entries, written and read again, beside bytes that are written by hand.

use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::time::{Duration, Instant};

use hotbay_plugin_api::testkit::{Running, TestHost};
use hotbay_plugin_api::{Declaration, prelude::*};
use hotbay_plugin_api::{Encoded, Export, Shape, abi};

use crate::rounds::{Goal, Row};

pub(super) const ENTRIES: u64 = 100_000;

const LIMIT: f64 = 1.3;

/// As plugins hold it: in order, so that equal state is equal bytes.
pub(super) type Map = BTreeMap<String, u64>;

/// For who does without an order.
type Hashed = HashMap<String, u64>;

pub(super) fn filled<M: FromIterator<(String, u64)>>() -> M {
    (0..ENTRIES).map(|n| (format!("key/{n:08}"), n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect()
}

/// What writing and reading by hand asks of a map.
trait ByHand: FromIterator<(String, u64)> + Default + Send + 'static {
    fn with_room(entries: usize) -> Self;
    fn put(&mut self, key: String, value: u64);
    fn entries(&self) -> impl ExactSizeIterator<Item = (&String, &u64)>;
}

impl ByHand for Map {
    /// A tree makes no room ahead.
    fn with_room(_: usize) -> Self {
        Self::new()
    }

    fn put(&mut self, key: String, value: u64) {
        self.insert(key, value);
    }

    fn entries(&self) -> impl ExactSizeIterator<Item = (&String, &u64)> {
        self.iter()
    }
}

impl ByHand for Hashed {
    fn with_room(entries: usize) -> Self {
        Self::with_capacity(entries)
    }

    fn put(&mut self, key: String, value: u64) {
        self.insert(key, value);
    }

    fn entries(&self) -> impl ExactSizeIterator<Item = (&String, &u64)> {
        self.iter()
    }
}

/// A way of writing the map.
pub(super) trait Holding {
    fn filled() -> Self;
}

/// A plugin whose state is one value, in its own way of writing.
pub(super) struct Holds<T>(State<T>);

impl<T: Encoded + Default + Holding> Plugin for Holds<T> {
    fn create(_: Context) -> Result<Self> {
        Ok(Self(State::default()))
    }

    fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "fill" => {
                *self.0.write() = T::filled();
                Ok(())
            }
            _ => Err(request.unknown_method()),
        }
    }
}

impl<T: Encoded + Default + Holding> Stateful for Holds<T> {
    type State = T;

    fn state(&self) -> &State<T> {
        &self.0
    }
}

// What `export_plugin!` says, without the symbols: a program has several of these, and is no library.
impl<T: Encoded + Default + Holding> Export for Holds<T> {
    const DECLARATION: Declaration = Declaration { methods: &["fill"], ..Declaration::of("holds", "1.0.0") };
    const SHAPE: Option<Shape> = Some(Shape::of::<Self>());
    const STATE: Option<abi::StateTables> = Some(abi::state_tables::<Self>());
}

/// JSON, as state is written where nobody says otherwise.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde", transparent)]
pub(super) struct Held<M>(M);

pub(super) type Pack<M = Map> = MessagePack<Held<M>>;

/// A hash map with room for all of its entries from the start, as the one has that is read by hand. Serde alone makes room for 32,768.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde", transparent)]
struct Roomy(#[serde(deserialize_with = "hotbay_plugin_api::with_capacity")] Hashed);

impl Holding for Roomy {
    fn filled() -> Self {
        Self(filled())
    }
}

impl<M: FromIterator<(String, u64)>> Holding for Held<M> {
    fn filled() -> Self {
        Self(filled())
    }
}

impl<T: Holding> Holding for MessagePack<T> {
    fn filled() -> Self {
        Self(T::filled())
    }
}

pub(super) fn with_map<P: Export>() -> Running<P> {
    let running = TestHost::new().start::<P>().expect("it has nothing that could fail");
    running.call("fill", b"").expect("it has this method");
    running
}

pub(super) fn rows() -> Vec<Row> {
    let [by_hand, hashed] = ["map by hand", "hash map by hand"];
    vec![
        Row::new(by_hand, by_hand_there_and_back::<Map>()),
        Row::new("map as MessagePack", there_and_back::<Pack>()).over(by_hand).goal(Goal::AtMost(LIMIT)),
        // Numbers as text: no bound for that.
        Row::new("map as JSON", there_and_back::<Held<Map>>()).over(by_hand),
        Row::new(hashed, by_hand_there_and_back::<Hashed>()),
        Row::new("hash map as MessagePack", there_and_back::<MessagePack<Roomy>>())
            .over(hashed)
            .goal(Goal::AtMost(LIMIT)),
        // As serde reads it by itself.
        Row::new("the same, not `with_capacity`", there_and_back::<Pack<Hashed>>()).over(hashed),
    ]
}

fn by_hand_there_and_back<M: ByHand>() -> impl FnMut(u64) -> Duration + Send + 'static {
    let map: M = filled();
    move |calls| {
        often(calls, || {
            let written = write(&map);
            read::<M>(&written).expect("it was written a moment ago")
        })
    }
}

/// Through the functions that a host calls: out of one plugin, into another.
fn there_and_back<T: Encoded + Default + Holding>() -> impl FnMut(u64) -> Duration + Send + 'static {
    // A plugin that runs stays on its thread: it is made there.
    move |calls| {
        let old = with_map::<Holds<T>>();
        often(calls, || {
            let state = old.export().expect("it has state");
            TestHost::new().resume::<Holds<T>>(1, &state).expect("it was exported a moment ago")
        })
    }
}

/// How long making something takes; dropping it is not counted.
fn often<T>(calls: u64, mut make: impl FnMut() -> T) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..calls {
        let begun = Instant::now();
        let made = black_box(make());
        took += begun.elapsed();
        drop(made);
    }
    took
}

/// The count, then each key's length, key and value.
fn write(map: &impl ByHand) -> Vec<u8> {
    let mut out = Vec::new();
    let entries = map.entries();
    out.extend_from_slice(&(entries.len() as u64).to_le_bytes());
    for (key, value) in entries {
        out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    out
}

fn read<M: ByHand>(mut from: &[u8]) -> Option<M> {
    let count = u64::from_le_bytes(take(&mut from)?);
    let mut map = M::with_room(usize::try_from(count).ok()?.min(from.len()));
    for _ in 0..count {
        let len = u32::from_le_bytes(take(&mut from)?);
        let (key, rest) = from.split_at_checked(usize::try_from(len).ok()?)?;
        from = rest;
        let key = std::str::from_utf8(key).ok()?.to_owned();
        map.put(key, u64::from_le_bytes(take(&mut from)?));
    }
    from.is_empty().then_some(map)
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = from.split_first_chunk()?;
    *from = rest;
    Some(*first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_writing_the_map_brings_all_of_it_back() {
        let (map, hashed): (Map, Hashed) = (filled(), filled());
        assert_eq!(read(&write(&map)).as_ref(), Some(&map));
        assert_eq!(read(&write(&hashed)).as_ref(), Some(&hashed));
        let as_pack = with_map::<Holds<Pack>>().export().expect("it has state");
        let as_json = with_map::<Holds<Held<Map>>>().export().expect("it has state");
        let again = TestHost::new().resume::<Holds<Pack>>(1, &as_pack).expect("it is whole");
        assert_eq!(again.export().expect("it has state").len(), as_pack.len());
        assert_eq!(serde_json::from_slice::<Map>(&as_json).expect("it is JSON"), map);
    }
}
