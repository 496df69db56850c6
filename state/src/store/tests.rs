use std::error::Error as _;

use tempfile::TempDir;

use super::*;
use crate::durable::failing;
use crate::{OpenError, SealError, Step};

const ONE: Stamp<'_> = Stamp {
    service: "echo",
    plugin: "echo",
    plugin_version: "1.0.0",
    schema: 1,
    sequence: 1,
    generation: 1,
    content_type: "application/json",
};
const TWO: Stamp<'_> = Stamp { sequence: 2, ..ONE };

fn key() -> Key {
    Key::new(&[7; 32]).unwrap()
}

fn store() -> (TempDir, Store) {
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path().join("state")).unwrap();
    (home, store)
}

pub(super) fn ring() -> KeyRing {
    key().into()
}

pub(super) fn stamp(sequence: u64) -> Stamp<'static> {
    Stamp { service: "echo", schema: 1, sequence, ..Stamp::default() }
}

/// A store in which `echo` was saved so often, with the numbers from 1 on.
pub(super) fn saved(last: u64) -> (TempDir, Store) {
    let (home, store) = store();
    for sequence in 1..=last {
        save(&store, sequence);
    }
    (home, store)
}

pub(super) fn save(store: &Store, sequence: u64) {
    store.save(ring().primary(), &stamp(sequence), format!("state {sequence}").as_bytes()).unwrap();
}

fn names(store: &Store) -> Vec<String> {
    let mut names = store.file_names().unwrap();
    names.retain(|name| name != "older");
    names.sort();
    names
}

#[test]
fn a_saved_snapshot_is_loaded_and_the_next_replaces_it() {
    let (_home, store) = store();
    assert!(store.load(&ring(), "echo").unwrap().is_none());
    for (stamp, plain) in [(ONE, "one"), (TWO, "two")] {
        let header = store.save(&key(), &stamp, plain.as_bytes()).unwrap();
        let opened = store.load(&ring(), "echo").unwrap().unwrap();
        assert_eq!(opened.header, header);
        assert_eq!(*opened.plain, plain.as_bytes());
        assert_eq!(names(&store), ["echo.state"]);
    }
    let again = Store::open(store.folder.clone()).unwrap();
    assert_eq!(again.load(&ring(), "echo").unwrap().unwrap().header.sequence, 2);
}

#[test]
fn a_failed_write_leaves_the_old_snapshot() {
    let (_home, store) = store();
    store.save(&key(), &ONE, b"one").unwrap();
    let before = fs::read(store.path("echo")).unwrap();
    for step in [Step::OpenFolder, Step::Create, Step::Write, Step::Sync, Step::Keep, Step::Rename] {
        let error = failing::at(step, || store.save(&key(), &TWO, b"two")).unwrap_err();
        assert!(matches!(&error, StoreError::Save { source, .. } if source.step == step), "{error}");
        assert_eq!(fs::read(store.path("echo")).unwrap(), before, "{step}");
        assert_eq!(names(&store), ["echo.state"], "{step}");
    }
    store.save(&key(), &TWO, b"two").unwrap();
}

#[test]
fn a_folder_that_cannot_be_synced_is_an_error_and_the_file_is_whole() {
    let (_home, store) = store();
    store.save(&key(), &ONE, b"one").unwrap();
    let error = failing::at(Step::SyncFolder, || store.save(&key(), &TWO, b"two")).unwrap_err();
    assert!(matches!(&error, StoreError::Save { source, .. } if source.step == Step::SyncFolder), "{error}");
    assert_eq!(*store.load(&ring(), "echo").unwrap().unwrap().plain, b"two");
    assert_eq!(names(&store), ["echo.state"]);
}

#[test]
fn a_file_that_cannot_be_replaced_is_an_error_that_names_it() {
    let (_home, store) = store();
    fs::create_dir_all(store.path("echo").join("in the way")).unwrap();
    let error = store.save(&key(), &ONE, b"one").unwrap_err();
    assert!(error.to_string().contains("echo.state"), "{error}");
    let source = error.source().unwrap();
    assert!(
        source.to_string().starts_with("keep the file before it") && source.source().is_some(),
        "{source}"
    );
    assert_eq!(names(&store), ["echo.state"]);
}

#[test]
fn a_capsule_sealed_before_is_saved_as_it_is() {
    let (_home, store) = store();
    let capsule = seal::seal(&key(), &ONE, b"one").unwrap();
    store.save_sealed("echo", &capsule).unwrap();
    assert_eq!(fs::read(store.path("echo")).unwrap(), capsule);

    let other = store.save_sealed("logger", &capsule).unwrap_err();
    assert!(matches!(other, StoreError::Capsule { source: OpenError::OtherService { .. }, .. }), "{other}");
    let cut = store.save_sealed("echo", &capsule[..50]).unwrap_err();
    assert!(matches!(cut, StoreError::Capsule { source: OpenError::Truncated { .. }, .. }), "{cut}");
    assert_eq!(names(&store), ["echo.state"]);
    assert_eq!(fs::read(store.path("echo")).unwrap(), capsule);
}

