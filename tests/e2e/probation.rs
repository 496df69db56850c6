//! After a swap the new version is watched: one that fails goes, and the one before comes back, with state.

use hotbay::kernel::view::{Outcome, Phase, Receipt};
use hotbay_tests::{Bay, eventually, example, fixture, never_within, run, with_version};

/// Few calls decide.
const QUICK: &str = "[probation]\nmin_calls = 5\n";

/// Version 1.0.0 of a service with callbacks, replaced by 1.1.0, whose calls misbehave as configured.
fn replaced_by_a_bad_one(name: &str, settings: &str) -> Bay {
    let bay = Bay::with(&format!("{QUICK}{settings}[plugin.{name}]\nnew = \"call\"")).up();
    bay.drop_in(name, &fixture(name));
    bay.wait_version(name, "1.0.0");
    assert_eq!(bay.call(&format!("{name}.add"), ""), "1");
    bay.drop_in(name, &fixture(&format!("{name}_next")));
    bay.wait_version(name, "1.1.0");
    bay
}

fn fail(bay: &Bay, method: &str, times: usize) {
    for _ in 0..times {
        let ran = bay.hotbay(&["call", method]);
        assert_eq!(ran.code, 1, "{ran:?}");
    }
}

fn back(bay: &Bay, name: &str) -> Receipt {
    let row = bay.wait_version(name, "1.0.0");
    assert_eq!(row.generation, Some(3), "a rollback counts as a swap");
    let receipt = bay.wait_receipt(name, 2);
    assert!(receipt.rollback, "{receipt:?}");
    assert_eq!(receipt.outcome, Outcome::Committed);
    assert_eq!((receipt.requests.lost, receipt.requests.duplicated), (0, 0));
    receipt
}

fn comes_back_with_its_state(name: &str) {
    let mut bay = replaced_by_a_bad_one(name, "");
    fail(&bay, &format!("{name}.add"), 5);
    let receipt = back(&bay, name);
    assert_eq!(receipt.state_from.as_deref(), Some("carried"));
    assert!(receipt.reason.unwrap().contains("5 of 5 calls failed"));
    assert_eq!(bay.call(&format!("{name}.add"), ""), "2");

    // It is on record everywhere, with what to do.
    let row = bay.wait_for(name, |row| row.phase == Phase::RolledBack);
    // As the host names it: on Windows with `\\?\` before it.
    let source = std::fs::canonicalize(bay.file(name)).unwrap();
    assert_eq!((row.version.as_deref(), row.source), (Some("1.1.0"), Some(source)));
    let reason = row.reason.unwrap();
    for part in
        ["5 of 5 calls failed", "1.0.0 serves instead", &format!("hotbay reload {name}"), "hotbay add"]
    {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    let why = bay.ok(&["why", name]);
    assert!(why.contains("5 of 5 calls failed") && why.contains(&format!("hotbay reload {name}")), "{why}");
    assert!(bay.ok(&["status", name]).contains("5 of 5 calls failed"));
    assert_eq!(bay.status(name).rolled_back.len(), 1);
    assert!(bay.ok(&["history", name]).contains("rollback"));
    assert!(bay.ok(&["events"]).contains("rolled_back"));
    bay.assert_alive();
}

#[test]
fn fails_in_calls_after_the_swap_and_the_version_before_comes_back() {
    comes_back_with_its_state("fails");
}

#[test]
fn panics_in_calls_after_the_swap_and_the_version_before_comes_back() {
    comes_back_with_its_state("panics");
}

/// Counter 1.0.0, which does not read what comes after it, called once, and 2.0.0, called three times before it fails.
fn count_until_it_fails(bay: &Bay) {
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "1");
    bay.drop_in("counter", &fixture("fails_after_a_while"));
    bay.wait_version("counter", "2.0.0");
    for count in ["2", "3", "4"] {
        assert_eq!(bay.call("counter.add", ""), count);
    }
    fail(bay, "counter.add", 4);
}

#[test]
fn fails_after_a_while_and_the_state_of_the_swap_comes_back_where_the_newer_one_cannot_be_read() {
    let bay = Bay::with(QUICK).up();
    count_until_it_fails(&bay);
    let receipt = back(&bay, "counter");
    let from = receipt.state_from.unwrap();
    assert!(from.starts_with("snapshot of the swap, sequence "), "{from}");
    assert_eq!(bay.call("counter.add", ""), "2");
    let aside = eventually("the newer state is kept aside", || {
        let mut files = std::fs::read_dir(bay.home().join("state")).unwrap().flatten();
        files.find(|file| file.file_name().to_string_lossy().contains(".aside-"))
    });
    assert!(aside.metadata().unwrap().len() > 0);
    assert!(!bay.home().join("good/counter.state").exists(), "nobody goes back to it any more");
}

