//! A file that changes is the next version, however it was changed.

use std::io::Write as _;
use std::path::Path;

use hotbay::kernel::view::{Outcome, Phase, Retired};
use hotbay_tests::{Bay, eventually, example, never_within, with_version};

/// Runs echo 1.0.0, lets `replace` put version 2 in its place, and holds that it serves, counted on and clean.
fn replaced(replace: impl FnOnce(&Bay, &Path)) {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.call("echo.handle", ""), "echo service handled");

    replace(&bay, &example("echo_v2"));
    let row = bay.wait_version("echo", "2.0.0");
    assert_eq!(row.generation, Some(2));
    assert_eq!(bay.call("echo.handle", ""), "echo v2 service handled");
    assert_eq!(bay.call("echo.count", ""), "2");

    let receipt = bay.wait_receipt("echo", 1);
    assert_eq!((receipt.outcome, receipt.reason), (Outcome::Committed, None));
    assert_eq!((receipt.from.version.as_str(), receipt.from.generation), ("1.0.0", 1));
    assert_eq!((receipt.to.version.as_str(), receipt.to.generation), ("2.0.0", 2));
    assert_eq!(Some(receipt.to.digest), row.digest);
    assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
    assert_eq!(bay.history("echo").len(), 1);
}

#[test]
fn by_a_rename() {
    replaced(|bay, next| bay.drop_in("echo", next));
}

#[test]
fn by_a_copy_over_it() {
    replaced(|bay, next| {
        // Not `fs::copy`, which may replace the file; this writes into the one that is there, as `cp` does.
        let mut file = std::fs::File::options().write(true).truncate(true).open(bay.file("echo")).unwrap();
        file.write_all(&std::fs::read(next).unwrap()).unwrap();
    });
}

#[test]
fn by_a_slow_write_through_which_the_old_one_serves() {
    replaced(|bay, next| {
        let bytes = std::fs::read(next).unwrap();
        let mut file = std::fs::File::create(bay.file("echo")).unwrap();
        for piece in bytes.chunks(bytes.len() / 6) {
            file.write_all(piece).unwrap();
            file.flush().unwrap();
            assert_eq!(bay.call("echo.count", ""), "1");
        }
    });
}

#[test]
fn by_delete_and_create_as_installers_do() {
    replaced(|bay, next| {
        std::fs::remove_file(bay.file("echo")).unwrap();
        std::fs::copy(next, bay.file("echo")).unwrap();
    });
}

#[test]
fn by_a_hard_link_as_cargo_does() {
    replaced(|bay, next| {
        let built = bay.path("built");
        std::fs::copy(next, &built).unwrap();
        std::fs::remove_file(bay.file("echo")).unwrap();
        std::fs::hard_link(built, bay.file("echo")).unwrap();
    });
}

#[test]
fn by_add() {
    replaced(|bay, next| {
        let named = bay.path(bay.file("echo").file_name().unwrap().to_str().unwrap());
        std::fs::copy(next, &named).unwrap();
        bay.ok(&["add", named.to_str().unwrap()]);
    });
}

#[test]
fn a_touch_or_the_same_bytes_again_is_no_new_version() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    let before = bay.wait_version("echo", "1.0.0");
    let file = std::fs::File::options().append(true).open(bay.file("echo")).unwrap();
    file.set_modified(std::time::SystemTime::now() + std::time::Duration::from_secs(5)).unwrap();
    // Windows may refuse to replace what somebody has open.
    drop(file);
    std::fs::copy(example("echo"), bay.file("echo")).unwrap();
    bay.drop_in("echo", &example("echo"));
    // Several rescans at the settings of these tests.
    never_within(std::time::Duration::from_secs(1), "a swap to the same bytes", || {
        bay.row("echo").as_ref() != Some(&before)
    });
    assert!(bay.history("echo").is_empty());
}

#[test]
fn of_many_quick_changes_the_last_one_stands() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    for version in ["1.0.1", "1.0.2", "1.0.3", "1.0.4", "1.0.5"] {
        bay.drop_bytes("echo", &with_version(&example("echo"), "1.0.0", version));
    }
    let row = bay.wait_version("echo", "1.0.5");
    // Some may have been passed over; each that was taken has its receipt.
    let generation = row.generation.unwrap();
    assert!((2..=6).contains(&generation), "{row:?}");
    bay.wait_receipt("echo", usize::try_from(generation).unwrap() - 1);
}

#[test]
fn by_another_service_which_stops_the_first() {
    let bay = Bay::started();
    bay.drop_in("slot", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.call("echo.echo", "");
    bay.drop_in("slot", &example("logger"));
    bay.wait_version("logger", "1.0.0");
    bay.wait_gone("echo");
    bay.drop_in("slot", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.call("echo.count", ""), "1");
}

#[test]
fn garbage_over_a_running_plugin_leaves_it_serving_and_says_so() {
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.drop_bytes("echo", b"not a library at all");
    eventually("the reason is on record", || {
        bay.rows().iter().any(|row| row.name == "echo" && row.reason.is_some()).then_some(())
    });
    assert_eq!(bay.row("echo").map(|row| row.generation), Some(Some(1)));
    assert_eq!(bay.call("echo.echo", "still here"), "still here");

    // In-place truncation of the file that runs: SIGBUS, were it the one that is mapped.
    std::fs::File::options().write(true).truncate(true).open(bay.file("echo")).unwrap();
    assert_eq!(bay.call("echo.echo", "still here"), "still here");
    bay.assert_alive();

    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    assert_eq!(bay.call("echo.count", ""), "2");
    eventually("nothing is wrong any more", || {
        bay.rows().iter().all(|row| row.phase == Phase::Running && row.reason.is_none()).then_some(())
    });
}
