//! What Windows does with files that are open or mapped, and how it names them.
#![cfg(windows)]

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::windows::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use hotbay::kernel::view::{Phase, Retired};
use hotbay_tests::{Bay, eventually, example, fixture, never_within, with_version};

/// "The process cannot access the file because it is being used by another process."
const SHARING_VIOLATION: i32 = 32;

/// The staged copies of a bay's host.
fn staged(bay: &Bay) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(bay.home().join("staged")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn a_loaded_copy_cannot_be_written_or_deleted_and_goes_when_it_is_unloaded() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let copies = staged(&bay);
    let [copy] = &copies[..] else { panic!("{copies:?}") };
    let written = OpenOptions::new().write(true).open(copy).unwrap_err();
    assert_eq!(written.raw_os_error(), Some(SHARING_VIOLATION), "{written}");
    let deleted = std::fs::remove_file(copy).unwrap_err();
    assert_eq!(deleted.raw_os_error(), Some(SHARING_VIOLATION), "{deleted}");

    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    eventually("the old copy is gone", || {
        let copies = staged(&bay);
        (copies.len() == 1 && !copies.contains(copy)).then_some(())
    });
    // What was dropped is nobody's: it can be written and deleted while its copy serves.
    OpenOptions::new().write(true).open(bay.file("echo")).unwrap();
    std::fs::remove_file(bay.file("echo")).unwrap();
    bay.wait_gone("echo");
}

#[test]
fn copies_that_a_crash_left_are_removed_by_the_next_host() {
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let left = staged(&bay);
    assert!(!left.is_empty());
    bay.kill();
    assert_eq!(staged(&bay), left, "nobody was there to remove it");
    std::fs::remove_file(bay.file("echo")).unwrap();
    bay.start();
    eventually("the copies are gone", || staged(&bay).is_empty().then_some(()));
}

#[test]
fn the_copy_of_a_pinned_library_is_removed_when_that_has_gone() {
    let bay = Bay::started();
    let name = "keeps_a_thread_for_a_while";
    bay.drop_in(name, &fixture(name));
    bay.wait_version(name, "1.0.0");
    let old = staged(&bay);
    bay.drop_bytes(name, &with_version(&fixture(name), "1.0.0", "1.1.0"));
    bay.wait_version(name, "1.1.0");
    assert_eq!(bay.wait_receipt(name, 1).retired, Retired::Pinned);
    assert!(old.iter().all(|copy| copy.exists()), "{old:?}");
    std::fs::write(bay.path("let-go"), "").unwrap();
    eventually("the old copy is gone", || {
        let copies = staged(&bay);
        (copies.len() == 1 && !old.contains(&copies[0])).then_some(())
    });
}

#[test]
fn a_file_that_its_writer_keeps_to_itself_is_waited_for_and_not_rejected() {
    let bay = Bay::started();
    let bytes = std::fs::read(example("echo")).unwrap();
    // Nobody else may read, write or delete it while it is open.
    let mut writer: File =
        OpenOptions::new().write(true).create_new(true).share_mode(0).open(bay.file("echo")).unwrap();
    writer.write_all(&bytes).unwrap();
    writer.sync_all().unwrap();
    // Much longer than a file that is not whole is given.
    never_within(Duration::from_secs(3), "it is judged", || {
        bay.rows().iter().any(|row| row.phase != Phase::Starting)
    });
    let waiting = bay.wait_phase("echo", Phase::Starting);
    let reason = waiting.reason.unwrap_or_default();
    assert!(reason.contains("the program that writes it lets nobody read it"), "{reason}");
    drop(writer);
    bay.wait_version("echo", "1.0.0");
    assert!(!bay.log().contains("rejected"), "{}", bay.log());
}

#[test]
fn a_name_in_capitals_is_the_same_file() {
    let bay = Bay::started();
    std::fs::copy(example("echo"), bay.plugins().join("ECHO.DLL")).unwrap();
    bay.wait_version("echo", "1.0.0");
    // The same file by its other name: a swap, and no second candidate for the service.
    std::fs::copy(example("echo_v2"), bay.plugins().join("echo.dll")).unwrap();
    bay.wait_version("echo", "2.0.0");
    assert_eq!(bay.rows().len(), 1);
    assert!(!bay.rows().iter().any(|row| row.phase == Phase::Shadowed));
}

#[test]
fn a_snapshot_is_written_while_somebody_reads_the_one_before() {
    let bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    eventually("a snapshot", || bay.state_file("counter").exists().then_some(()));
    let before = std::fs::read(bay.state_file("counter")).unwrap();
    let reader = File::open(bay.state_file("counter")).unwrap();
    bay.call("counter.add", "");
    // As long as an indexer or a virus scanner reads.
    let reading = std::thread::spawn(move || {
        never_within(Duration::from_millis(300), "", || false);
        drop(reader);
    });
    reading.join().unwrap();
    eventually("the next snapshot", || {
        (std::fs::read(bay.state_file("counter")).unwrap() != before).then_some(())
    });
    assert!(!bay.log().contains("WARN"), "{}", bay.log());
}