#[test]
fn fails_after_a_while_and_goes_also_where_its_newest_state_cannot_be_kept_and_that_is_told() {
    let mut bay = Bay::with(&format!("{QUICK}[state]\ninterval_ms = 600000\n[swap]\nrehearse = \"never\""));
    bay.start_with(|command| _ = command.env("FAILPOINTS", "export@counter=1*off->return(no luck)"));
    count_until_it_fails(&bay);
    let from = back(&bay, "counter").state_from.unwrap();
    assert!(from.contains("failed to keep the newest state of version 2.0.0"), "{from}");
    assert_eq!(bay.call("counter.count", ""), "1");
}

#[test]
fn fails_again_only_when_somebody_asks_also_after_a_restart() {
    let mut bay = replaced_by_a_bad_one("fails", "");
    fail(&bay, "fails.add", 5);
    back(&bay, "fails");
    for _ in 0..2 {
        bay.drop_in("fails", &fixture("fails_next"));
        // Several rescans at the settings of these tests.
        never_within(std::time::Duration::from_millis(600), "the digest is loaded again", || {
            bay.row("fails").unwrap().version.as_deref() != Some("1.0.0")
        });
        bay.kill();
        bay.start();
        let row = bay.wait_version("fails", "1.0.0");
        assert!(row.source.unwrap().starts_with(bay.home().canonicalize().unwrap().join("good")));
        assert_eq!(bay.call("fails.count", ""), "1");
        let row = bay.wait_for("fails", |row| row.phase == Phase::RolledBack);
        assert!(row.reason.unwrap().contains("5 of 5 calls failed"));
    }
    bay.ok(&["reload", "fails"]);
    bay.wait_version("fails", "1.1.0");
    assert!(bay.status("fails").rolled_back.is_empty());
    fail(&bay, "fails.add", 5);
    bay.wait_version("fails", "1.0.0");

    bay.ok(&["add", fixture("fails_next").to_str().unwrap()]);
    bay.wait_version("fails", "1.1.0");
    fail(&bay, "fails.add", 5);
    bay.wait_version("fails", "1.0.0");

    bay.drop_bytes("fails", &with_version(&fixture("fails_next"), "1.1.0", "1.2.0"));
    bay.wait_version("fails", "1.2.0");
    assert_eq!(bay.call("fails.count", ""), "1");
}

