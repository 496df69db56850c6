use std::fs;

use super::*;
use crate::durable::failing;
use crate::store::tests::{ring, saved, stamp};
use crate::{Key, Stamp, Step};

fn find(store: &Store, head: &Head) -> Result<Found, StoreError> {
    store.find(&ring(), head, "echo", || 100)
}

fn head(sequence: u64) -> Head {
    let mut head = Head::default();
    head.note("echo", sequence);
    head
}

fn spoil(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(path).unwrap();
    fs::write(path, &bytes).unwrap();
    bytes
}

#[test]
fn the_newest_is_found_and_nothing_else_happens() {
    let (_home, store) = saved(3);
    let found = find(&store, &head(3)).unwrap();
    assert_eq!(*found.opened.unwrap().plain, b"state 3");
    assert!(found.quarantined.is_empty() && !store.folder().join("quarantine").exists());
    assert_eq!(found.went_back_to, None);
    assert!(find(&saved(0).1, &Head::default()).unwrap().opened.is_none());
}

#[test]
fn a_damaged_newest_goes_into_quarantine_with_its_reason_and_the_one_before_goes_on() {
    for damage in ["flip", "cut", "empty", "text", "longer"] {
        let (_home, store) = saved(3);
        let path = store.path("echo");
        let good = fs::read(&path).unwrap();
        let bad = match damage {
            "flip" => [&good[..good.len() - 1], &[good[good.len() - 1] ^ 1]].concat(),
            "cut" => good[..good.len() - 5].to_vec(),
            "empty" => Vec::new(),
            "text" => b"text".to_vec(),
            _ => [&good[..], b"more"].concat(),
        };
        // As a file of its own: the one in `older/` has the same bytes only by its second name.
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bad).unwrap();
        let found = find(&store, &head(3)).unwrap();
        let opened = found.opened.unwrap();
        assert_eq!((&opened.plain[..], opened.header.sequence), (&b"state 2"[..], 100), "{damage}");
        let [quarantined] = &found.quarantined[..] else { panic!("{:?}", found.quarantined) };
        assert_eq!(fs::read(&quarantined.path).unwrap(), bad, "{damage}");
        let listed = store.quarantined("echo").unwrap();
        assert_eq!(listed, [(quarantined.path.clone(), quarantined.reason.clone())], "{damage}");
        assert!(quarantined.reason.starts_with("failed to "), "{}", quarantined.reason);
        // It is the newest now, with a number above all that there was.
        assert_eq!(*find(&store, &head(3)).unwrap().opened.unwrap().plain, b"state 2", "{damage}");
        assert_eq!(store.highest(&ring(), "echo").unwrap(), 100);
    }
}

#[test]
fn several_damaged_ones_are_all_moved_and_the_highest_that_opens_goes_on() {
    let (_home, store) = saved(4);
    spoil(&store.path("echo"));
    spoil(&store.older_path("echo", 3));
    let found = find(&store, &head(4)).unwrap();
    assert_eq!(*found.opened.unwrap().plain, b"state 2");
    assert_eq!(found.quarantined.len(), 2);
    assert!(!store.older_path("echo", 3).exists());
}

#[test]
fn where_there_is_none_before_it_nothing_moves() {
    let (_home, store) = saved(1);
    let bad = spoil(&store.path("echo"));
    let error = find(&store, &head(1)).unwrap_err();
    assert!(matches!(error, StoreError::Load { source: OpenError::Damaged { .. }, .. }), "{error}");
    assert_eq!(fs::read(store.path("echo")).unwrap(), bad);
    assert!(!store.folder().join("quarantine").exists());
}

