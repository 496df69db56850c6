//! The process that is killed: it goes on from what it finds, saves, and says on stdout what is durable.

use std::io::Write as _;
use std::path::Path;

use hotbay_state::{Head, KeyRing, Stamp, Step, Store, StoreError};

pub(crate) const SERVICE: &str = "echo";
/// What must never be said.
pub(crate) const BROKEN: &str = "broken";
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
    #[cfg(feature = "fault-injection")]
    let _faults = fail::FailScenario::setup();
    // It dies again and again, on purpose.
    limit_to(Kind::Cores, 0);
    // There before the limit is: what is cut short is a snapshot.
    let limit = std::env::var("HOTBAY_LIMIT").ok().and_then(|limit| limit.parse().ok());
    let Ok(keys) = KeyRing::load(&folder.join("key")) else { return say("failed key") };
    let Ok(store) = Store::open(folder.join("state")) else { return say("failed open") };
    let store = store.keeping(3);
    let mut head = store.head(&keys).unwrap_or_else(|_| Head::default());
    let Ok(highest) = store.highest(&keys, SERVICE) else { return say("failed highest") };
    let Ok(found) = store.find(&keys, &head, SERVICE, || highest + 1) else { return say("failed find") };
    let Some(opened) = found.opened else { return say("failed find") };
    limit_files(limit);
    let first = highest.max(opened.header.sequence) + 1;
    for sequence in first..first + SAVES {
        // In both ways that there are, by turns: whole, and as a draft that becomes the snapshot.
        let saved = match sequence % 2 {
            0 => store.save(keys.primary(), &stamp(sequence), &state(sequence)).map(drop),
            _ => save_as_draft(&store, &keys, sequence),
        };
        match saved {
            Ok(()) => {
                say(&format!("durable {sequence}"));
                head.note(SERVICE, sequence);
            }
            Err(error) => {
                say(&format!("failed save {sequence}: {error}"));
                if std::env::var("HOTBAY_LIMIT_ONCE").is_ok_and(|once| once == "true") {
                    limit_files(Some(u64::MAX));
                }
            }
        }
    }
    match store.write_head(&keys, &head) {
        Ok(()) => say("head"),
        Err(_) => say("failed head"),
    }
}

fn save_as_draft(store: &Store, keys: &KeyRing, sequence: u64) -> Result<(), StoreError> {
    let mut drafting = store.draft(keys.primary(), &stamp(sequence))?;
    for piece in state(sequence).chunks(1000) {
        drafting.push(piece)?;
    }
    let draft = drafting.finish()?;
    let published = store.publish(&draft);
    let is_sync =
        |error: &StoreError| matches!(error, StoreError::Save { source, .. } if source.step == Step::Sync);
    // What could not be forced to the disk once is of no use any more, whatever the system says the second time.
    if published.as_ref().is_err_and(is_sync) && store.publish(&draft).is_ok() {
        say(&format!("{BROKEN}: {sequence} was published by a second sync"));
    }
    published
}

/// In one call of the system, unless that fails.
fn say(line: &str) {
    let _ = std::io::stdout().write_all(format!("{line}\n").as_bytes());
}

/// Lets no file become longer.
fn limit_files(limit: Option<u64>) {
    if let Some(limit) = limit {
        limit_to(Kind::Files, limit);
    }
}

enum Kind {
    Files,
    Cores,
}

#[cfg(unix)]
fn limit_to(kind: Kind, limit: u64) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let resource = match kind {
        Kind::Files => Resource::Fsize,
        Kind::Cores => Resource::Core,
    };
    let maximum = getrlimit(resource).maximum;
    let current = Some(limit).filter(|limit| *limit < u64::MAX).or(maximum);
    setrlimit(resource, Rlimit { current, maximum }).unwrap();
}

/// Windows has no such limits, and no walk asks for one there.
#[cfg(not(unix))]
fn limit_to(_: Kind, _: u64) {}
