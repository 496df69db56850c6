//! The stream `watch`: the entries whose keys begin with what it is opened with, and then each change of them.
//!
//! The first item is `{"entries": 2}`, and so many follow, each as `{"key": "a", "value": 1}`; then, for as long as the stream is open, such a
//! one for each key that was set, with its newest value, or `{"key": "a", "deleted": true}`. A key that changes while it was not told yet is told
//! once: a watcher that is slow misses versions of values, and takes no memory for them. In the next version of this plugin it begins anew.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hotbay_plugin_api::Notifier;
use hotbay_plugin_api::prelude::*;
use hotbay_plugin_api::serde_json::json;

use super::Kv;

/// It is told of changes, and of its end: no wait needs an end of its own.
const LONG: Duration = Duration::from_secs(3600);

/// Those who watch now.
#[derive(Default)]
pub(crate) struct Watchers(Mutex<Inside>);

#[derive(Default)]
struct Inside {
    count: u64,
    all: BTreeMap<u64, Watcher>,
}

struct Watcher {
    prefix: String,
    // Keys that changed and were not told yet.
    changed: BTreeSet<String>,
    notifier: Notifier,
}

/// One of them; it watches until this is dropped.
struct Watching<'a> {
    watchers: &'a Watchers,
    number: u64,
}

impl Watchers {
    /// These keys changed.
    pub(crate) fn changed(&self, keys: &[String]) {
        for watcher in self.inside().all.values_mut() {
            let own = keys.iter().filter(|key| key.starts_with(&watcher.prefix));
            let before = watcher.changed.len();
            watcher.changed.extend(own.cloned());
            if watcher.changed.len() > before {
                watcher.notifier.notify();
            }
        }
    }

    fn enter(&self, prefix: &str, notifier: Notifier) -> Watching<'_> {
        let mut inside = self.inside();
        inside.count += 1;
        let number = inside.count;
        let watcher = Watcher { prefix: prefix.to_owned(), changed: BTreeSet::new(), notifier };
        inside.all.insert(number, watcher);
        Watching { watchers: self, number }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watching<'_> {
    fn take(&self) -> BTreeSet<String> {
        let mut inside = self.watchers.inside();
        inside.all.get_mut(&self.number).map(|own| std::mem::take(&mut own.changed)).unwrap_or_default()
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        self.watchers.inside().all.remove(&self.number);
    }
}

impl Kv {
    pub(crate) fn watch(&self, prefix: &str, stream: &Stream) -> Result<()> {
        // First of all: what changes from here on is told.
        let watching = self.watchers.enter(prefix, stream.notifier());
        let keys: Vec<String> = {
            let state = self.state.read();
            let from = state.by_key.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
            from.map(|(key, _)| key.clone()).take_while(|key| key.starts_with(prefix)).collect()
        };
        stream.send_json(&json!({ "entries": keys.len() }))?;
        for key in keys {
            self.tell(&key, stream)?;
        }
        loop {
            for key in watching.take() {
                self.tell(&key, stream)?;
            }
            stream.wait(LONG)?;
        }
    }

    /// Not with the state locked: a watcher may be slow.
    fn tell(&self, key: &str, stream: &Stream) -> Result<()> {
        let text = self.state.read().by_key.get(key).cloned();
        match text {
            Some(text) => stream.send(format!("{{\"key\":{},\"value\":{text}}}", json!(key)).as_bytes()),
            None => stream.send_json(&json!({ "key": key, "deleted": true })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_plugin_api::testkit::{TestHost, TestStream};

    fn next(stream: &TestStream) -> String {
        String::from_utf8(stream.next().unwrap().unwrap()).unwrap()
    }

    #[test]
    fn a_watcher_is_told_what_there_is_and_then_what_changes_below_its_prefix() {
        let kv = TestHost::new().start::<Kv>().unwrap();
        kv.call("set", br#"{"a/x": 1, "a/y": "two", "b": 3}"#).unwrap();
        let watch = kv.open_stream("watch", b"a/").unwrap();
        assert_eq!(next(&watch), r#"{"entries":2}"#);
        assert_eq!(
            [next(&watch), next(&watch)],
            [r#"{"key":"a/x","value":1}"#, r#"{"key":"a/y","value":"two"}"#]
        );
        kv.call("set", br#"{"b": 4}"#).unwrap();
        kv.call("set", br#"{"a/z": null}"#).unwrap();
        assert_eq!(next(&watch), r#"{"key":"a/z","value":null}"#);
        kv.call("delete", b"a/x").unwrap();
        assert_eq!(next(&watch), r#"{"deleted":true,"key":"a/x"}"#);
    }

    #[test]
    fn a_watcher_that_is_slow_gets_the_newest_value_of_each_key_and_holds_up_nobody() {
        let kv = TestHost::new().start::<Kv>().unwrap();
        let watch = kv.open_stream("watch", b"").unwrap();
        assert_eq!(next(&watch), r#"{"entries":0}"#);
        for number in 0..5_000 {
            kv.call("set", format!(r#"{{"a": {number}}}"#).as_bytes()).unwrap();
        }
        let last = r#"{"key":"a","value":4999}"#;
        let told = (1..=5_000).find(|_| next(&watch) == last).expect("the last one is told");
        assert!(told <= 5_000, "{told}");
    }

    #[test]
    fn a_watcher_goes_on_in_the_next_version_with_what_there_is_then() {
        let kv = TestHost::new().start::<Kv>().unwrap();
        kv.call("set", br#"{"a": 1}"#).unwrap();
        let watch = kv.open_stream("watch", b"").unwrap();
        assert_eq!([next(&watch), next(&watch)], [r#"{"entries":1}"#, r#"{"key":"a","value":1}"#]);
        let left = watch.move_on().unwrap();
        let next_version = TestHost::new().resume::<Kv>(Kv::SCHEMA, &kv.export().unwrap()).unwrap();
        let watch = next_version.resume_stream("watch", b"", left).unwrap();
        assert_eq!([next(&watch), next(&watch)], [r#"{"entries":1}"#, r#"{"key":"a","value":1}"#]);
    }
}
