//! `hotbay rollback NAME`: back by hand.

use hotbay::kernel::view::{Outcome, Phase};
use hotbay_tests::{Bay, eventually, example, fixture, never_within, with_version};

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
    count_with_both(&bay);
    let told = bay.hotbay(&["rollback", "counter"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stderr.contains("snapshot of the swap, sequence"), "{told:?}");
    assert_eq!(bay.call("counter.count", ""), "1");
}

#[test]
fn fails_to_step_down_when_it_is_left_and_the_state_of_the_swap_serves() {
    let bay = Bay::with("[swap]\nrehearse = \"never\"").up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay.drop_in("counter", &fixture("fails_to_step_down"));
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.add", ""), "2");
    let told = bay.hotbay(&["rollback", "counter"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stderr.contains("snapshot of the swap, sequence"), "{told:?}");
    assert_eq!(bay.call("counter.count", ""), "1");
    assert!(!aside(&bay).is_empty(), "the newest state is kept");
}

/// Counter 1.0.0, which does not read what 2.0.0 writes, called once, replaced by 2.0.0, called once.
fn count_with_both(bay: &Bay) {
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay.drop_in("counter", &fixture("counter_next"));
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn counter_steps_down_to_what_the_version_before_can_read_and_nothing_is_lost() {
    let mut bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay.drop_in("counter", &fixture("counter_steps_down"));
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.wait_receipt("counter", 1).rehearsal.as_deref(), Some("passed"));
    assert_eq!(bay.call("counter.add", ""), "2");
    let told = bay.hotbay(&["rollback", "counter"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert!(told.stderr.contains("state: carried, stepped down from schema 2 to 1"), "{told:?}");
    let receipt = bay.wait_receipt("counter", 2);
    assert_eq!(receipt.state_from.as_deref(), Some("carried, stepped down from schema 2 to 1"));
    assert_eq!(bay.call("counter.count", ""), "2");
    // What a step down leaves out is not lost either.
    let [whole] = &aside(&bay)[..] else { panic!("{:?}", aside(&bay)) };
    assert_eq!(hotbay_state::read_header(&std::fs::read(whole).unwrap()).unwrap().schema, 2);
    // And what was stepped down is on disk as soon as it serves.
    bay.kill();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "3");
    // The newer version reads what it wrote for the older one.
    bay.ok(&["reload", "counter"]);
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.count", ""), "3");
}

#[test]
fn counter_of_an_older_version_dropped_over_one_that_steps_down_has_its_newest_state() {
    let bay = Bay::started();
    bay.drop_in("counter", &fixture("counter_steps_down"));
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.add", ""), "1");
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "2");
    assert_eq!(bay.wait_receipt("counter", 1).rehearsal.as_deref(), Some("passed"));
}

/// The same, with nothing written between swaps.
fn counted_on(faults: &str) -> Bay {
    let mut bay = Bay::with("[state]\ninterval_ms = 600000\n[swap]\nrehearse = \"never\"");
    bay.start_with(|command| _ = command.env("FAILPOINTS", faults));
    count_with_both(&bay);
    bay
}

/// Files of state that were kept aside.
fn aside(bay: &Bay) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(bay.home().join("state")).unwrap().flatten().map(|file| file.path());
    files.filter(|path| path.to_string_lossy().contains(".aside-")).collect()
}

#[test]
fn counter_next_left_within_its_window_loses_nothing_of_its_state() {
    let bay = counted_on("");
    bay.ok(&["rollback", "counter"]);
    assert_eq!(bay.call("counter.count", ""), "1");
    let [newer] = &aside(&bay)[..] else { panic!("{:?}", aside(&bay)) };
    bay.ok(&["stop", "counter"]);
    bay.ok(&["state", "import", "counter", newer.to_str().unwrap()]);
    bay.ok(&["start", "counter"]);
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.count", ""), "2");
}

