use hotbay_state::{Key, Stamp};

use super::*;
use crate::PlainState;

fn key(byte: u8) -> Key {
    Key::new(&[byte; 32]).unwrap()
}

fn snapshots(home: &std::path::Path) -> Snapshots {
    Snapshots::new(key(1).into(), Store::open(home.join("state")).unwrap())
}

fn capsule(snapshots: &Snapshots, state: &[u8]) -> Capsule {
    let sequence = snapshots.next_sequence("echo");
    let stamp = Stamp { service: "echo", schema: 1, sequence, ..Stamp::default() };
    let sealed = hotbay_state::seal(snapshots.keys().primary(), &stamp, state).unwrap();
    let (keys, plain_len) = (snapshots.keys(), state.len() as u64);
    Capsule {
        sealed: Sealed::Held(sealed),
        keys,
        schema: 1,
        sequence,
        plain_len,
        digest: Some(blake3::hash(state)),
    }
}

fn newest(snapshots: &Snapshots) -> (u64, Vec<u8>) {
    let stored = snapshots.load("echo").unwrap().unwrap();
    let Incoming::Held(plain) = stored.state else { panic!("{stored:?}") };
    (stored.header.sequence, plain.to_vec())
}

#[test]
fn an_earlier_state_that_is_put_back_gets_a_number_above_all_others() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    let earlier = capsule(&snapshots, b"earlier");
    for state in [&b"one"[..], b"two"] {
        snapshots.save_capsule("echo", &capsule(&snapshots, state)).unwrap();
    }
    let (aside, sequence) = snapshots.put_back("echo", &earlier).unwrap();
    assert!(aside.is_some_and(|path| path.exists()));
    assert_eq!(newest(&snapshots), (sequence, b"earlier".to_vec()));
    assert_eq!(sequence, 4);
    snapshots.keep_head(true);
    // So the next run takes it for what it is, the newest.
    assert_eq!(newest(&self::snapshots(home.path())).0, 4);
}

#[test]
fn a_capsule_that_was_sealed_before_the_keys_were_rotated_is_written_with_the_new_one() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    let old = key(1).id();
    snapshots.save_capsule("echo", &capsule(&snapshots, b"one")).unwrap();
    let under_way = capsule(&snapshots, b"two");
    snapshots.exchange_keys(snapshots.keys().rotated(key(2)).unwrap());
    assert!(snapshots.is_to_be_resealed());
    let progress = snapshots.reseal(|_| ()).unwrap();
    assert!(progress.resealed > 0 && progress.failed.is_empty(), "{progress:?}");
    assert!(!snapshots.is_to_be_resealed());
    snapshots.save_capsule("echo", &under_way).unwrap();
    assert!(snapshots.needs(old).unwrap().is_empty());
    snapshots.exchange_keys(key(2).into());
    assert_eq!(newest(&snapshots), (2, b"two".to_vec()));
}

#[test]
fn head_is_written_when_it_is_due_and_not_with_each_snapshot() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    let head = home.path().join("state").join("HEAD");
    snapshots.save_capsule("echo", &capsule(&snapshots, b"one")).unwrap();
    snapshots.keep_head(false);
    assert!(!head.exists());
    snapshots.keep_head(true);
    let written = std::fs::read(&head).unwrap();
    std::fs::remove_file(&head).unwrap();
    snapshots.keep_head(true);
    assert!(!head.exists(), "nothing is news");
    std::fs::write(&head, written).unwrap();
    // What is set aside on purpose is noted before it is.
    snapshots.set_aside("echo").unwrap();
    assert!(self::snapshots(home.path()).load("echo").unwrap().is_none());
}

#[test]
fn a_head_of_another_key_keeps_no_service_from_its_state_and_is_kept() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    snapshots.save_capsule("echo", &capsule(&snapshots, b"one")).unwrap();
    snapshots.keep_head(true);
    let folder = home.path().join("state");
    let stranger = Snapshots::new(key(9).into(), Store::open(&folder).unwrap());
    assert!(is_unreadable(&stranger.load("echo").unwrap_err()));
    stranger.keep_head(true);
    let asides = || {
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("HEAD.aside-")).count()
    };
    assert_eq!(asides(), 0, "nothing moves while nothing is written");
    stranger.set_aside("echo").unwrap();
    stranger.save_capsule("echo", &capsule(&stranger, b"anew")).unwrap();
    stranger.keep_head(true);
    assert_eq!(asides(), 1);
    assert_eq!(newest(&stranger).1, b"anew");
}