#[test]
fn a_wrong_key_another_service_and_a_newer_format_move_nothing() {
    let (_home, store) = saved(3);
    let stranger = Key::new(&[8; 32]).unwrap().into();
    let error = store.find(&stranger, &head(3), "echo", || 100).unwrap_err();
    assert!(matches!(error, StoreError::Load { source: OpenError::WrongKey { .. }, .. }), "{error}");
    let path = store.path("echo");
    let good = fs::read(&path).unwrap();
    let mut newer = good.clone();
    newer[8] = 0x77;
    let other = Stamp { service: "kv", ..stamp(9) };
    let other = crate::seal(ring().primary(), &other, b"kv").unwrap();
    for bytes in [newer, other] {
        fs::remove_file(&path).unwrap();
        fs::write(&path, &bytes).unwrap();
        let error = find(&store, &head(3)).unwrap_err();
        assert!(
            matches!(
                error,
                StoreError::Load { source: OpenError::Newer { .. } | OpenError::OtherService { .. }, .. }
            ),
            "{error}"
        );
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
    assert!(!store.folder().join("quarantine").exists());
}

#[test]
fn going_back_stops_at_what_may_be_whole() {
    let (_home, store) = saved(2);
    let sealed = crate::seal(&Key::new(&[8; 32]).unwrap(), &stamp(3), b"by another key").unwrap();
    fs::write(store.older_path("echo", 3), sealed).unwrap();
    let bad = spoil(&store.path("echo"));
    let error = find(&store, &head(3)).unwrap_err();
    assert!(matches!(error, StoreError::Load { source: OpenError::WrongKey { .. }, .. }), "{error}");
    assert_eq!(fs::read(store.path("echo")).unwrap(), bad);
}

#[test]
fn an_old_file_put_back_is_noticed_and_a_head_that_lags_is_no_error() {
    let (_home, store) = saved(4);
    for known in 0..=4 {
        find(&store, &head(known)).unwrap();
    }
    fs::copy(store.older_path("echo", 2), store.folder().join("copy")).unwrap();
    fs::rename(store.folder().join("copy"), store.path("echo")).unwrap();
    find(&store, &head(2)).unwrap();
    let error = find(&store, &head(3)).unwrap_err();
    assert!(matches!(error, StoreError::Older { found: 2, known: 3, .. }), "{error}");
    assert!(error.to_string().contains("hotbay state restore echo --to 2"), "{error}");
    // Accepted: it is a new one, with a number above all.
    store.restore(&ring(), "echo", 2, 5).unwrap();
    assert_eq!(*find(&store, &head(4)).unwrap().opened.unwrap().plain, b"state 2");
}

#[test]
fn a_file_that_is_gone_is_no_empty_state_unless_it_was_set_aside() {
    let (_home, store) = saved(2);
    let mut head = head(2);
    store.set_aside("echo").unwrap();
    let error = find(&store, &head).unwrap_err();
    assert!(matches!(error, StoreError::Gone { known: 2, .. }), "{error}");
    head.note_aside("echo", 2);
    assert!(find(&store, &head).unwrap().opened.is_none());
}

#[test]
fn what_was_set_aside_and_is_put_back_is_old_although_nothing_newer_was_written() {
    let (_home, store) = saved(3);
    let mut afresh = head(3);
    let aside = store.set_aside("echo").unwrap().unwrap();
    afresh.note_aside("echo", 3);
    fs::rename(aside, store.path("echo")).unwrap();
    let error = find(&store, &afresh).unwrap_err();
    assert!(matches!(error, StoreError::Older { found: 3, known: 4, .. }), "{error}");
}

#[test]
fn a_way_back_that_fails_leaves_the_newest_where_it_is() {
    let (_home, store) = saved(3);
    let bad = spoil(&store.path("echo"));
    for step in [Step::Create, Step::Write, Step::Sync, Step::Rename] {
        for _ in 0..3 {
            failing::at(step, || find(&store, &head(3))).unwrap_err();
            assert_eq!(fs::read(store.path("echo")).unwrap(), bad, "{step}");
        }
    }
    assert_eq!(*find(&store, &head(3)).unwrap().opened.unwrap().plain, b"state 2");
    assert_eq!(store.quarantined("echo").unwrap().len(), 1, "each try takes up the one before");
}

#[test]
fn a_disk_that_is_full_does_not_fill_the_quarantine() {
    let (_home, store) = saved(3);
    spoil(&store.path("echo"));
    for step in [Step::Create, Step::Write, Step::Sync] {
        failing::at(step, || find(&store, &head(3))).unwrap_err();
        assert!(store.quarantined("echo").unwrap().is_empty(), "{step}");
    }
}

#[test]
fn what_is_gone_back_to_keeps_its_age_and_its_number_is_told() {
    let (_home, store) = saved(3);
    let was = store.load_at(&ring(), "echo", 2).unwrap().header.created_unix_ms;
    while seal::unix_ms() == was {
        std::hint::spin_loop();
    }
    spoil(&store.path("echo"));
    let found = find(&store, &head(3)).unwrap();
    let header = found.opened.unwrap().header;
    assert_eq!((header.sequence, header.created_unix_ms, found.went_back_to), (100, was, Some(2)));
}

#[test]
fn what_was_discarded_on_purpose_is_not_gone_back_to() {
    let (_home, store) = saved(3);
    let mut afresh = head(3);
    afresh.note_aside("echo", 3);
    store.set_aside("echo").unwrap();
    store.save(ring().primary(), &stamp(4), b"fresh").unwrap();
    let bad = spoil(&store.path("echo"));
    let mut put_back = head(3);
    put_back.note_put_back("echo", 4);
    for mut head in [afresh, put_back] {
        head.note("echo", 4);
        let error = find(&store, &head).unwrap_err();
        assert!(matches!(error, StoreError::Load { source: OpenError::Damaged { .. }, .. }), "{error}");
        assert_eq!(fs::read(store.path("echo")).unwrap(), bad);
    }
    store.save(ring().primary(), &stamp(5), b"fresh 5").unwrap();
    store.save(ring().primary(), &stamp(6), b"fresh 6").unwrap();
    spoil(&store.path("echo"));
    let mut head = head(3);
    head.note_aside("echo", 3);
    assert_eq!(*find(&store, &head).unwrap().opened.unwrap().plain, b"fresh 5");
}

#[test]
fn a_newest_that_is_gone_is_no_empty_state_where_older_ones_tell_of_it() {
    let (_home, store) = saved(3);
    fs::remove_file(store.path("echo")).unwrap();
    let error = find(&store, &Head::default()).unwrap_err();
    assert!(matches!(error, StoreError::Gone { known: 2, .. }), "{error}");
    let mut head = Head::default();
    head.note_aside("echo", 3);
    assert!(find(&store, &head).unwrap().opened.is_none());
}

#[test]
fn leftovers_in_quarantine_are_removed_at_open_and_nothing_else() {
    let (_home, store) = saved(3);
    spoil(&store.path("echo"));
    find(&store, &head(3)).unwrap();
    let folder = store.folder().join("quarantine");
    let left = [".echo.7.state.1-2.tmp", ".echo.7.state.reason.1-2.tmp"].map(|name| folder.join(name));
    let foreign = folder.join(".notes.1-2.tmp");
    left.iter().chain([&foreign]).for_each(|path| fs::write(path, "half").unwrap());
    drop(Store::look(store.folder()));
    assert!(left.iter().all(|path| path.exists()), "to look touches nothing");
    Store::open(store.folder()).unwrap();
    assert!(!left.iter().any(|path| path.exists()) && foreign.exists());
    assert_eq!(store.quarantined("echo").unwrap().len(), 1);
}

#[test]
fn head_is_written_read_and_found_out_when_it_was_changed() {
    let (_home, store) = saved(0);
    assert_eq!(store.head(&ring()).unwrap(), Head::default());
    store.write_head(&ring(), &head(7)).unwrap();
    store.write_head(&ring(), &head(8)).unwrap();
    assert_eq!(store.head(&ring()).unwrap(), head(8));
    let path = store.folder().join("HEAD");
    spoil(&path);
    let error = store.head(&ring()).unwrap_err();
    assert!(matches!(error, StoreError::Head { why: OpenError::Damaged { .. }, .. }), "{error}");
    // It is no state, has no chunks, and there is no copy of it to be restored.
    let told = error.to_string();
    assert!(told.contains("HEAD") && told.contains("sets it aside, and begins another"), "{told}");
    assert!(!told.contains("chunk") && !told.contains("restore"), "{told}");
    let aside = store.set_head_aside().unwrap().unwrap();
    assert!(aside.exists() && !path.exists());
    fs::write(store.folder().join(".HEAD.1-2.tmp"), "half").unwrap();
    Store::open(store.folder()).unwrap();
    assert!(!store.folder().join(".HEAD.1-2.tmp").exists());
}
