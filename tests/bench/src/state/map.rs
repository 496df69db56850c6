//! A map of many entries, written and read again, beside bytes that are written by hand.

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use hotbay_plugin_api::testkit::{Running, TestHost};
use hotbay_plugin_api::{Declaration, prelude::*};
use hotbay_plugin_api::{Encoded, Export, Shape, abi};

use crate::rounds::{Goal, Row};

pub(super) const ENTRIES: u64 = 100_000;

const LIMIT: f64 = 1.3;

pub(super) type Map = HashMap<String, u64>;

pub(super) fn filled() -> Map {
    (0..ENTRIES).map(|n| (format!("key/{n:08}"), n.wrapping_mul(0x9E37_79B9_7F4A_7C15))).collect()
}

/// A way of writing the map.
pub(super) trait Holding {
    fn of(map: Map) -> Self;
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
                *self.0.write() = T::of(filled());
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
pub(super) struct Json(Map);

impl Holding for Json {
    fn of(map: Map) -> Self {
        Self(map)
    }
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde", transparent)]
pub(super) struct Packed(Map);

pub(super) type Pack = MessagePack<Packed>;

impl Holding for Pack {
    fn of(map: Map) -> Self {
        MessagePack(Packed(map))
    }
}

pub(super) fn with_map<P: Export>() -> Running<P> {
    let running = TestHost::new().start::<P>().expect("it has nothing that could fail");
    running.call("fill", b"").expect("it has this method");
    running
}

pub(super) fn rows() -> Vec<Row> {
    let map = filled();
    let by_hand = "map by hand";
    vec![
        Row::new(by_hand, move |calls| {
            often(calls, || {
                let written = write(&map);
                read(&written).expect("it was written a moment ago")
            })
        }),
        Row::new("map as MessagePack", there_and_back::<Pack>()).over(by_hand).goal(Goal::AtMost(LIMIT)),
        // Numbers as text: no bound for that.
        Row::new("map as JSON", there_and_back::<Json>()).over(by_hand),
    ]
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
fn write(map: &Map) -> Vec<u8> {
    let mut out = Vec::new();
    out.extend_from_slice(&(map.len() as u64).to_le_bytes());
    for (key, value) in map {
        out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&value.to_le_bytes());
    }
    out
}

fn read(mut from: &[u8]) -> Option<Map> {
    let count = u64::from_le_bytes(take(&mut from)?);
    let mut map = Map::with_capacity(usize::try_from(count).ok()?.min(from.len()));
    for _ in 0..count {
        let len = u32::from_le_bytes(take(&mut from)?);
        let (key, rest) = from.split_at_checked(usize::try_from(len).ok()?)?;
        from = rest;
        let key = std::str::from_utf8(key).ok()?.to_owned();
        map.insert(key, u64::from_le_bytes(take(&mut from)?));
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
        let map = filled();
        assert_eq!(read(&write(&map)).as_ref(), Some(&map));
        let as_pack = with_map::<Holds<Pack>>().export().expect("it has state");
        let as_json = with_map::<Holds<Json>>().export().expect("it has state");
        let again = TestHost::new().resume::<Holds<Pack>>(1, &as_pack).expect("it is whole");
        assert_eq!(again.export().expect("it has state").len(), as_pack.len());
        assert_eq!(serde_json::from_slice::<Map>(&as_json).expect("it is JSON"), map);
    }
}
