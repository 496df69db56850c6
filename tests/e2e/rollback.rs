//! `hotbay rollback NAME`: back by hand.

use hotbay::kernel::view::{Outcome, Phase};
use hotbay_tests::{Bay, example, fixture, never_within, with_version};

/// Echo 1.0.0, called once, replaced by 2.0.0.
fn replaced() -> Bay {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.call("echo.handle", "");
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    bay
}

/// What is kept, by kind.
fn kept(bay: &Bay) -> Vec<String> {
    let files = std::fs::read_dir(bay.home().join("good")).unwrap().flatten();
    let mut names: Vec<_> = files.map(|file| file.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn it_goes_back_with_the_state_and_the_version_left_stays_away() {
    let mut bay = replaced();
    bay.call("echo.handle", "");
    let told = bay.hotbay(&["rollback", "echo"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stderr.contains("echo 1.0.0 is running, generation 3"), "{told:?}");
    assert!(told.stderr.contains("state: carried"), "{told:?}");
    let receipt = bay.wait_receipt("echo", 2);
    assert_eq!((receipt.outcome, receipt.rollback), (Outcome::Committed, true));
    assert_eq!((receipt.from.version.as_str(), receipt.to.version.as_str()), ("2.0.0", "1.0.0"));
    assert_eq!(bay.call("echo.count", ""), "2");

    bay.kill();
    bay.start();
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.call("echo.count", ""), "2");
    assert!(bay.ok(&["why", "echo"]).contains("hotbay rollback echo"));
    let refused = bay.hotbay(&["rollback", "echo"]);
    assert_eq!(refused.code, 4, "{refused:?}");

    let row: hotbay::kernel::view::Row =
        serde_json::from_str(&bay.ok(&["reload", "echo", "-o", "json"])).unwrap();
    assert_eq!((row.version.as_deref(), row.phase), (Some("2.0.0"), Phase::Running));
    assert_eq!(bay.call("echo.count", ""), "2");
}

#[test]
fn it_is_refused_where_there_is_nothing_to_go_back_to() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let nobody = bay.hotbay(&["rollback", "nobody"]);
    assert_eq!(nobody.code, 3, "{nobody:?}");
    let refused = bay.hotbay(&["rollback", "echo"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("there is no earlier version"), "{refused:?}");
    bay.ok(&["reload", "echo"]);
    assert_eq!(bay.hotbay(&["rollback", "echo"]).code, 4, "the same bytes are no earlier version");
    bay.ok(&["stop", "echo"]);
    assert_eq!(bay.hotbay(&["rollback", "echo"]).code, 4);
}

#[test]
fn one_that_fails_leaves_the_version_that_serves_alone() {
    let bay = Bay::with("[plugin.fails]\nold = \"import\"").up();
    bay.drop_in("fails", &fixture("fails"));
    bay.wait_version("fails", "1.0.0");
    bay.call("fails.add", "");
    bay.drop_in("fails", &fixture("fails_next"));
    bay.wait_version("fails", "1.1.0");
    for _ in 0..2 {
        let failed = bay.hotbay(&["rollback", "fails"]);
        assert_eq!(failed.code, 5, "{failed:?}");
        assert!(failed.stderr.contains("failed to go back to version 1.0.0"), "{failed:?}");
        assert!(failed.stderr.contains("find any luck in import"), "{failed:?}");
        assert_eq!(bay.row("fails").unwrap().generation, Some(2));
        assert_eq!(bay.call("fails.count", ""), "1");
    }
    assert!(bay.status("fails").rolled_back.is_empty());
}

#[test]
fn counter_next_wrote_what_the_version_before_cannot_read_and_the_state_of_the_swap_serves() {
    let bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay.drop_in("counter", &fixture("counter_next"));
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.add", ""), "2");
    let told = bay.hotbay(&["rollback", "counter"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stderr.contains("snapshot of the swap, sequence"), "{told:?}");
    assert_eq!(bay.call("counter.count", ""), "1");
}

#[test]
fn counter_next_after_its_window_cannot_be_left_for_one_that_does_not_read_its_state() {
    let bay = Bay::with("[probation]\nwindow_calls = 1").up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.drop_in("counter", &fixture("counter_next"));
    bay.wait_version("counter", "2.0.0");
    bay.call("counter.add", "");
    hotbay_tests::eventually("it passed", || bay.ok(&["events"]).contains("passed").then_some(()));
    let failed = bay.hotbay(&["rollback", "counter"]);
    assert_eq!(failed.code, 5, "{failed:?}");
    assert!(failed.stderr.contains("schema 2"), "{failed:?}");
    assert_eq!(bay.call("counter.count", ""), "1");
}

#[test]
fn one_version_is_kept_per_service_and_none_of_a_service_that_was_removed() {
    let mut bay = replaced();
    assert_eq!(kept(&bay).len(), 3, "{:?}", kept(&bay));
    for version in ["2.0.1", "2.0.2", "2.0.3"] {
        bay.drop_bytes("echo", &with_version(&example("echo_v2"), "2.0.0", version));
        bay.wait_version("echo", version);
        assert_eq!(kept(&bay).len(), 3, "{:?}", kept(&bay));
    }
    // What no record names is removed at the next start.
    std::fs::write(bay.home().join(format!("good/echo.0123{}", std::env::consts::DLL_SUFFIX)), "x").unwrap();
    bay.kill();
    bay.start();
    bay.wait_version("echo", "2.0.3");
    assert_eq!(kept(&bay).len(), 3, "{:?}", kept(&bay));
    bay.ok(&["rollback", "echo"]);
    assert_eq!(bay.row("echo").unwrap().version.as_deref(), Some("2.0.2"));

    bay.ok(&["remove", "echo"]);
    bay.wait_gone("echo");
    assert_eq!(kept(&bay), Vec::<String>::new());
    bay.drop_bytes("echo", &with_version(&example("echo_v2"), "2.0.0", "2.0.3"));
    bay.wait_version("echo", "2.0.3");
}

#[test]
fn who_deletes_the_file_of_the_version_left_stops_the_service() {
    let bay = replaced();
    bay.ok(&["rollback", "echo"]);
    std::fs::remove_file(bay.file("echo")).unwrap();
    bay.wait_gone("echo");
    bay.drop_in("echo", &example("echo_v2"));
    let row = bay.wait_version("echo", "1.0.0");
    assert_eq!(row.phase, Phase::Running);
}

#[test]
fn garbage_over_the_version_left_keeps_the_one_before_serving() {
    let bay = replaced();
    bay.ok(&["rollback", "echo"]);
    bay.drop_bytes("echo", b"no library");
    never_within(std::time::Duration::from_millis(800), "the service goes", || {
        bay.row("echo").is_none_or(|row| row.version.as_deref() != Some("1.0.0"))
    });
}
