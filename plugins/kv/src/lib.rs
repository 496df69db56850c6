//! The service `kv`: string keys to JSON values, any number of them, kept over each swap and restart.
//!
//! It answers the kv interface of `Context::kv`, `set`, `find`, `delete` and `list`, and three methods more. The stream `watch` tells of changes.
//!
//! Values are kept as their JSON text, and the state is written as MessagePack, which copies such text as it is.

#![forbid(unsafe_code)]

mod watch;

use std::collections::BTreeMap;
use std::ops::Bound;

use hotbay_plugin_api::prelude::*;
use hotbay_plugin_api::serde_json::{Map, Value};

use watch::Watchers;

/// Schema 1.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Entries {
    /// The JSON text of each value.
    by_key: BTreeMap<String, String>,
}

struct Kv {
    state: State<MessagePack<Entries>>,
    watchers: Watchers,
}

impl Kv {
    /// Sets every member of a JSON object, all or none; answers how many.
    fn set(&self, members: Map<String, Value>) -> usize {
        let texts: Vec<_> = members.into_iter().map(|(key, value)| (key, value.to_string())).collect();
        let keys: Vec<String> = texts.iter().map(|(key, _)| key.clone()).collect();
        self.state.write().by_key.extend(texts);
        self.watchers.changed(&keys);
        keys.len()
    }

    fn get(&self, key: &str, reply: &mut Reply<'_>) -> Result<()> {
        match self.state.read().by_key.get(key) {
            Some(text) => reply.write(text.as_bytes()),
            None => Err(Error::msg(format_args!("get `{key}`: there is no such key"))),
        }
    }

    /// The same; nothing where there is no such key.
    fn find(&self, key: &str, reply: &mut Reply<'_>) -> Result<()> {
        self.state.read().by_key.get(key).map_or(Ok(()), |text| reply.write(text.as_bytes()))
    }

    /// Whether it was there.
    fn delete(&self, key: &str) -> bool {
        // Not a change, where there is nothing to delete.
        let is_there = self.state.read().by_key.contains_key(key);
        let is_deleted = is_there && self.state.write().by_key.remove(key).is_some();
        if is_deleted {
            self.watchers.changed(&[key.to_owned()]);
        }
        is_deleted
    }

    /// The keys that begin with this, in their order.
    fn list(&self, prefix: &str, reply: &mut Reply<'_>) -> Result<()> {
        let state = self.state.read();
        let from = state.by_key.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let from = from.map(|(key, _)| key);
        reply.json(&from.take_while(|key| key.starts_with(prefix)).collect::<Vec<_>>())
    }

    /// Sets keys below `fill/`, which nobody is told of, until their values are of so many bytes of text; answers how many keys.
    fn fill(&self, bytes: usize) -> Result<usize> {
        const VALUE: usize = 1024;
        const MAX: usize = 1 << 30;
        if bytes > MAX {
            return Err(Error::msg(format_args!("fill with {bytes} bytes: {MAX} is the most")));
        }
        let mut state = self.state.write();
        let (mut left, mut keys) = (bytes, 0);
        while left > 0 {
            let len = left.min(VALUE);
            // A JSON string of text that is not the same everywhere.
            let mut text = "\"".to_owned() + &keys.to_string().repeat(len);
            text.truncate(len.max(2) - 1);
            text.push('"');
            state.by_key.insert(format!("fill/{keys:09}"), text);
            left -= len;
            keys += 1;
        }
        Ok(keys)
    }
}

impl Plugin for Kv {
    fn create(_: Context) -> Result<Self> {
        Ok(Self { state: State::default(), watchers: Watchers::default() })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "set" => reply.json(&self.set(request.json()?)),
            "get" => self.get(request.text()?, reply),
            "find" => self.find(request.text()?, reply),
            "delete" => reply.json(&self.delete(request.text()?)),
            "list" => self.list(request.text()?, reply),
            "count" => reply.json(&self.state.read().by_key.len()),
            "fill" => reply.json(&self.fill(request.json()?)?),
            _ => Err(request.unknown_method()),
        }
    }

    fn on_stream(&self, request: Request<'_>, stream: &Stream) -> Result<()> {
        self.watch(request.text()?, stream)
    }
}

