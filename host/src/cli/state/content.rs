//! What opens state: the difference of two snapshots, and one of them as a file. Content is shown, or written in the clear, only to who
//! asks for it.

use std::io::{self, Write};
use std::path::Path;

use hotbay_state::{Opened, Sealer, Store, StoreError};
use serde::Serialize;
use serde_json::Value;

use super::{Offline, failed};
use crate::cli::failed::Otherwise as _;
use crate::cli::output::{Output, narrate, one_line};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::Code;

/// The difference of two snapshots.
#[derive(Debug, Serialize)]
struct Diff {
    service: String,
    from: u64,
    to: u64,
    schemas: (u32, u32),
    bytes: (u64, u64),
    equal: bool,
    /// Where they differ; of state that is no JSON, from which byte on.
    changes: Vec<Change>,
}

/// A place in the state, as a JSON pointer, and with `--plain` what is there.
#[derive(Debug, PartialEq, Serialize)]
struct Change {
    path: String,
    kind: &'static str,
    from: Option<Value>,
    to: Option<Value>,
}

pub(super) fn diff(
    at: &Offline,
    name: &str,
    from: Option<u64>,
    to: Option<u64>,
    plain: bool,
    out: &Output,
) -> anyhow::Result<()> {
    let (store, keys) = (at.store_of(name)?, at.keys()?);
    let new = match to {
        Some(sequence) => store.load_at(&keys, name, sequence).map_err(failed)?,
        None => newest(&store, &keys, name)?,
    };
    let from = from.map_or_else(|| before(&store, name, new.header.sequence), Ok)?;
    let old = store.load_at(&keys, name, from).map_err(failed)?;
    let mut changes = Vec::new();
    match (serde_json::from_slice(&old.plain), serde_json::from_slice(&new.plain)) {
        (Ok(old), Ok(new)) => compare("", &old, &new, &mut changes),
        _ if old.plain != new.plain => {
            let at = old.plain.iter().zip(new.plain.iter()).take_while(|(a, b)| a == b).count();
            changes.push(Change { path: format!("byte {at}"), kind: "changed", from: None, to: None });
        }
        _ => {}
    }
    if !plain {
        changes.iter_mut().for_each(|change| (change.from, change.to) = (None, None));
    }
    let diff = Diff {
        service: name.to_owned(),
        from,
        to: new.header.sequence,
        schemas: (old.header.schema, new.header.schema),
        bytes: (old.header.plain_len, new.header.plain_len),
        equal: old.plain == new.plain && old.header.schema == new.header.schema,
        changes,
    };
    if out.is_json() { out.json(&diff) } else { out.text(&screen(&diff)) }
}

pub(super) fn export(
    at: &Offline,
    name: &str,
    file: &Path,
    sequence: Option<u64>,
    plain: bool,
    out: &Output,
) -> anyhow::Result<()> {
    let (store, keys) = (at.store_of(name)?, at.keys()?);
    let open = || {
        let opener = store.open_at(&keys, name, sequence).map_err(failed)?;
        opener.ok_or_else(|| gone(name))
    };
    let mut opener = open()?;
    let header = opener.header().clone();
    let mut write = |out: &mut dyn Write| {
        if plain {
            return io::copy(&mut opener, out).map(drop);
        }
        let sealer = Sealer::new(keys.primary(), &header.stamp(), Some(header.plain_len), out);
        let mut sealer = sealer.map_err(io::Error::other)?;
        io::copy(&mut opener, &mut sealer)?;
        sealer.finish().map(drop).map_err(io::Error::other)
    };
    if file == Path::new("-") {
        // What was given out cannot be taken back: it is gone through once before.
        let path = store.path(name);
        open()?.finish().map_err(|source| failed(StoreError::Load { path, source }))?;
        return out.written(write);
    }
    if file.exists() {
        let message = format!("failed to write `{}`: it is there already; name another", file.display());
        return Err(Failure::new(Exit::Refused, Code::FileThere, message).into());
    }
    // Also what is sealed is opened: a file that cannot be is no copy to keep.
    hotbay_state::write_durably_by(file, std::time::Duration::ZERO, &mut write)
        .otherwise(Code::NotWritten, || format!("failed to write `{}`", file.display()))?;
    let how = if plain { "in the clear" } else { "sealed" };
    let told = format!(
        "{name}: snapshot {} is in `{}`, {how}, {} bytes",
        header.sequence,
        file.display(),
        std::fs::metadata(file).map_or(0, |file| file.len())
    );
    narrate(&one_line(&told));
    if out.is_json() { out.json(&header) } else { Ok(()) }
}

