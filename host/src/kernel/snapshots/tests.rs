use hotbay_state::{Key, Stamp};

use super::*;

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
    Capsule { sealed, schema: 1, plain_len: state.len() as u64, digest: Some(blake3::hash(state)) }
}

fn newest(snapshots: &Snapshots) -> (u64, Vec<u8>) {
    let opened = snapshots.load("echo").unwrap().unwrap();
    (opened.header.sequence, opened.plain.to_vec())
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
