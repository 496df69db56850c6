use hotbay_state::{Key, Stamp};

use super::*;
use crate::kernel::snapshots::Snapshots;

fn key(byte: u8) -> Key {
    Key::new(&[byte; 32]).unwrap()
}

/// A home folder, its snapshots, sealed with the first key, and what is kept there.
fn home() -> (tempfile::TempDir, Snapshots, Good) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path().join("state")).unwrap();
    let snapshots = Snapshots::new(key(1).into(), store);
    let good = Good::open(home.path()).unwrap();
    (home, snapshots, good)
}

fn capsule(snapshots: &Snapshots, state: &[u8]) -> Capsule {
    let (keys, sequence) = (snapshots.keys(), snapshots.next_sequence("echo"));
    let stamp = Stamp { service: "echo", schema: 1, sequence, ..Stamp::default() };
    let sealed = Sealed::Held(hotbay_state::seal(keys.primary(), &stamp, state).unwrap());
    Capsule { sealed, keys, schema: 1, sequence, plain_len: state.len() as u64, digest: None }
}

#[test]
fn a_state_that_is_kept_after_its_key_was_retired_is_sealed_with_the_new_one() {
    let (_home, snapshots, good) = home();
    // A swap carried it, and its snapshot is on the disk; then, before it is kept, the keys are rotated, and the old one is retired.
    let carried = capsule(&snapshots, b"of the swap");
    snapshots.save_capsule("echo", &carried).unwrap();
    snapshots.exchange_keys(snapshots.keys().rotated(key(2)).unwrap());
    snapshots.reseal(|_| ()).unwrap();
    let old = key(1).id();
    assert!(snapshots.needs(old).unwrap().is_empty() && good.needs(old).unwrap().is_empty());
    snapshots.exchange_keys(key(2).into());

    let keep = |state: &Capsule| good.keep_state("echo", Some(state));
    snapshots.keep_beside("echo", &carried, keep).unwrap();
    assert!(good.needs(old).unwrap().is_empty());
    let kept = good.state(&snapshots.keys(), "echo").expect("it opens without the old key");
    assert_eq!((kept.sequence, kept.plain_len), (carried.sequence, carried.plain_len));
}

#[test]
fn a_state_whose_key_seals_still_is_kept_as_another_name_of_its_snapshot() {
    let (_home, snapshots, good) = home();
    let carried = capsule(&snapshots, b"of the swap");
    snapshots.save_capsule("echo", &carried).unwrap();
    snapshots.keep_beside("echo", &carried, |state| good.keep_state("echo", Some(state))).unwrap();
    let (snapshot, kept) = (snapshots.store().path("echo"), good.states.path("echo"));
    assert_eq!(fs::read(snapshot).unwrap(), fs::read(kept).unwrap());
}
