use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{Head, Key, Stamp};

fn key(byte: u8) -> Key {
    Key::new(&[byte; 32]).unwrap()
}

fn saved() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path().join("state")).unwrap();
    for (service, last) in [("echo", 3), ("kv", 2)] {
        for sequence in 1..=last {
            let stamp = Stamp { service, schema: 1, sequence, ..Stamp::default() };
            store.save(&key(1), &stamp, format!("{service} {sequence}").as_bytes()).unwrap();
        }
    }
    store.keep_aside("kv").unwrap();
    (home, store)
}

#[test]
fn a_rotation_reseals_every_file_and_what_they_say_stays() {
    let (_home, store) = saved();
    let ring = KeyRing::from(key(1)).rotated(key(2)).unwrap();
    let before = store.list().unwrap();
    let all = store.sealed().unwrap();
    assert_eq!(all.len(), 3 + 2 + 1);
    assert_eq!(store.needs(key(1).id()).unwrap().len(), all.len());
    // Cut off after two, and begun again.
    for sealed in &all[..2] {
        assert_eq!(store.reseal(&ring, sealed).unwrap(), Resealed::Anew);
    }
    assert_eq!(store.needs(key(1).id()).unwrap().len(), all.len() - 2);
    let done: Vec<Resealed> = all.iter().map(|sealed| store.reseal(&ring, sealed).unwrap()).collect();
    assert_eq!(done.iter().filter(|done| **done == Resealed::AsItWas).count(), 2);
    assert!(store.needs(key(1).id()).unwrap().is_empty());

    let only_new = KeyRing::from(key(2));
    for (listed, was) in store.list().unwrap().iter().zip(&before) {
        let (now, was) = (listed.header.as_ref().unwrap(), was.header.as_ref().unwrap());
        assert_eq!(now.key_id, key(2).id());
        assert_eq!((now.sequence, now.created_unix_ms), (was.sequence, was.created_unix_ms));
        let opened = store.load(&only_new, &listed.service).unwrap().unwrap();
        assert_eq!(*opened.plain, format!("{} {}", listed.service, now.sequence).as_bytes());
    }
    assert!(store.verify(&only_new, None).unwrap().iter().all(|(_, checked)| checked.is_ok()));
}

#[test]
fn what_cannot_be_opened_or_is_gone_stays_as_it_is() {
    let (_home, store) = saved();
    let ring = KeyRing::from(key(2)).rotated(key(3)).unwrap();
    let all = store.sealed().unwrap();
    let bytes = fs::read(&all[0].path).unwrap();
    assert!(matches!(store.reseal(&ring, &all[0]), Err(StoreError::Load { .. })));
    assert_eq!(fs::read(&all[0].path).unwrap(), bytes);
    fs::remove_file(&all[0].path).unwrap();
    assert_eq!(store.reseal(&ring, &all[0]).unwrap(), Resealed::Gone);
}

#[test]
fn verify_names_each_file_and_what_is_wrong_with_it() {
    let (_home, store) = saved();
    let ring = KeyRing::from(key(1));
    let mut head = Head::default();
    head.note("echo", 3);
    head.note("lost", 5);
    store.write_head(&ring, &head).unwrap();
    let wrong = |service: Option<&str>| -> Vec<String> {
        let all = store.verify(&ring, service).unwrap();
        all.into_iter().filter_map(|(_, checked)| checked.err()).map(|error| error.to_string()).collect()
    };
    assert_eq!(store.verify(&ring, None).unwrap().len(), 6 + 1 + 1);
    let gone = wrong(None);
    assert!(gone.len() == 1 && gone[0].contains("lost"), "{gone:?}");
    assert!(wrong(Some("kv")).is_empty());

    let path = store.path("kv");
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::remove_file(&path).unwrap();
    fs::write(&path, &bytes).unwrap();
    let damaged = wrong(Some("kv"));
    assert!(damaged.len() == 1 && damaged[0].contains("kv.state"), "{damaged:?}");
    assert_eq!(fs::read(&path).unwrap(), bytes, "nothing is touched");

    fs::remove_file(store.path("echo")).unwrap();
    fs::copy(store.older_path("echo", 2), store.path("echo")).unwrap();
    let old = wrong(Some("echo"));
    assert!(old.len() == 1 && old[0].contains("snapshot 2"), "{old:?}");
}

#[test]
fn a_key_is_needed_by_what_cannot_be_read_is_newer_or_lies_in_quarantine() {
    let (_home, store) = saved();
    let (old, ring) = (key(1).id(), KeyRing::from(key(1)).rotated(key(2)).unwrap());
    for sealed in store.sealed().unwrap() {
        store.reseal(&ring, &sealed).unwrap();
    }
    let free = || store.needs(old).unwrap().is_empty() && !store.is_to_be_resealed(&ring).unwrap();
    assert!(free());

    // What cannot be read: here, because it is no file.
    fs::create_dir(store.path("lost")).unwrap();
    assert_eq!(store.needs(old).unwrap(), [store.path("lost")]);
    fs::remove_dir(store.path("lost")).unwrap();

    let mut newer = fs::read(store.path("kv")).unwrap();
    newer[8] = 0x77;
    fs::write(store.path("newer"), newer).unwrap();
    assert_eq!(store.needs(old).unwrap(), [store.path("newer")]);
    fs::remove_file(store.path("newer")).unwrap();

    let folder = store.folder().join("quarantine");
    fs::create_dir(&folder).unwrap();
    let stamp = Stamp { service: "echo", ..Stamp::default() };
    let mut bytes = crate::seal(&key(1), &stamp, b"damaged").unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(folder.join("echo.7.state"), bytes).unwrap();
    assert_eq!(store.needs(old).unwrap(), [folder.join("echo.7.state")]);
    assert!(!store.is_to_be_resealed(&ring).unwrap(), "it cannot be");
    let listed = store.headers().unwrap();
    assert!(listed.iter().any(|listed| listed.header.as_ref().is_ok_and(|header| header.key_id == old)));
}

#[test]
fn verify_knows_nobody_that_has_no_state_and_finds_a_newest_that_is_gone() {
    let (_home, store) = saved();
    let ring = KeyRing::from(key(1));
    let mut head = Head::default();
    head.note("kv", 2);
    store.write_head(&ring, &head).unwrap();
    assert!(store.verify(&ring, Some("typo")).unwrap().is_empty());
    fs::remove_file(store.path("echo")).unwrap();
    let gone = |service| {
        let all = store.verify(&ring, service).unwrap();
        all.into_iter().filter(|(_, checked)| matches!(checked, Err(StoreError::Gone { .. }))).count()
    };
    assert_eq!((gone(Some("echo")), gone(None), gone(Some("kv"))), (1, 1, 0));
    head.note_aside("echo", 3);
    store.write_head(&ring, &head).unwrap();
    assert_eq!(gone(None), 0);
}
