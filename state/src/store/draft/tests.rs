use std::fs;

use super::*;
use crate::durable::failing;
use crate::store::tests::{ring, save, saved, stamp};
use crate::{Key, Step};

fn drafted(store: &Store, sequence: u64, state: &[u8]) -> Draft {
    let mut drafting = store.draft(ring().primary(), &stamp(sequence)).unwrap();
    state.chunks(1000).for_each(|piece| drafting.push(piece).unwrap());
    drafting.finish().unwrap()
}

fn names(store: &Store) -> Vec<String> {
    let names = fs::read_dir(store.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_draft_is_nothing_until_it_is_published_and_goes_without_a_trace() {
    let (_home, store) = saved(1);
    let draft = drafted(&store, 2, b"two");
    assert_eq!(*store.load(&ring(), "echo").unwrap().unwrap().plain, b"state 1");
    assert_eq!((draft.header().sequence, draft.header().plain_len), (2, 3));
    drop(draft);
    let drafting = store.draft(ring().primary(), &stamp(2)).unwrap();
    assert_eq!(names(&store).len(), 2, "{:?}", names(&store));
    drop(drafting);
    assert_eq!(names(&store), ["echo.state"]);
}

#[test]
fn a_draft_that_is_published_is_the_newest_and_the_one_before_is_kept() {
    let (_home, store) = saved(1);
    let state: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let draft = drafted(&store, 2, &state);
    store.publish(&draft).unwrap();
    // Whoever has it may publish it once more, and read it, also when something newer has its name.
    store.publish(&draft).unwrap();
    save(&store, 3);
    let mut opener = ring().open_file("echo", draft.path()).unwrap();
    assert_eq!(opener.header().plain_len, state.len() as u64);
    let mut read = Vec::new();
    opener.read_to_end(&mut read).unwrap();
    assert_eq!(read, state);
    drop((draft, opener));
    assert_eq!(names(&store), ["echo.state", "older"]);
    assert_eq!(*store.load_at(&ring(), "echo", 2).unwrap().plain, *state);
    assert_eq!(*store.load_at(&ring(), "echo", 1).unwrap().plain, b"state 1");
    let opened = store.open_at(&ring(), "echo", Some(2)).unwrap().unwrap();
    assert_eq!(opened.finish().unwrap().plain_len, state.len() as u64);
    assert!(matches!(store.open_at(&ring(), "echo", Some(9)), Err(StoreError::NoSuch { .. })));
    assert!(store.open_at(&ring(), "nobody", None).unwrap().is_none());
}

#[test]
fn a_publish_that_fails_leaves_the_draft_to_be_published_again() {
    for at in [Step::OpenFolder, Step::Create, Step::Keep, Step::Rename] {
        let (_home, store) = saved(1);
        let draft = drafted(&store, 2, b"two");
        let error = failing::at(at, || store.publish(&draft)).unwrap_err();
        assert!(matches!(&error, StoreError::Save { source, .. } if source.step == at), "{at:?}: {error}");
        assert_eq!(*store.load(&ring(), "echo").unwrap().unwrap().plain, b"state 1", "{at:?}");
        store.publish(&draft).unwrap();
        assert_eq!(*store.load(&ring(), "echo").unwrap().unwrap().plain, b"two", "{at:?}");
        drop(draft);
        assert_eq!(names(&store), ["echo.state", "older"], "{at:?}");
    }
}

#[test]
fn a_draft_that_could_not_be_forced_to_the_disk_is_never_published() {
    let (_home, store) = saved(1);
    let draft = drafted(&store, 2, b"two");
    let publish = || store.publish(&draft).unwrap_err();
    for error in [failing::at(Step::Sync, publish), publish()] {
        assert!(matches!(&error, StoreError::Save { source, .. } if source.step == Step::Sync), "{error}");
    }
    assert_eq!(*store.load(&ring(), "echo").unwrap().unwrap().plain, b"state 1");
}

#[test]
fn a_draft_is_sealed_again_with_another_key_and_says_of_itself_what_it_said() {
    let (_home, store) = saved(1);
    let draft = drafted(&store, 2, &[5; 100_000]);
    let other = Key::new(&[9; 32]).unwrap();
    let opener = ring().open_file("echo", draft.path()).unwrap();
    let again = store.draft_again(&other, opener, 2, false).unwrap();
    let (before, after) = (draft.header(), again.header());
    let said = |header: &crate::Header| crate::Header { key_id: other.id(), ..header.clone() };
    assert_eq!(said(before), said(after));
    store.publish(&again).unwrap();
    assert_eq!(*store.load(&other.into(), "echo").unwrap().unwrap().plain, [5; 100_000]);
    assert!(store.load(&ring(), "echo").is_err());
}

#[test]
fn what_is_damaged_is_no_draft() {
    let (_home, store) = saved(1);
    let draft = drafted(&store, 2, &[5; 100_000]);
    let mut bytes = fs::read(draft.path()).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let opener = ring().opener("echo", &bytes[..]).unwrap();
    let error = store.draft_again(ring().primary(), opener, 3, true).unwrap_err();
    assert!(matches!(error, StoreError::Capsule { source: OpenError::Damaged { .. }, .. }), "{error}");
    drop(draft);
    assert_eq!(names(&store), ["echo.state"]);
}

#[test]
fn a_snapshot_that_is_too_long_to_be_held_is_found_and_gone_back_from_chunk_by_chunk() {
    let (_home, store) = saved(2);
    let head = crate::Head::default();
    let sought = store.seek(&ring(), &head, "echo", 0, || 9).unwrap();
    let whole = sought.whole.unwrap();
    assert_eq!((whole.header.sequence, whole.plain.is_none()), (2, true));
    let path = store.path("echo");
    fs::remove_file(&path).unwrap();
    fs::write(&path, b"damaged").unwrap();
    let sought = store.seek(&ring(), &head, "echo", 0, || 9).unwrap();
    assert_eq!((sought.quarantined.len(), sought.went_back_to), (1, Some(1)));
    assert_eq!(sought.whole.unwrap().header.sequence, 9);
    assert_eq!(*store.load(&ring(), "echo").unwrap().unwrap().plain, b"state 1");
}
