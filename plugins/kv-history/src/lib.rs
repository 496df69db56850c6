//! The service `kv` by another store: it answers the same interface (`set`, `find`, `delete`, `list`), and remembers with each key what it
//! was before. Who uses `Context::kv` hears nothing of the exchange.
//!
//! Nothing but the state's schema ties it to the store before: it writes schema 2, as JSON, takes schema 1 of the plugin `kv`, which is
//! MessagePack, and goes back to it, without what it remembers. So either may replace the other while both are used.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use hotbay_plugin_api::prelude::*;
use hotbay_plugin_api::serde_json::{Map, Value};

/// Values before the last one that are remembered.
const REMEMBERED: usize = 8;

/// Schema 2: of each key what it is, or that it was deleted, and what it was, the newest first.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Entries {
    by_key: BTreeMap<String, Entry>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Entry {
    /// JSON text.
    value: Option<String>,
    before: VecDeque<String>,
}

impl Entry {
    fn becomes(&mut self, value: Option<String>) {
        let Some(last) = std::mem::replace(&mut self.value, value) else { return };
        self.before.push_front(last);
        self.before.truncate(REMEMBERED);
    }
}

struct Kv {
    state: State<Entries>,
}

impl Kv {
    /// Sets every member of a JSON object, all or none; answers how many.
    fn set(&self, members: Map<String, Value>) -> usize {
        let mut state = self.state.write();
        let count = members.len();
        for (key, value) in members {
            state.by_key.entry(key).or_default().becomes(Some(value.to_string()));
        }
        count
    }

    fn find(&self, key: &str, reply: &mut Reply<'_>) -> Result<bool> {
        let state = self.state.read();
        let Some(text) = state.by_key.get(key).and_then(|entry| entry.value.as_ref()) else {
            return Ok(false);
        };
        reply.write(text.as_bytes())?;
        Ok(true)
    }

    /// Whether it was there.
    fn delete(&self, key: &str) -> bool {
        let is_there = self.state.read().by_key.get(key).is_some_and(|entry| entry.value.is_some());
        if is_there && let Some(entry) = self.state.write().by_key.get_mut(key) {
            entry.becomes(None);
        }
        is_there
    }

    /// The keys that begin with this, in their order.
    fn list(&self, prefix: &str, reply: &mut Reply<'_>) -> Result<()> {
        let state = self.state.read();
        let from = state.by_key.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let here = from.take_while(|(key, _)| key.starts_with(prefix));
        reply.json(&here.filter(|(_, entry)| entry.value.is_some()).map(|(key, _)| key).collect::<Vec<_>>())
    }

    /// What a key was before, the newest first: what this store is for.
    fn history(&self, key: &str, reply: &mut Reply<'_>) -> Result<()> {
        let state = self.state.read();
        let before = state.by_key.get(key).into_iter().flat_map(|entry| &entry.before);
        let before: Vec<&str> = before.map(String::as_str).collect();
        reply.write(format!("[{}]", before.join(",")).as_bytes())
    }
}

impl Plugin for Kv {
    fn create(_: Context) -> Result<Self> {
        Ok(Self { state: State::default() })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "set" => reply.json(&self.set(request.json()?)),
            "find" => self.find(request.text()?, reply).map(drop),
            "get" => match self.find(request.text()?, reply)? {
                true => Ok(()),
                false => Err(Error::msg(format_args!("get `{}`: there is no such key", request.text()?))),
            },
            "delete" => reply.json(&self.delete(request.text()?)),
            "list" => self.list(request.text()?, reply),
            "history" => self.history(request.text()?, reply),
            _ => Err(request.unknown_method()),
        }
    }
}

impl Stateful for Kv {
    type State = Entries;
    const SCHEMA: u32 = 2;
    const STEPS: &'static [Step] =
        &[Step::new::<MessagePack<Schema1>, Entries>(1, 2), Step::new::<Entries, MessagePack<Schema1>>(2, 1)];

    fn state(&self) -> &State<Entries> {
        &self.state
    }
}

/// Schema 1, as the plugin `kv` writes it.
#[derive(Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Schema1 {
    by_key: BTreeMap<String, String>,
}

impl From<MessagePack<Schema1>> for Entries {
    fn from(MessagePack(old): MessagePack<Schema1>) -> Self {
        let entry = |text| Entry { value: Some(text), before: VecDeque::new() };
        Self { by_key: old.by_key.into_iter().map(|(key, text)| (key, entry(text))).collect() }
    }
}

/// What was before is lost on the way back; what is, is not.
impl From<Entries> for MessagePack<Schema1> {
    fn from(newer: Entries) -> Self {
        let value = |(key, entry): (String, Entry)| Some((key, entry.value?));
        MessagePack(Schema1 { by_key: newer.by_key.into_iter().filter_map(value).collect() })
    }
}

export_plugin!(Kv: Stateful { name: "kv", methods: &["set", "find", "get", "delete", "list", "history"] });

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_plugin_api::testkit::TestHost;

    #[test]
    fn it_answers_the_interface_of_a_store_and_remembers_what_was() {
        let kv = TestHost::new().start::<Kv>().unwrap();
        assert_eq!(kv.call("set", br#"{"a/x": 1, "a/y": "two", "b": null}"#).unwrap(), b"3");
        kv.call("set", br#"{"a/x": 2}"#).unwrap();
        assert_eq!(kv.call("find", b"a/x").unwrap(), b"2");
        assert_eq!(kv.call("find", b"c").unwrap(), b"");
        assert_eq!(kv.call("list", b"a/").unwrap(), br#"["a/x","a/y"]"#);
        assert_eq!(kv.call("delete", b"a/x").unwrap(), b"true");
        assert_eq!(kv.call("delete", b"a/x").unwrap(), b"false");
        assert_eq!(kv.call("list", b"a/").unwrap(), br#"["a/y"]"#);
        assert_eq!(kv.call("history", b"a/x").unwrap(), b"[2,1]");
        assert_eq!(kv.call("get", b"a/x").unwrap_err().message(), "get `a/x`: there is no such key");
    }

    #[test]
    fn state_goes_to_the_store_before_and_comes_from_there() {
        let kv = TestHost::new().start::<Kv>().unwrap();
        kv.call("set", br#"{"a": 1, "b": 2}"#).unwrap();
        kv.call("set", br#"{"a": 3}"#).unwrap();
        kv.call("delete", b"b").unwrap();
        let schema_1 = kv.export_as(1).unwrap();
        let next = TestHost::new().resume::<Kv>(1, &schema_1).unwrap();
        assert_eq!(next.call("find", b"a").unwrap(), b"3");
        assert_eq!(next.call("list", b"").unwrap(), br#"["a"]"#);
        assert_eq!(next.call("history", b"a").unwrap(), b"[]");
    }
}