fn gone(name: &str) -> anyhow::Error {
    let message =
        format!("failed to find the newest snapshot of `{name}`: the file is gone, or was set aside");
    Failure::new(Exit::NotFound, Code::StateGone, message).into()
}

fn newest(store: &Store, keys: &hotbay_state::KeyRing, name: &str) -> anyhow::Result<Opened> {
    store.load(keys, name).map_err(failed)?.ok_or_else(|| gone(name))
}

/// The number of the snapshot before another one.
fn before(store: &Store, name: &str, sequence: u64) -> anyhow::Result<u64> {
    let older = store.older(name).map_err(failed)?;
    let mut before =
        older.iter().filter_map(|listed| listed.header.as_ref().ok()).map(|header| header.sequence);
    before.find(|other| *other < sequence).ok_or_else(|| {
        let message = format!("failed to compare: no snapshot of `{name}` before {sequence} is kept");
        Failure::new(Exit::NotFound, Code::NoSuchSnapshot, message).into()
    })
}

fn screen(diff: &Diff) -> String {
    let Diff { service, from, to, schemas, bytes, equal, changes } = diff;
    let mut lines = vec![format!(
        "{service}: snapshot {from} ({} bytes, schema {}) and {to} ({} bytes, schema {}) {}",
        bytes.0,
        schemas.0,
        bytes.1,
        schemas.1,
        if *equal { "are equal" } else { "differ" }
    )];
    let value = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
    lines.extend(changes.iter().map(|change| {
        let values = match (value(&change.from), value(&change.to)) {
            (None, None) => String::new(),
            (from, to) => format!(": {} → {}", from.unwrap_or("-".to_owned()), to.unwrap_or("-".to_owned())),
        };
        one_line(&format!("  {:<8}{}{values}", change.kind, change.path))
    }));
    // A line's blanks at its begin are no more than looks.
    lines.join("\n")
}

/// Every place in which two values differ, deep down.
fn compare(path: &str, old: &Value, new: &Value, changes: &mut Vec<Change>) {
    let mut change = |path: String, kind, from: Option<&Value>, to: Option<&Value>| {
        changes.push(Change { path, kind, from: from.cloned(), to: to.cloned() });
    };
    match (old, new) {
        (Value::Object(before), Value::Object(after)) => {
            let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
            keys.sort_unstable();
            keys.dedup();
            for key in keys {
                let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                match (before.get(key), after.get(key)) {
                    (Some(old), Some(new)) => compare(&path, old, new, changes),
                    (old, new) => {
                        let kind = if old.is_none() { "added" } else { "removed" };
                        changes.push(Change { path, kind, from: old.cloned(), to: new.cloned() });
                    }
                }
            }
        }
        (Value::Array(before), Value::Array(after)) if before.len() == after.len() => {
            for (at, (old, new)) in before.iter().zip(after).enumerate() {
                compare(&format!("{path}/{at}"), old, new, changes);
            }
        }
        (old, new) if old != new => {
            let path = if path.is_empty() { "/".to_owned() } else { path.to_owned() };
            change(path, "changed", Some(old), Some(new));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(old: &Value, new: &Value) -> Vec<String> {
        let mut changes = Vec::new();
        compare("", old, new, &mut changes);
        changes.iter().map(|change| format!("{} {}", change.kind, change.path)).collect()
    }

    #[test]
    fn each_place_that_differs_is_named_once() {
        let old = json!({"a": 1, "b": {"c": [1, 2], "d/e": true}, "gone": 0});
        let new = json!({"a": 1, "b": {"c": [1, 3], "d/e": false}, "new": 0});
        assert_eq!(paths(&old, &new), ["changed /b/c/1", "changed /b/d~1e", "removed /gone", "added /new"]);
        assert!(paths(&old, &old).is_empty());
        assert_eq!(paths(&json!(1), &json!(2)), ["changed /"]);
        assert_eq!(paths(&json!([1]), &json!([1, 2])), ["changed /"]);
    }
}
