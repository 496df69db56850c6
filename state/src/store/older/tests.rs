use std::fs;

use super::*;
use crate::durable::failing;
use crate::store::tests::{ring, save, saved, stamp};
use crate::{Key, Stamp, Step};

fn sequences(store: &Store) -> Vec<u64> {
    store.older("echo").unwrap().into_iter().map(|listed| listed.header.unwrap().sequence).collect()
}

fn plain(store: &Store) -> String {
    String::from_utf8(store.load(&ring(), "echo").unwrap().unwrap().plain.to_vec()).unwrap()
}

#[test]
fn names_of_older_ones_are_service_and_twenty_digits() {
    assert_eq!(numbered("echo.00000000000000000007.state"), Some(("echo", 7)));
    for name in [
        "echo.state",
        "echo.7.state",
        "echo.0000000000000000000x.state",
        "E.00000000000000000007.state",
        "echo.99999999999999999999.state",
    ] {
        assert_eq!(numbered(name), None, "{name}");
    }
}

#[test]
fn the_last_five_are_kept_the_newest_under_the_services_own_name() {
    let (_home, store) = saved(8);
    assert_eq!(plain(&store), "state 8");
    assert_eq!(sequences(&store), [7, 6, 5, 4]);
    for sequence in 4..=8 {
        let opened = store.load_at(&ring(), "echo", sequence).unwrap();
        assert_eq!(*opened.plain, format!("state {sequence}").as_bytes());
    }
    let error = store.load_at(&ring(), "echo", 3).unwrap_err();
    assert!(error.to_string().ends_with("there are 8, 7, 6, 5, 4"), "{error}");
    assert_eq!(store.highest(&ring(), "echo").unwrap(), 8);
    assert_eq!(store.highest(&ring(), "kv").unwrap(), 0);
}

#[test]
fn as_many_are_kept_as_was_said_and_one_keeps_no_folder() {
    let (_home, store) = saved(0);
    let (two, one) = (store.clone().keeping(2), store.clone().keeping(0));
    save(&one, 1);
    save(&one, 2);
    assert!(!store.folder().join("older").exists());
    save(&two, 3);
    save(&two, 4);
    assert_eq!(sequences(&store), [3]);
    assert_eq!(store.prune("echo", 1).unwrap(), 1);
    assert!(sequences(&store).is_empty());
    assert_eq!(plain(&store), "state 4");
}

#[test]
fn services_keep_theirs_apart() {
    let (_home, store) = saved(3);
    store.save(ring().primary(), &Stamp { service: "echo-2", ..stamp(9) }, b"other").unwrap();
    store.save(ring().primary(), &Stamp { service: "echo-2", ..stamp(10) }, b"other").unwrap();
    store.prune("echo-2", 1).unwrap();
    assert_eq!(sequences(&store), [2, 1]);
}

#[test]
fn a_save_that_fails_or_died_halfway_leaves_the_newest_and_the_next_one_goes_on() {
    let (_home, store) = saved(2);
    for step in [Step::Keep, Step::Rename] {
        failing::at(step, || store.save(ring().primary(), &stamp(3), b"never")).unwrap_err();
        assert_eq!(plain(&store), "state 2", "{step}");
    }
    // As after a crash between the two: the newest has its number already.
    keep(&store);
    assert_eq!(sequences(&store), [2, 1]);
    save(&store, 3);
    assert_eq!((plain(&store), sequences(&store)), ("state 3".to_owned(), vec![2, 1]));
    assert!(asides(&store).is_empty(), "one capsule under its number is enough");
}

fn keep(store: &Store) {
    store.keep_under_number("echo").unwrap();
}

fn asides(store: &Store) -> Vec<String> {
    store.file_names().unwrap().into_iter().filter(|name| name.contains("aside")).collect()
}

#[test]
fn another_capsule_under_the_same_number_is_kept_too() {
    let (_home, store) = saved(2);
    keep(&store);
    save(&store, 2);
    keep(&store);
    assert_eq!(asides(&store).len(), 1);
    assert_eq!(sequences(&store), [2, 1]);
}

#[test]
fn what_cannot_be_read_is_kept_aside_and_not_overwritten() {
    let (_home, store) = saved(1);
    fs::write(store.path("echo"), "no state").unwrap();
    save(&store, 2);
    let aside = asides(&store);
    assert_eq!(fs::read(store.folder().join(&aside[0])).unwrap(), b"no state");
    assert_eq!(plain(&store), "state 2");
}

#[test]
fn a_restored_snapshot_is_the_newest_under_a_new_number_and_none_is_lost() {
    let (_home, store) = saved(4);
    let header = store.restore(&ring(), "echo", 2, 5).unwrap();
    assert_eq!((header.sequence, header.schema), (5, 1));
    assert_eq!((plain(&store), sequences(&store)), ("state 2".to_owned(), vec![4, 3, 2, 1]));
    store.restore(&ring(), "echo", 5, 6).unwrap();
    assert_eq!((plain(&store), sequences(&store)), ("state 2".to_owned(), vec![5, 4, 3, 2]));
}