#[test]
fn a_file_that_cannot_be_opened_is_named_and_not_touched() {
    let (_home, store) = store();
    store.save(&key(), &ONE, b"one").unwrap();
    let good = fs::read(store.path("echo")).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    for bytes in [&bad[..], &good[..20], b"", b"text"] {
        fs::write(store.path("echo"), bytes).unwrap();
        let error = store.load(&ring(), "echo").unwrap_err();
        assert!(matches!(&error, StoreError::Load { path, .. } if *path == store.path("echo")), "{error}");
        assert_eq!(fs::read(store.path("echo")).unwrap(), bytes);
        assert_eq!(names(&store), ["echo.state"]);
    }
    fs::write(store.path("echo"), &good).unwrap();
    let wrong = store.load(&Key::new(&[8; 32]).unwrap().into(), "echo").unwrap_err();
    assert!(matches!(wrong, StoreError::Load { source: OpenError::WrongKey { .. }, .. }), "{wrong}");
    assert_eq!(fs::read(store.path("echo")).unwrap(), good);
    fs::rename(store.path("echo"), store.path("logger")).unwrap();
    let other = store.load(&ring(), "logger").unwrap_err();
    assert!(matches!(other, StoreError::Load { source: OpenError::OtherService { .. }, .. }), "{other}");
}

#[test]
fn a_directory_in_the_place_of_a_snapshot_is_an_error_not_a_missing_file() {
    let (_home, store) = store();
    fs::create_dir(store.path("echo")).unwrap();
    let error = store.load(&ring(), "echo").unwrap_err();
    assert!(matches!(error, StoreError::Load { source: OpenError::Read { .. }, .. }), "{error}");
    assert!(matches!(store.list().unwrap()[0].header, Err(OpenError::Read { .. })));
}

#[test]
fn names_that_are_no_service_are_refused_at_the_door() {
    let (_home, store) = store();
    for service in ["", "../echo", "a/b", "ECHO", "nul", "/etc/passwd"] {
        let stamp = Stamp { service, ..ONE };
        assert!(matches!(store.save(&key(), &stamp, b""), Err(StoreError::Service { .. })), "{service}");
        assert!(matches!(store.save_sealed(service, b""), Err(StoreError::Service { .. })), "{service}");
        assert!(matches!(store.load(&ring(), service), Err(StoreError::Service { .. })), "{service}");
        assert!(matches!(store.set_aside(service), Err(StoreError::Service { .. })), "{service}");
    }
    let error = store.save(&key(), &Stamp { plugin_version: "\n", ..ONE }, b"").unwrap_err();
    assert!(matches!(error, StoreError::Seal { source: SealError::Text { .. }, .. }), "{error}");
    assert!(names(&store).is_empty());
}

#[test]
fn a_list_is_sorted_and_a_bad_file_does_not_hold_up_the_others() {
    let (_home, store) = store();
    for service in ["logger", "echo", "kv"] {
        store.save(&key(), &Stamp { service, ..ONE }, b"state").unwrap();
    }
    fs::write(store.path("bad"), "text").unwrap();
    fs::copy(store.path("kv"), store.path("stray")).unwrap();
    fs::write(store.folder.join("README"), "not ours").unwrap();
    store.set_aside("kv").unwrap();

    let list = store.list().unwrap();
    let services: Vec<&str> = list.iter().map(|listed| listed.service.as_str()).collect();
    assert_eq!(services, ["bad", "echo", "logger", "stray"]);
    assert!(matches!(list[0].header, Err(OpenError::NotState)));
    assert_eq!(list[0].bytes, 4);
    assert_eq!(list[1].header.as_ref().unwrap().service, "echo");
    assert_eq!(list[1].path, store.path("echo"));
    assert_eq!(list[1].bytes, fs::metadata(store.path("echo")).unwrap().len());
    assert!(matches!(&list[3].header, Err(OpenError::OtherService { found, .. }) if found == "kv"));
}

#[test]
fn a_list_finds_a_large_file_cut_short_without_reading_it() {
    let (_home, store) = store();
    store.save(&key(), &ONE, &vec![1; 100_000]).unwrap();
    let len = fs::metadata(store.path("echo")).unwrap().len();
    File::options().write(true).open(store.path("echo")).unwrap().set_len(len - 1).unwrap();
    let header = &store.list().unwrap()[0].header;
    assert!(matches!(header, Err(OpenError::Truncated { expected, .. }) if *expected == len), "{header:?}");
}

