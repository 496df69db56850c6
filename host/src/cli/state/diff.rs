//! The difference of two snapshots. Content is shown only to who asks for it.

use std::fs::File;
use std::io::{self, Read};

use hotbay_state::{HELD, OpenError, Opener, Store};
use serde::Serialize;
use serde_json::Value;

use super::content::gone;
use super::{Offline, failed};
use crate::cli::output::{Output, one_line};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::{Code, Coded, chain};
use crate::start::Plain;

/// The difference of two snapshots.
#[derive(Debug, Serialize)]
struct Diff {
    service: String,
    from: u64,
    to: u64,
    schemas: (u32, u32),
    bytes: (u64, u64),
    equal: bool,
    /// Where they differ; of state that is no JSON, or too long to be held, from which byte on.
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
    let open = |sequence| {
        let opener = store.open_at(&keys, name, sequence).map_err(failed)?;
        opener.ok_or_else(|| gone(name))
    };
    let new = open(to)?;
    let from = from.map_or_else(|| before(&store, name, new.header().sequence), Ok)?;
    let old = open(Some(from))?;
    let headers = (old.header().clone(), new.header().clone());
    let (mut changes, first) = differences(old, new).map_err(|error| {
        let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<OpenError>());
        let code = cause.map_or(Code::StateUnread, Coded::code);
        let what = format!("failed to compare snapshots {from} and {} of `{name}`", headers.1.sequence);
        Failure::new(Exit::Failed, code, format!("{what}: {}", chain(&error)))
    })?;
    if !plain {
        changes.iter_mut().for_each(|change| (change.from, change.to) = (None, None));
    }
    let diff = Diff {
        service: name.to_owned(),
        from,
        to: headers.1.sequence,
        schemas: (headers.0.schema, headers.1.schema),
        bytes: (headers.0.plain_len, headers.1.plain_len),
        equal: first.is_none() && headers.0.schema == headers.1.schema,
        changes,
    };
    if out.is_json() { out.json(&diff) } else { out.text(&screen(&diff)) }
}

/// What is compared at once.
const PIECE: usize = 64 << 10;

/// Where two states differ, and from which byte on. Up to what is held they are read whole and looked into; beyond that they are compared
/// piece by piece.
fn differences(old: Opener<File>, new: Opener<File>) -> io::Result<(Vec<Change>, Option<u64>)> {
    let is_held = |opener: &Opener<File>| opener.header().plain_len <= HELD;
    let mut changes = Vec::new();
    let first = if is_held(&old) && is_held(&new) {
        let (old, new) = (whole(old)?, whole(new)?);
        if let (Ok(old), Ok(new)) = (serde_json::from_slice(&old), serde_json::from_slice(&new)) {
            compare("", &old, &new, &mut changes);
        }
        first_difference(&old[..], &new[..])?
    } else {
        first_difference(old, new)?
    };
    if let Some(at) = first.filter(|_| changes.is_empty()) {
        changes.push(Change { path: format!("byte {at}"), kind: "changed", from: None, to: None });
    }
    Ok((changes, first))
}

fn whole(mut opener: Opener<File>) -> io::Result<Plain> {
    let mut plain = Plain::default();
    opener.read_to_end(&mut plain)?;
    Ok(plain)
}

/// The first byte in which two states differ. Both are read to their ends, where a damaged one is found to be so.
fn first_difference(mut old: impl Read, mut new: impl Read) -> io::Result<Option<u64>> {
    let (mut a, mut b) = (Plain::new(vec![0; PIECE]), Plain::new(vec![0; PIECE]));
    let (mut at, mut first) = (0, None);
    loop {
        let (before, after) = (fill(&mut old, &mut a)?, fill(&mut new, &mut b)?);
        let most = before.max(after);
        if most == 0 {
            return Ok(first);
        }
        let same = a[..before].iter().zip(&b[..after]).take_while(|(old, new)| old == new).count();
        if same < most {
            first = first.or(Some(at + same as u64));
        }
        at += most as u64;
    }
}

/// Reads until the buffer is full or the reader ends; how much is in it.
fn fill(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match from.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
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
        // A pointer into JSON begins with a slash. What is no JSON has a first byte that differs, and what follows is not compared.
        let from = if change.path.starts_with("byte ") {
            format!("from {} on", change.path)
        } else {
            change.path.clone()
        };
        one_line(&format!("  {:<8}{from}{values}", change.kind))
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
    fn the_first_byte_that_differs_is_found_in_any_piece_and_an_end_is_a_difference() {
        let long: Vec<u8> = (0..=250).cycle().take(3 * PIECE + 7).collect();
        let first = |other: &[u8]| first_difference(&long[..], other).unwrap();
        assert_eq!(first(&long), None);
        for at in [0, PIECE - 1, PIECE, 2 * PIECE + 5, long.len() - 1] {
            let mut other = long.clone();
            other[at] ^= 1;
            // Another one behind it changes nothing.
            *other.last_mut().unwrap() ^= 2;
            assert_eq!(first(&other), Some(at as u64));
            assert_eq!(first(&long[..at]), Some(at as u64));
        }
        assert_eq!(first_difference(&b""[..], &b""[..]).unwrap(), None);
        assert_eq!(first_difference(&b""[..], &b"a"[..]).unwrap(), Some(0));
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
