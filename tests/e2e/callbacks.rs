//! A panic, an error, or no answer at all, in each callback: the culprit is named, the old version serves on.

use hotbay::kernel::view::{Outcome, Phase, Receipt};
use hotbay_tests::{Bay, fixture};

/// Long enough for a callback that works on a busy machine, short enough to wait for one that does not. No snapshots: the
/// export that misbehaves is the swap's.
const DEADLINES: &str = "[swap]\ncallback_ms = 1200\ndrain_ms = 1200\n[state]\ninterval_ms = 600000\n";

fn bay(fixture: &str, key: &str, place: &str) -> Bay {
    Bay::with(&format!("{DEADLINES}[plugin.{fixture}]\n{key} = \"{place}\"")).up()
}

/// A swap of `name` 1.0.0 to 1.1.0 in which one side misbehaves at `place`. It must not happen, and nothing is lost.
fn swap_given_up(name: &str, key: &str, place: &str) -> Receipt {
    let mut bay = bay(name, key, place);
    bay.drop_in(name, &fixture(name));
    bay.wait_version(name, "1.0.0");
    bay.call(&format!("{name}.add"), "");
    bay.drop_in(name, &fixture(&format!("{name}_next")));
    let receipt = bay.wait_receipt(name, 1);
    assert_eq!(receipt.outcome, Outcome::RolledBack, "{place}: {receipt:?}");
    bay.assert_alive();
    let row = bay.row(name).unwrap();
    assert_eq!((row.phase, row.version.as_deref(), row.generation), (Phase::Running, Some("1.0.0"), Some(1)));
    assert_eq!(bay.call(&format!("{name}.count"), ""), "1", "{place}");
    if (name, place) != ("hangs", "export") {
        // An export that hangs holds the lock that every writer needs: that is the plugin's own loss.
        assert_eq!(bay.call(&format!("{name}.add"), ""), "2", "{place}");
    }
    receipt
}

/// A next version whose `create` misbehaves: before the host maps it, in the probe, or without one in the host. Each has its words.
fn next_refused_in_create(name: &str, words: [&str; 2]) {
    for (probe, words) in ["cached", "off"].into_iter().zip(words) {
        let settings = format!("{DEADLINES}[probe]\nmode = \"{probe}\"\ndeadline_ms = 1200\n");
        let mut bay = Bay::with(&format!("{settings}[plugin.{name}]\nnew = \"create\"")).up();
        bay.drop_in(name, &fixture(name));
        bay.wait_version(name, "1.0.0");
        bay.call(&format!("{name}.add"), "");
        bay.drop_in(name, &fixture(&format!("{name}_next")));
        bay.wait_for(name, |row| row.reason.as_ref().is_some_and(|reason| reason.contains(words)));
        bay.assert_alive();
        assert_eq!(bay.call(&format!("{name}.add"), ""), "2", "probe {probe}");
        let row = bay.wait_phase(name, Phase::Running);
        assert_eq!((row.version.as_deref(), row.generation), (Some("1.0.0"), Some(1)));
    }
}

/// A swap that happens although the old version misbehaves at `place`.
fn swap_goes_on(name: &str, place: &str) -> Receipt {
    let mut bay = bay(name, "old", place);
    bay.drop_in(name, &fixture(name));
    bay.wait_version(name, "1.0.0");
    bay.call(&format!("{name}.add"), "");
    bay.drop_in(name, &fixture(&format!("{name}_next")));
    bay.wait_version(name, "1.1.0");
    let receipt = bay.wait_receipt(name, 1);
    assert_eq!(receipt.outcome, Outcome::Committed, "{receipt:?}");
    assert_eq!(bay.call(&format!("{name}.add"), ""), "2", "{place}");
    bay.assert_alive();
    receipt
}

/// Drops version 1.0.0 that misbehaves at `place`, and answers why it does not run.
fn not_started(name: &str, place: &str) -> String {
    let mut bay = bay(name, "old", place);
    bay.drop_in(name, &fixture(name));
    let row = bay.wait_for(name, |row| matches!(row.phase, Phase::Faulted | Phase::Rejected));
    bay.assert_alive();
    let start = bay.hotbay(&["start", name]);
    assert!(matches!(start.code, 1 | 4 | 7), "{start:?}");
    row.reason.unwrap()
}

#[test]
fn panics_in_create_of_the_next_version() {
    next_refused_in_create("panics", ["no luck in create"; 2]);
}

#[test]
fn fails_in_create_of_the_next_version() {
    next_refused_in_create("fails", ["find any luck in create"; 2]);
}

#[test]
fn hangs_in_create_of_the_next_version() {
    next_refused_in_create("hangs", ["it hangs while creating the plugin", "its constructor hangs"]);
}

#[test]
fn panics_in_import_or_start_of_the_next_version() {
    for place in ["import", "start"] {
        let reason = swap_given_up("panics", "new", place).reason.unwrap();
        assert!(reason.contains(&format!("no luck in {place}")) && reason.contains("panics"), "{reason}");
    }
}

