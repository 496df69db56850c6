//! A hash map that is read with room for all that its state holds.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash};
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Bytes of memory that are taken ahead at the word of a state, at most.
const AHEAD: usize = 64 << 20;

/// Reads a hash map with room for as many entries as its state says it has: `#[serde(deserialize_with =
/// "hotbay_plugin_api::with_capacity")]` at the field. For large maps in [`MessagePack`](crate::MessagePack), which says how many entries follow; JSON
/// does not.
///
/// Without it serde makes room for a mebibyte of entries, and the map moves all that it has each time it doubles from there. Here the first
/// 64 MiB of entries are taken ahead. They are not more than that whatever the state says, so that a wrong number costs no memory without end.
///
/// # Errors
/// The state is not a map of such keys and values.
pub fn with_capacity<'de, D, K, V, S>(from: D) -> Result<HashMap<K, V, S>, D::Error>
where
    D: Deserializer<'de>,
    K: Deserialize<'de> + Eq + Hash,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
{
    from.deserialize_map(Entries(PhantomData))
}

struct Entries<K, V, S>(PhantomData<HashMap<K, V, S>>);

impl<'de, K, V, S> Visitor<'de> for Entries<K, V, S>
where
    K: Deserialize<'de> + Eq + Hash,
    V: Deserialize<'de>,
    S: BuildHasher + Default,
{
    type Value = HashMap<K, V, S>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Self::Value, A::Error> {
        let mut map = HashMap::default();
        let ahead = from.size_hint().unwrap_or(0).min(AHEAD / size_of::<(K, V)>().max(1));
        // Where there is not so much memory, it is asked for as the map grows.
        let _ = map.try_reserve(ahead);
        while let Some((key, value)) = from.next_entry()? {
            map.insert(key, value);
        }
        Ok(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::value::{Error, MapDeserializer};

    /// One entry, said to be so many.
    struct Said(usize, std::option::IntoIter<(u64, u64)>);

    impl Iterator for Said {
        type Item = (u64, u64);

        fn next(&mut self) -> Option<(u64, u64)> {
            self.1.next()
        }

        fn size_hint(&self) -> (usize, Option<usize>) {
            (self.0, Some(self.0))
        }
    }

    fn read(said: usize) -> HashMap<u64, u64> {
        with_capacity(MapDeserializer::<_, Error>::new(Said(said, Some((1, 2)).into_iter()))).unwrap()
    }

    #[test]
    fn room_is_made_for_all_that_a_state_says_it_holds_up_to_a_bound() {
        let (some, too_many) = (read(100_000), read(usize::MAX));
        assert_eq!((some[&1], too_many[&1]), (2, 2));
        assert!(some.capacity() >= 100_000, "{}", some.capacity());
        assert!(too_many.capacity() <= 2 * (AHEAD / 16), "{}", too_many.capacity());
    }

    #[test]
    fn a_map_of_json_is_read_which_says_no_number() {
        #[derive(serde::Deserialize)]
        struct Sessions {
            #[serde(deserialize_with = "with_capacity")]
            by_name: HashMap<String, u64>,
        }
        let sessions: Sessions = serde_json::from_str(r#"{"by_name": {"a": 1}}"#).unwrap();
        assert_eq!(sessions.by_name["a"], 1);
        let refused = serde_json::from_str::<Sessions>(r#"{"by_name": [1]}"#).map(drop).unwrap_err();
        assert!(refused.to_string().contains("a map"), "{refused}");
    }
}