#[test]
fn an_older_file_under_another_number_is_refused() {
    let (_home, store) = saved(3);
    fs::copy(store.older_path("echo", 1), store.older_path("echo", 2)).unwrap();
    let error = store.load_at(&ring(), "echo", 2).unwrap_err();
    assert!(matches!(error, StoreError::Load { source: OpenError::BadHeader { .. }, .. }), "{error}");
}

#[cfg(unix)]
#[test]
fn what_is_kept_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let (_home, store) = saved(2);
    assert_eq!(mode(&store.older_folder()), 0o700);
    assert_eq!(mode(&store.older_path("echo", 1)), 0o600);
}

#[test]
fn leftovers_of_copies_are_removed_at_open_and_nothing_else() {
    let (_home, store) = saved(3);
    let folder = store.older_folder();
    let left = folder.join(".echo.00000000000000000001.state.1-2.tmp");
    fs::write(&left, "half").unwrap();
    fs::write(folder.join(".other.1-2.tmp"), "not ours").unwrap();
    let store = Store::open(store.folder()).unwrap();
    assert!(!left.exists() && folder.join(".other.1-2.tmp").exists());
    assert_eq!(sequences(&store), [2, 1]);
}

#[test]
fn a_prune_does_not_count_a_newest_that_is_none() {
    for spoilt in [None, Some(&b"no state"[..])] {
        let (_home, store) = saved(5);
        fs::remove_file(store.path("echo")).unwrap();
        if let Some(bytes) = spoilt {
            fs::write(store.path("echo"), bytes).unwrap();
        }
        assert_eq!(store.prune("echo", 1).unwrap(), 3);
        assert_eq!(sequences(&store), [4]);
    }
}

#[test]
fn what_cannot_be_read_is_kept_aside_also_where_one_is_kept() {
    let (_home, store) = saved(1);
    let store = store.keeping(1);
    fs::write(store.path("echo"), "no state").unwrap();
    save(&store, 2);
    assert_eq!(fs::read(store.folder().join(&asides(&store)[0])).unwrap(), b"no state");
}

#[test]
fn a_copy_that_cannot_be_kept_does_not_hold_up_the_newest_and_is_told() {
    static TOLD: std::sync::Mutex<Vec<String>> = std::sync::Mutex::new(Vec::new());
    let (_home, store) = saved(1);
    let store =
        store.telling(|path, error| TOLD.lock().unwrap().push(format!("{}: {error}", path.display())));
    fs::write(store.older_folder(), "in the way").unwrap();
    let named = store.path("echo").display().to_string();
    save(&store, 2);
    assert_eq!(plain(&store), "state 2");
    let told = TOLD.lock().unwrap();
    assert!(told.len() == 1 && told[0].starts_with(&named), "{told:?}");
}

#[test]
fn a_forged_number_does_not_bring_the_numbers_to_their_end() {
    let (_home, store) = saved(3);
    let forged = |sequence: u64| fs::copy(store.path("echo"), store.older_path("echo", sequence)).unwrap();
    // As a name alone, as a header that nobody signed, and as both.
    forged(u64::MAX);
    forged(CLAIMED);
    assert_eq!(store.highest(&ring(), "echo").unwrap(), 3);
    let stranger = Key::new(&[8; 32]).unwrap();
    let theirs = crate::seal(&stranger, &stamp(u64::MAX), b"theirs").unwrap();
    fs::write(store.older_path("echo", u64::MAX), &theirs).unwrap();
    assert_eq!(store.highest(&ring(), "echo").unwrap(), 3);
    fs::write(store.path("echo"), &theirs).unwrap();
    assert_eq!(store.highest(&ring(), "echo").unwrap(), 2, "what is in `older/` still counts");
    let mut changed = crate::seal(ring().primary(), &stamp(9), b"ours").unwrap();
    let at = changed.windows(8).position(|bytes| bytes == 9u64.to_le_bytes()).unwrap();
    changed[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    fs::write(store.path("echo"), &changed).unwrap();
    assert_eq!(store.highest(&ring(), "echo").unwrap(), 2);
    // The most that can be forged leaves as many numbers as were there before it, and those count.
    forged(CLAIMED - 1);
    assert_eq!(store.highest(&ring(), "echo").unwrap(), CLAIMED - 1);
    save(&store, CLAIMED);
    assert_eq!(store.highest(&ring(), "echo").unwrap(), CLAIMED);
    save(&store, CLAIMED + 1);
    assert_eq!(store.highest(&ring(), "echo").unwrap(), CLAIMED + 1);
}