#[test]
fn panics_in_pause_or_export_of_the_old_version() {
    for place in ["pause", "export"] {
        let reason = swap_given_up("panics", "old", place).reason.unwrap();
        assert!(reason.contains(&format!("no luck in {place}")), "{reason}");
    }
}

#[test]
fn panics_in_stop_or_destroy_of_the_old_version_and_the_swap_goes_on() {
    for place in ["stop", "destroy"] {
        swap_goes_on("panics", place);
    }
}

#[test]
fn panics_in_start_and_is_faulted() {
    let reason = not_started("panics", "start");
    assert!(reason.contains("no luck in start"), "{reason}");
}

#[test]
fn panics_in_a_call_and_stays() {
    let bay = bay("panics", "old", "call");
    bay.drop_in("panics", &fixture("panics"));
    bay.wait_version("panics", "1.0.0");
    for _ in 0..3 {
        let ran = bay.hotbay(&["call", "panics.add"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.contains("no luck in call") && ran.stderr.contains("panics.rs:"), "{ran:?}");
    }
    assert_eq!(bay.call("panics.count", ""), "0");
    assert_eq!(bay.row("panics").unwrap().generation, Some(1));
}

#[test]
fn panics_in_stop_and_stops() {
    let bay = bay("panics", "old", "stop");
    bay.drop_in("panics", &fixture("panics"));
    bay.wait_version("panics", "1.0.0");
    bay.call("panics.add", "");
    bay.ok(&["stop", "panics"]);
    bay.wait_phase("panics", Phase::Stopped);
    assert!(bay.log().contains("no luck in stop"));
    bay.ok(&["start", "panics"]);
    assert_eq!(bay.call("panics.add", ""), "2");
}

#[test]
fn fails_in_import_or_start_of_the_next_version() {
    for place in ["import", "start"] {
        let reason = swap_given_up("fails", "new", place).reason.unwrap();
        assert!(reason.contains(&format!("find any luck in {place}")), "{reason}");
    }
}

#[test]
fn fails_in_pause_or_export_of_the_old_version() {
    for place in ["pause", "export"] {
        let reason = swap_given_up("fails", "old", place).reason.unwrap();
        assert!(reason.contains(&format!("find any luck in {place}")), "{reason}");
    }
}

#[test]
fn fails_in_start_and_is_faulted() {
    let reason = not_started("fails", "start");
    assert!(reason.contains("find any luck in start"), "{reason}");
}

#[test]
fn fails_in_a_call_with_its_own_words_only() {
    let bay = bay("fails", "old", "call");
    bay.drop_in("fails", &fixture("fails"));
    bay.wait_version("fails", "1.0.0");
    let ran = bay.hotbay(&["call", "fails.add"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.contains("find any luck in call"), "{ran:?}");
}

#[test]
fn hangs_in_import_or_start_of_the_next_version() {
    for place in ["import", "start"] {
        let reason = swap_given_up("hangs", "new", place).reason.unwrap();
        assert!(reason.contains(place), "{reason}");
    }
}

#[test]
fn hangs_in_pause_or_export_of_the_old_version() {
    for place in ["pause", "export"] {
        let reason = swap_given_up("hangs", "old", place).reason.unwrap();
        assert!(reason.contains(place), "{reason}");
    }
}

#[test]
fn hangs_in_start_and_is_faulted() {
    let reason = not_started("hangs", "start");
    assert!(reason.contains("start"), "{reason}");
}

#[test]
fn hangs_in_a_call_which_costs_that_caller_its_deadline_and_nobody_else() {
    let mut bay = bay("hangs", "old", "call");
    bay.drop_in("hangs", &fixture("hangs"));
    bay.wait_version("hangs", "1.0.0");
    let ran = bay.hotbay(&["call", "hangs.add", "--timeout", "500ms"]);
    assert_eq!(ran.code, 7, "{ran:?}");
    assert_eq!(bay.call("hangs.count", ""), "0");
    bay.assert_alive();
}

#[test]
fn hangs_in_each_export_of_a_snapshot_and_does_not_eat_the_hosts_threads() {
    let settings = "[swap]\ncallback_ms = 300\n[plugin.hangs]\nold = \"export\"";
    let mut bay = Bay::with(settings).up();
    bay.drop_in("hangs", &fixture("hangs"));
    bay.wait_version("hangs", "1.0.0");
    // Threads are counted on Linux only; elsewhere the host has to live through it.
    let threads = |bay: &Bay| hotbay_tests::census(bay.pid()).map_or(0, |census| census.threads);
    let before = threads(&bay);
    // Some ten exports time out.
    hotbay_tests::never_within(std::time::Duration::from_secs(3), "a thread is lost per snapshot", || {
        threads(&bay) > before + 6
    });
    bay.assert_alive();
    // Readers of the plugin's own lock are free; the export that hangs holds off its writers only.
    assert_eq!(bay.call("hangs.count", ""), "0");
}
