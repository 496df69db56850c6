//! The process that is killed: it goes on from what it finds, saves, and says on stdout what is durable.

use std::io::Write as _;
use std::path::Path;

use hotbay_state::{Head, KeyRing, Stamp, Store};

pub(crate) const SERVICE: &str = "echo";
/// So many snapshots it saves.
pub(crate) const SAVES: u64 = 3;

pub(crate) fn stamp(sequence: u64) -> Stamp<'static> {
    Stamp { service: SERVICE, schema: 1, sequence, ..Stamp::default() }
}

/// The state that a snapshot of this number holds: its own number, again and again, so that a mixture shows.
pub(crate) fn state(sequence: u64) -> Vec<u8> {
    format!("{sequence};").repeat(2000).into_bytes()
}

pub(crate) fn write(folder: &Path) {
    let Ok(keys) = KeyRing::load(&folder.join("key")) else { return say("failed key") };
    let Ok(store) = Store::open(folder.join("state")) else { return say("failed open") };
    let store = store.keeping(3);
    let mut head = store.head(&keys).unwrap_or_else(|_| Head::default());
    let Ok(highest) = store.highest(SERVICE) else { return say("failed highest") };
    let Ok(found) = store.find(&keys, &head, SERVICE, || highest + 1) else { return say("failed find") };
    let Some(opened) = found.opened else { return say("failed find") };
    let first = highest.max(opened.header.sequence) + 1;
    for sequence in first..first + SAVES {
        match store.save(keys.primary(), &stamp(sequence), &state(sequence)) {
            Ok(_) => {
                say(&format!("durable {sequence}"));
                head.note(SERVICE, sequence);
            }
            Err(error) => say(&format!("failed save {sequence}: {error}")),
        }
    }
    match store.write_head(&keys, &head) {
        Ok(()) => say("head"),
        Err(_) => say("failed head"),
    }
}

/// In one call of the system, unless that fails.
fn say(line: &str) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}