#[test]
fn what_is_set_aside_keeps_its_bytes_and_no_name_is_taken_twice() {
    let (_home, store) = store();
    assert!(store.set_aside("echo").unwrap().is_none());
    let mut kept = Vec::new();
    // Faster than the clock's milliseconds.
    for sequence in 0..20 {
        store.save(&key(), &Stamp { sequence, ..ONE }, b"state").unwrap();
        let bytes = fs::read(store.path("echo")).unwrap();
        kept.push((store.set_aside("echo").unwrap().unwrap(), bytes));
        assert!(store.load(&ring(), "echo").unwrap().is_none());
    }
    for (path, bytes) in &kept {
        assert!(path.file_name().unwrap().to_str().unwrap().starts_with("echo.state.aside-"));
        assert_eq!(fs::read(path).unwrap(), *bytes);
    }
    assert_eq!(names(&store).len(), kept.len());
}

#[test]
fn what_is_kept_aside_stays_in_its_place_too_and_is_not_what_is_saved_later() {
    let (_home, store) = store();
    assert!(store.keep_aside("echo").unwrap().is_none());
    let mut kept = Vec::new();
    for sequence in 0..20 {
        store.save(&key(), &Stamp { sequence, ..ONE }, b"state").unwrap();
        let bytes = fs::read(store.path("echo")).unwrap();
        kept.push((store.keep_aside("echo").unwrap().unwrap(), bytes));
        assert_eq!(store.load(&ring(), "echo").unwrap().unwrap().header.sequence, sequence);
    }
    for (path, bytes) in &kept {
        assert_eq!(fs::read(path).unwrap(), *bytes);
    }
    assert_eq!(names(&store).len(), kept.len() + 1);
}

#[test]
fn leftovers_of_interrupted_writes_are_removed_and_nothing_else() {
    let (_home, store) = store();
    store.save(&key(), &ONE, b"one").unwrap();
    store.set_aside("echo").unwrap();
    store.save(&key(), &ONE, b"one").unwrap();
    let foreign = [
        ".echo.state.tmp",
        ".echo.state.1-.tmp",
        ".echo.state.1-x.tmp",
        "echo.state.1-2.tmp",
        ".key.1-2.tmp",
    ];
    for name in foreign.iter().chain(&[".echo.state.1-2.tmp", ".kv.state.4711-0.tmp"]) {
        fs::write(store.folder.join(name), "half").unwrap();
    }
    let before = names(&store).len();
    let store = Store::open(store.folder).unwrap();
    assert_eq!(names(&store).len(), before - 2);
    assert!(foreign.iter().all(|name| store.folder.join(name).exists()));
    assert!(store.load(&ring(), "echo").unwrap().is_some());
}

#[test]
fn a_store_opened_beside_a_running_write_leaves_it_its_file() {
    let (_home, store) = store();
    let temporary = store.folder.join(".echo.state.1-2.tmp");
    let writer = os::create_private(&temporary).unwrap();
    writer.lock().unwrap();
    Store::open(store.folder.clone()).unwrap();
    assert!(temporary.exists());
    drop(writer);
    Store::open(store.folder.clone()).unwrap();
    assert!(!temporary.exists());
}

#[test]
fn a_name_left_by_another_process_with_our_id_is_stepped_over() {
    let (_home, store) = store();
    // The counter is shared by the tests of this process; a thousand names ahead cover it.
    for n in 0..1000 {
        fs::write(store.folder.join(format!(".echo.state.{}-{n}.tmp", std::process::id())), "").unwrap();
    }
    store.save(&key(), &ONE, b"one").unwrap();
    assert_eq!(*store.load(&ring(), "echo").unwrap().unwrap().plain, b"one");
}

#[test]
fn a_folder_that_cannot_be_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("state")] {
        let error = Store::open(&path).unwrap_err();
        assert!(matches!(&error, StoreError::Folder { path: named, .. } if *named == path), "{error}");
    }
    assert!(matches!(Store::open(""), Err(StoreError::Folder { .. })));
}

#[cfg(unix)]
#[test]
fn folders_and_files_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let home = tempfile::tempdir().unwrap();
    let store = Store::open(home.path().join("a").join("b")).unwrap();
    store.save(&key(), &ONE, b"one").unwrap();
    assert_eq!(mode(&home.path().join("a")), 0o700);
    assert_eq!(mode(&store.folder), 0o700);
    assert_eq!(mode(&store.path("echo")), 0o600);
    // Also when it replaces a file that was opened up.
    fs::set_permissions(store.path("echo"), fs::Permissions::from_mode(0o666)).unwrap();
    store.save(&key(), &TWO, b"two").unwrap();
    assert_eq!(mode(&store.path("echo")), 0o600);
    assert_eq!(mode(&store.set_aside("echo").unwrap().unwrap()), 0o600);
}

#[test]
fn names_that_cannot_be_forced_to_the_disk_are_not_called_durable() {
    let (_home, store) = saved(2);
    let error = failing::at(Step::SyncFolder, || Store::open(store.folder())).unwrap_err();
    assert!(matches!(&error, StoreError::Folder { path, .. } if path.ends_with("older")), "{error:?}");
    Store::open(store.folder()).unwrap();
}