#[test]
fn what_was_the_newest_before_a_restore_or_an_import_is_kept_however_few_are() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("state");
    let asides = || {
        let names = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with("echo.state.aside-")).count()
    };
    let snapshots = Snapshots::new(key(1).into(), Store::open(&folder).unwrap().keeping(2));
    for state in [&b"one"[..], b"two"] {
        snapshots.save_capsule("echo", &capsule(&snapshots, state)).unwrap();
    }
    let restored = snapshots.restore("echo", 1).unwrap();
    assert_eq!((restored.sequence, asides()), (3, 1));
    let plain = PlainState { schema: 1, version: "1.0.0".to_owned() };
    snapshots.import("echo", &mut &b"plain"[..], Some(&plain), 5).unwrap();
    assert_eq!(asides(), 2);
    assert!(snapshots.import("echo", &mut &b"no capsule"[..], None, 5).is_err());
    assert!(snapshots.restore("echo", 99).is_err());
    let too_large = snapshots.import("echo", &mut &b"plain!"[..], Some(&plain), 5).unwrap_err();
    assert!(matches!(too_large, ImportError::TooLarge { max: 5 }));
    assert_eq!(asides(), 2, "nothing is kept for what is not done");
    assert_eq!(newest(&snapshots), (4, b"plain".to_vec()));
}

#[test]
fn no_number_is_given_twice() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    let mut all: Vec<u64> = std::thread::scope(|scope| {
        let takers: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..100).map(|_| snapshots.next_sequence("echo")).collect::<Vec<_>>()))
            .collect();
        takers.into_iter().flat_map(|taker| taker.join().unwrap()).collect()
    });
    all.sort_unstable();
    assert_eq!(all, (1..=800).collect::<Vec<u64>>());
}

#[test]
fn what_is_on_the_disk_after_a_write_that_failed_is_not_assumed() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    snapshots.save_capsule("echo", &capsule(&snapshots, b"one")).unwrap();
    let next = capsule(&snapshots, b"two");
    let written = || snapshots.lock().get("echo").and_then(|last| last.written);
    assert!(written().is_some());
    snapshots
        .save_capsule("echo", &Capsule { sealed: Sealed::Held(b"no capsule".to_vec()), ..next })
        .unwrap_err();
    assert!(written().is_none());
}

#[test]
fn a_forced_swap_does_not_go_on_from_an_old_file_that_was_put_back() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    let path = home.path().join("state").join("echo.state");
    snapshots.save_capsule("echo", &capsule(&snapshots, b"one")).unwrap();
    let old = std::fs::read(&path).unwrap();
    snapshots.save_capsule("echo", &capsule(&snapshots, b"two")).unwrap();
    assert!(snapshots.newest("echo").unwrap().is_some());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, old).unwrap();
    let error = snapshots.newest("echo").unwrap_err();
    assert!(error.contains("there was a newer one, 2"), "{error}");
}

#[test]
fn a_fresh_start_and_a_state_put_back_are_not_undone_by_damage() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("state").join("echo.state");
    let first = snapshots(home.path());
    let earlier = capsule(&first, b"earlier");
    for state in [&b"one"[..], b"two"] {
        first.save_capsule("echo", &capsule(&first, state)).unwrap();
    }
    first.put_back("echo", &earlier).unwrap();
    first.keep_head(true);
    let spoil = || {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "damaged").unwrap();
    };
    spoil();
    assert!(is_unreadable(&snapshots(home.path()).load("echo").unwrap_err()), "`two` was discarded");
    // `HEAD` never heard of it, and what is before it is discarded all the same.
    std::fs::remove_file(home.path().join("state").join("HEAD")).unwrap();
    snapshots(home.path()).set_aside("echo").unwrap();
    let fresh = snapshots(home.path());
    assert!(fresh.load("echo").unwrap().is_none());
    fresh.save_capsule("echo", &capsule(&fresh, b"fresh")).unwrap();
    spoil();
    assert!(is_unreadable(&fresh.load("echo").unwrap_err()));
}