#[test]
fn fails_and_no_way_back_is_quarantined_with_its_state_while_others_serve() {
    let settings = "[plugin.fails]\nold = \"import\"\nnew = \"call\"";
    let mut bay = Bay::with(&format!("{QUICK}{settings}")).up();
    bay.drop_in("echo", &example("echo"));
    bay.drop_in("fails", &fixture("fails"));
    bay.wait_version("fails", "1.0.0");
    bay.call("fails.add", "");
    bay.drop_in("fails", &fixture("fails_next"));
    bay.wait_version("fails", "1.1.0");
    fail(&bay, "fails.add", 5);

    let row = bay.wait_phase("fails", Phase::Quarantined);
    let reason = row.reason.unwrap();
    for part in ["1.1.0 was rolled back", "5 of 5 calls failed", "find any luck in import"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    assert!(bay.ok(&["why", "fails"]).contains("find any luck in import"));
    assert_ne!(bay.hotbay(&["call", "fails.count"]).code, 0);
    assert_eq!(bay.call("echo.echo", "I serve"), "I serve");
    assert!(
        bay.history("fails").iter().any(|receipt| receipt.rollback && receipt.outcome == Outcome::RolledBack)
    );
    assert!(bay.state_file("fails").is_file());
    bay.assert_alive();

    // A better version finds the state.
    bay.drop_bytes("better", &with_version(&fixture("fails_next"), "1.1.0", "1.3.0"));
    bay.wait_version("fails", "1.3.0");
    assert_eq!(bay.call("fails.count", ""), "1");
}

#[test]
fn what_callers_get_wrong_rolls_nothing_back() {
    let bay = replaced_by_a_bad_one("fails", "");
    for _ in 0..8 {
        assert_eq!(bay.hotbay(&["call", "fails.no_such_method"]).code, 3);
    }
    never_within(std::time::Duration::from_millis(400), "a rollback", || bay.history("fails").len() > 1);
    assert_eq!(bay.row("fails").unwrap().generation, Some(2));
}

#[test]
fn a_version_that_passed_stays_whatever_it_does_then() {
    let bay = replaced_by_a_bad_one("fails", "window_calls = 5\n");
    for _ in 0..5 {
        assert_eq!(bay.call("fails.count", ""), "1");
    }
    eventually("it passed", || bay.ok(&["events"]).contains("passed").then_some(()));
    fail(&bay, "fails.add", 20);
    never_within(std::time::Duration::from_millis(400), "a rollback", || bay.history("fails").len() > 1);
    assert!(std::fs::read_dir(bay.home().join("probation")).unwrap().next().is_none());
    assert!(!bay.home().join("good/fails.state").exists());
}

#[test]
fn a_window_of_zero_watches_nobody() {
    let bay = replaced_by_a_bad_one("fails", "window_ms = 0\n");
    fail(&bay, "fails.add", 10);
    never_within(std::time::Duration::from_millis(400), "a rollback", || bay.history("fails").len() > 1);
    assert!(std::fs::read_dir(bay.home().join("probation")).unwrap().next().is_none());
}

#[test]
fn aborts_in_a_call_twice_and_the_third_host_starts_the_version_before() {
    let mut bay = Bay::with(QUICK).up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "1");
    bay.drop_in("counter", &fixture("aborts_in_a_call"));
    bay.wait_version("counter", "1.1.0");
    for _ in 0..2 {
        let row = bay.wait_version("counter", "1.1.0");
        assert_eq!(row.reason, None);
        assert_ne!(bay.hotbay(&["call", "counter.add"]).code, 0);
        bay.wait_death();
        bay.start();
    }
    let row = bay.wait_version("counter", "1.0.0");
    assert!(row.source.unwrap().starts_with(bay.home().canonicalize().unwrap().join("good")));
    assert_eq!(bay.call("counter.add", ""), "2");
    assert!(bay.ok(&["why", "counter"]).contains("the host died 2 times"));
    let row = bay.wait_for("counter", |row| row.phase == Phase::RolledBack);
    assert_eq!(row.version.as_deref(), Some("1.1.0"));
}

/// A host that version 1.1.0, with two before it, brought down in a callback of its life, before it served.
fn brought_down_in(callback: &str) -> Bay {
    let mut bay = Bay::with(&format!("{QUICK}[plugin.fails]\nnew = \"{callback}\"")).up();
    bay.drop_bytes("fails", &with_version(&fixture("fails"), "1.0.0", "0.9.0"));
    bay.wait_version("fails", "0.9.0");
    bay.drop_in("fails", &fixture("fails"));
    bay.wait_version("fails", "1.0.0");
    assert_eq!(bay.call("fails.add", ""), "1");
    // What is on disk survives the host.
    bay.ok(&["stop", "fails"]);
    bay.ok(&["start", "fails"]);
    bay.drop_in("fails", &fixture("aborts_next"));
    bay.wait_death();
    bay
}

#[test]
fn aborts_next_in_start_or_import_twice_and_the_third_host_starts_the_version_before() {
    for callback in ["start", "import"] {
        let mut bay = brought_down_in(callback);
        assert_ne!(run(&mut bay.run_command()).code, 0, "the second death");
        bay.start();
        let row = bay.wait_version("fails", "1.0.0");
        assert!(row.source.unwrap().starts_with(bay.home().canonicalize().unwrap().join("good")));
        assert_eq!(bay.call("fails.count", ""), "1");
        assert!(bay.ok(&["why", "fails"]).contains("the host died 2 times"));
        // What lies beside it ready to be the pending one is none yet.
        assert!(!bay.home().join("pending/fails.json").exists());
    }
}

#[test]
fn aborts_next_without_a_way_back_is_not_started_a_third_time() {
    let mut bay = brought_down_in("start");
    std::fs::remove_dir_all(bay.home().join("pending")).unwrap();
    std::fs::remove_dir_all(bay.home().join("good")).unwrap();
    assert_ne!(run(&mut bay.run_command()).code, 0, "the second death");
    for _ in 0..2 {
        bay.start();
        let row = bay.wait_phase("fails", Phase::Quarantined);
        let reason = row.reason.unwrap();
        for part in ["1.1.0 was rolled back", "the host died 2 times", "there is no earlier version"] {
            assert!(reason.contains(part), "{part}: {reason}");
        }
        assert!(bay.ok(&["why", "fails"]).contains("the host died 2 times"));
        bay.kill();
    }
}