impl Stateful for Kv {
    type State = MessagePack<Entries>;

    fn state(&self) -> &State<MessagePack<Entries>> {
        &self.state
    }
}

export_plugin!(Kv: Stateful {
    name: "kv",
    methods: &["set", "get", "find", "delete", "list", "count", "fill"],
    streams: &["watch"],
    resumable: &["watch"],
});

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_plugin_api::testkit::{Running, TestHost};

    fn kv() -> Running<Kv> {
        TestHost::new().start::<Kv>().unwrap()
    }

    #[test]
    fn what_is_set_is_there_until_it_is_deleted() {
        let kv = kv();
        assert_eq!(kv.call("set", br#"{"a/x": {"deep": [1, null]}, "a/y": "text", "b": 7}"#).unwrap(), b"3");
        assert_eq!(kv.call("get", b"a/x").unwrap(), br#"{"deep":[1,null]}"#);
        assert_eq!(kv.call("list", b"a/").unwrap(), br#"["a/x","a/y"]"#);
        assert_eq!(kv.call("list", b"").unwrap(), br#"["a/x","a/y","b"]"#);
        assert_eq!(kv.call("find", b"b").unwrap(), b"7");
        assert_eq!(kv.call("delete", b"a/x").unwrap(), b"true");
        assert_eq!(kv.call("find", b"a/x").unwrap(), b"");
        assert_eq!(kv.call("delete", b"a/x").unwrap(), b"false");
        assert_eq!(kv.call("get", b"a/x").unwrap_err().message(), "get `a/x`: there is no such key");
        assert_eq!(kv.call("count", b"").unwrap(), b"2");
    }

    #[test]
    fn a_request_that_is_no_object_changes_nothing() {
        let kv = kv();
        for wrong in [&b"7"[..], b"[1]", br#"{"a": 1, "b": }"#] {
            kv.call("set", wrong).unwrap_err();
        }
        assert_eq!(kv.call("count", b"").unwrap(), b"0");
        assert_eq!(kv.changes().unwrap(), 0);
    }

    #[test]
    fn what_only_looks_is_no_change() {
        let kv = kv();
        kv.call("set", br#"{"a": 1}"#).unwrap();
        let changes = kv.changes().unwrap();
        for (method, request) in [("get", "a"), ("list", ""), ("count", ""), ("delete", "b")] {
            kv.call(method, request.as_bytes()).unwrap();
        }
        assert_eq!(kv.changes().unwrap(), changes);
        kv.call("delete", b"a").unwrap();
        assert_ne!(kv.changes().unwrap(), changes);
    }

    #[test]
    fn a_large_state_goes_on_through_a_small_window() {
        const BYTES: usize = 3 << 20;
        let kv = kv();
        assert_eq!(kv.call("fill", BYTES.to_string().as_bytes()).unwrap(), b"3072");
        let mut pieces = std::collections::VecDeque::new();
        let take = |piece: &[u8]| {
            pieces.push_back(piece.to_vec());
            true
        };
        kv.export_through(256 << 10, take).unwrap();
        let bytes: usize = pieces.iter().map(Vec::len).sum();
        assert!(bytes > BYTES && pieces.len() > 8, "{bytes} in {}", pieces.len());
        let give = |piece: &mut Vec<u8>| {
            *piece = pieces.pop_front().unwrap_or_default();
            true
        };
        let next = TestHost::new().resume_from::<Kv>(Kv::SCHEMA, give).unwrap();
        for (method, request) in [("count", ""), ("get", "fill/000000041"), ("list", "fill/00000304")] {
            let call = |kv: &Running<Kv>| kv.call(method, request.as_bytes()).unwrap();
            assert_eq!(call(&next), call(&kv), "{method}");
        }
    }
}