#[test]
fn a_restore_is_not_undone_by_damage() {
    let home = tempfile::tempdir().unwrap();
    let first = snapshots(home.path());
    for state in [&b"good"[..], b"rejected"] {
        first.save_capsule("echo", &capsule(&first, state)).unwrap();
    }
    first.restore("echo", 1).unwrap();
    let path = home.path().join("state").join("echo.state");
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "damaged").unwrap();
    assert!(is_unreadable(&snapshots(home.path()).load("echo").unwrap_err()));
}

#[test]
fn a_state_that_could_not_be_set_aside_is_not_discarded() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    snapshots.save_capsule("echo", &capsule(&snapshots, b"one")).unwrap();
    let before = snapshots.head.get();
    let (folder, away) = (home.path().join("state"), home.path().join("away"));
    std::fs::rename(&folder, &away).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    snapshots.set_aside("echo").unwrap_err();
    assert_eq!(snapshots.head.get(), before);
}

#[test]
fn a_rotation_that_was_cut_off_before_head_is_ended_by_writing_it_anew() {
    let home = tempfile::tempdir().unwrap();
    let first = snapshots(home.path());
    first.save_capsule("echo", &capsule(&first, b"one")).unwrap();
    first.keep_head(true);
    let store = Store::look(home.path().join("state"));
    let both = KeyRing::from(key(1)).rotated(key(2)).unwrap();
    for sealed in store.sealed().unwrap() {
        store.reseal(&both, &sealed).unwrap();
    }
    let next = Snapshots::new(both, store.clone());
    assert!(!next.is_to_be_resealed());
    store.head(&key(2).into()).unwrap_err();
    next.rewrite_head().unwrap();
    assert_eq!(store.head(&key(2).into()).unwrap().of("echo").map(|newest| newest.sequence), Some(1));
}

#[test]
fn what_was_drafted_under_a_key_that_is_retired_meanwhile_is_written_with_the_new_one() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    let stamp = Stamp { service: "echo", schema: 1, sequence: 5, ..Stamp::default() };
    let keys = snapshots.keys();
    let mut drafting = snapshots.store().draft(keys.primary(), &stamp).unwrap();
    drafting.push(b"drafted").unwrap();
    let sealed = Sealed::Draft(Arc::new(drafting.finish().unwrap()));
    let capsule = Capsule { sealed, keys, schema: 1, sequence: 5, plain_len: 7, digest: None };
    // A reader that is slower than a rotation and a retirement.
    let mut reads = 0;
    let mut slow = Slow(|| {
        reads += 1;
        if reads == 1 {
            snapshots.exchange_keys(key(2).into());
        }
        usize::from(reads < 3)
    });
    let plain = PlainState { schema: 1, version: "1.0.0".to_owned() };
    snapshots.import("echo", &mut slow, Some(&plain), 5).unwrap();
    assert_eq!(newest(&snapshots), (1, vec![7, 7]));
    snapshots.save_capsule("echo", &capsule).unwrap();
    assert_eq!(newest(&snapshots), (5, b"drafted".to_vec()));
    assert!(snapshots.needs(key(1).id()).unwrap().is_empty());
}

/// Reads as many sevens as it is told to.
struct Slow<F>(F);

impl<F: FnMut() -> usize> std::io::Read for Slow<F> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let len = (self.0)();
        into[..len].fill(7);
        Ok(len)
    }
}

#[test]
fn what_a_forced_swap_fell_back_on_is_not_written_once_more() {
    let home = tempfile::tempdir().unwrap();
    let snapshots = snapshots(home.path());
    // Longer than what is held: it is a file, and stays one.
    for len in [hotbay_state::HELD + 1, 5] {
        let state = vec![7; usize::try_from(len).unwrap()];
        snapshots.save_capsule("echo", &capsule(&snapshots, &state)).unwrap();
        let fallback = snapshots.newest("echo").unwrap().unwrap();
        let before = std::fs::metadata(snapshots.store().path("echo")).unwrap().modified().unwrap();
        // Also where the keys were rotated in between.
        snapshots.exchange_keys(snapshots.keys().rotated(Key::generate().unwrap()).unwrap());
        snapshots.save_capsule("echo", &fallback).unwrap();
        let after = std::fs::metadata(snapshots.store().path("echo")).unwrap().modified().unwrap();
        assert_eq!(after, before);
        snapshots.save_capsule("echo", &capsule(&snapshots, b"next")).unwrap();
    }
    let names = std::fs::read_dir(home.path().join("state")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = names.filter(|name| name != "echo.state" && name != "older").collect();
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(snapshots.store().older("echo").unwrap().len(), 3);
}