#[test]
fn aborts_on_the_way_back_and_the_third_host_leaves_it_alone_with_its_state_kept() {
    // A rehearsal of the way there would be one of the way back, too.
    let mut bay = Bay::with(&format!("{QUICK}[swap]\nrehearse = \"never\"\n")).up();
    bay.drop_in("counter", &fixture("aborts_on_the_way_back"));
    bay.wait_version("counter", "1.0.0");
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "1");
    bay.drop_in("counter", &fixture("fails_after_a_while"));
    bay.wait_version("counter", "2.0.0");
    for count in ["2", "3", "4"] {
        assert_eq!(bay.call("counter.add", ""), count);
    }
    eventually("the newer state is on disk", || {
        bay.status("counter").snapshot.is_some_and(|snapshot| snapshot.schema == 2).then_some(())
    });
    let _ = (0..10).find(|_| bay.hotbay(&["call", "counter.add"]).code == 6);
    bay.wait_death();
    assert_ne!(run(&mut bay.run_command()).code, 0, "the second death");
    for _ in 0..2 {
        bay.start();
        let reason = bay.wait_phase("counter", Phase::Quarantined).reason.unwrap();
        for part in
            ["2.0.0 was rolled back", "version 1.0.0 could not take its place", "the host died 2 times"]
        {
            assert!(reason.contains(part), "{part}: {reason}");
        }
        bay.wait_version("echo", "1.0.0");
        assert_eq!(bay.call("echo.echo", "x"), "x");
        assert!(bay.home().join("state").join("counter.state").is_file());
        bay.kill();
    }
    // A repaired version goes on with what there is.
    bay.drop_in("counter", &fixture("counter_next"));
    bay.start();
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.count", ""), "4");
}

/// Unix only, as [`Bay::stop`] is.
#[test]
fn an_orderly_restart_in_the_window_is_no_death_and_the_window_goes_on() {
    let mut bay = replaced_by_a_bad_one("fails", "");
    for _ in 0..3 {
        assert_eq!(bay.stop(), Some(0));
        bay.start();
        bay.wait_version("fails", "1.1.0");
    }
    fail(&bay, "fails.add", 5);
    let row = bay.wait_version("fails", "1.0.0");
    assert_eq!(row.generation, Some(2));
    assert_eq!(bay.call("fails.count", ""), "1");
}

#[test]
fn a_host_killed_in_the_window_goes_on_with_the_newer_state_and_can_still_go_back_to_the_older() {
    let mut bay = Bay::with(QUICK).up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "1");
    bay.drop_in("counter", &fixture("fails_after_a_while"));
    bay.wait_version("counter", "2.0.0");
    eventually("the new schema is on disk", || {
        bay.status("counter").snapshot.is_some_and(|snapshot| snapshot.schema == 2).then_some(())
    });
    bay.kill();
    bay.start();
    bay.wait_version("counter", "2.0.0");
    for count in ["2", "3", "4"] {
        assert_eq!(bay.call("counter.add", ""), count);
    }
    fail(&bay, "counter.add", 4);
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn records_that_cannot_be_read_are_told_once_and_keep_nobody_from_serving() {
    let mut bay = replaced_by_a_bad_one("fails", "");
    bay.kill();
    for record in ["good/fails.json", "probation/fails.json", "rolled_back/fails.json"] {
        std::fs::write(bay.home().join(record), "{ not JSON").unwrap();
    }
    bay.start();
    bay.wait_version("fails", "1.1.0");
    assert_eq!(bay.call("fails.count", ""), "1");
    let log = bay.log();
    for record in ["good/fails.json", "probation/fails.json", "rolled_back/fails.json"] {
        let record = record.replace('/', std::path::MAIN_SEPARATOR_STR);
        assert_eq!(log.matches(&record).count(), 1, "{record}: {log}");
    }
}

#[test]
fn kept_bytes_that_were_damaged_are_not_loaded() {
    let mut bay = replaced_by_a_bad_one("fails", "");
    let kept = std::fs::read_dir(bay.home().join("good")).unwrap().flatten();
    let kept: Vec<_> =
        kept.map(|file| file.path()).filter(|path| path.extension() != Some("json".as_ref())).collect();
    let library = kept.iter().find(|path| path.extension() != Some("state".as_ref())).unwrap();
    let mut bytes = std::fs::read(library).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(library, bytes).unwrap();
    fail(&bay, "fails.add", 5);
    let row = bay.wait_phase("fails", Phase::Quarantined);
    assert!(row.reason.unwrap().contains("the kept bytes of version 1.0.0 are damaged or gone"));
    bay.assert_alive();
}