#[test]
fn counter_next_whose_newest_state_cannot_be_written_is_not_left_by_hand() {
    // The first one is the swap's.
    for faults in ["disk@counter=1*off->return(no luck)", "export@counter=1*off->return(no luck)"] {
        let bay = counted_on(faults);
        let failed = bay.hotbay(&["rollback", "counter"]);
        assert_eq!(failed.code, 5, "{failed:?}");
        assert!(failed.stderr.contains("failed to keep the newest state of version 2.0.0"), "{failed:?}");
        assert_eq!(bay.row("counter").unwrap().version.as_deref(), Some("2.0.0"));
        assert_eq!(bay.call("counter.add", ""), "3");
        assert_eq!(aside(&bay), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn counter_next_loses_nothing_where_its_newer_state_cannot_be_kept_aside_at_once() {
    let bay = counted_on("aside@counter=2*return(no luck)");
    bay.ok(&["rollback", "counter"]);
    assert_eq!(bay.call("counter.add", ""), "2");
    assert_eq!(aside(&bay), Vec::<std::path::PathBuf>::new());
    let newer = std::fs::read(bay.state_file("counter")).unwrap();
    // A stop that cannot write the state does not happen.
    assert_ne!(bay.hotbay(&["stop", "counter"]).code, 0);
    assert_eq!(std::fs::read(bay.state_file("counter")).unwrap(), newer);
    eventually("its state is written", || (bay.hotbay(&["stop", "counter"]).code == 0).then_some(()));
    let [kept] = &aside(&bay)[..] else { panic!("{:?}", aside(&bay)) };
    assert_eq!(std::fs::read(kept).unwrap(), newer);
    assert_ne!(std::fs::read(bay.state_file("counter")).unwrap(), newer);
}

#[test]
fn counter_next_after_its_window_cannot_be_left_for_one_that_does_not_read_its_state() {
    let bay = Bay::with("[probation]\nwindow_calls = 1\nmin_calls = 1").up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.drop_in("counter", &fixture("counter_next"));
    bay.wait_version("counter", "2.0.0");
    bay.call("counter.add", "");
    eventually("it passed", || bay.ok(&["events"]).contains("passed").then_some(()));
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

#[test]
fn garbage_over_the_version_left_does_not_keep_the_service_from_being_removed() {
    let bay = replaced();
    bay.ok(&["rollback", "echo"]);
    bay.drop_bytes("echo", b"no library");
    bay.wait_for("echo", |row| row.phase == Phase::Rejected);
    let removed = bay.hotbay(&["remove", "echo"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    bay.wait_gone("echo");
    assert!(!bay.file("echo").exists());
    assert_eq!(kept(&bay), Vec::<String>::new());
}

#[test]
fn another_plugin_over_the_version_left_is_not_removed_with_the_service() {
    let bay = replaced();
    bay.ok(&["rollback", "echo"]);
    bay.drop_in("echo", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    // Its file is gone: it goes by itself, or by the command.
    let _ = bay.hotbay(&["remove", "echo"]);
    bay.wait_gone("echo");
    assert_eq!(bay.call("counter.add", ""), "1");
}

#[test]
fn after_a_reload_that_was_refused_nothing_is_reloaded_later_and_it_goes_back_when_asked() {
    let bay = replaced();
    bay.drop_bytes("echo", b"no library");
    bay.wait_for("echo", |row| row.phase == Phase::Rejected);
    let refused = bay.hotbay(&["reload", "echo"]);
    assert_eq!(refused.code, 4, "{refused:?}");
    bay.drop_in("echo", &example("echo_v2"));
    never_within(std::time::Duration::from_millis(800), "the reload comes", || {
        bay.row("echo").is_none_or(|row| row.generation != Some(2))
    });
    bay.drop_bytes("echo", b"no library");
    bay.wait_for("echo", |row| row.phase == Phase::Rejected);
    assert_eq!(bay.hotbay(&["reload", "echo"]).code, 4);
    let told = bay.hotbay(&["rollback", "echo"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(bay.wait_version("echo", "1.0.0").generation, Some(3));
}

#[test]
fn the_version_left_over_the_file_of_a_later_one_and_that_one_is_kept_as_soon_as_the_disk_takes_it() {
    let mut bay = Bay::with("[probation]\nwindow_ms = 50");
    bay.start_with(|command| _ = command.env("FAILPOINTS", "keep@echo=1*return(no luck)"));
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    bay.ok(&["rollback", "echo"]);
    bay.drop_bytes("echo", &with_version(&example("echo_v2"), "2.0.0", "2.0.1"));
    bay.wait_version("echo", "2.0.1");
    bay.drop_in("echo", &example("echo_v2"));
    let told = "failed to keep the version that serves; trying again";
    eventually("it is tried", || bay.log().contains(told).then_some(()));
    // Several rescans at the settings of these tests.
    never_within(std::time::Duration::from_millis(1000), "it is tried again at once", || {
        bay.log().matches(told).count() > 1
    });
    let record = || std::fs::read_to_string(bay.home().join("good/echo.json")).unwrap_or_default();
    eventually("it is kept", || record().contains("2.0.1").then_some(()));
    bay.kill();
    bay.start();
    bay.wait_version("echo", "2.0.1");
}
