//! A migration is tried on a copy first: what would fail is found while nobody waits.

use hotbay::kernel::view::{Outcome, Phase, Receipt, Retired};
use hotbay_tests::{Bay, Ran, eventually, example, fixture, resident_bytes, with_version};

/// Adds a fixture under the name of another.
fn add(bay: &Bay, file: &str, fixture_name: &str) -> Ran {
    let named = bay.file(file).file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::copy(fixture(fixture_name), bay.path(&named)).unwrap();
    bay.hotbay(&["add", &named])
}

/// Nobody waited: the gate was not even closed.
fn assert_not_begun(receipt: &Receipt, told: &str) {
    assert_eq!(receipt.outcome, Outcome::RolledBack, "{receipt:?}");
    for told_by in [&receipt.reason, &receipt.rehearsal] {
        assert!(told_by.as_ref().is_some_and(|text| text.contains(told)), "{receipt:?}");
    }
    assert!(receipt.stages_us.contains_key("rehearse"), "{receipt:?}");
    assert!(!receipt.stages_us.contains_key("drain"), "{receipt:?}");
    assert_eq!(receipt.retired, Retired::Unloaded, "{receipt:?}");
}

#[test]
fn fails_in_import_and_is_found_before_callers_wait() {
    let bay = Bay::started();
    assert_eq!(add(&bay, "counter", "counter").code, 0);
    bay.call("counter.add", "");
    let added = add(&bay, "counter", "fails_in_import");
    assert_eq!(added.code, 5, "{added:?}");
    assert!(added.stderr.contains("from schema 1 to 2") && added.stderr.contains("tea leaves"), "{added:?}");
    assert_not_begun(&bay.wait_receipt("counter", 1), "read the tea leaves");
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn fails_in_import_and_is_found_behind_the_gate_without_a_rehearsal() {
    let bay = Bay::with("[swap]\nrehearse = \"never\"").up();
    assert_eq!(add(&bay, "counter", "counter").code, 0);
    assert_eq!(add(&bay, "counter", "fails_in_import").code, 5);
    let receipt = bay.wait_receipt("counter", 1);
    assert_eq!(receipt.rehearsal.as_deref(), Some("skipped"));
    assert!(receipt.stages_us.contains_key("import"), "{receipt:?}");
    assert_eq!(bay.call("counter.add", ""), "1");
}

#[test]
fn fails_on_the_way_back_and_is_found_before_callers_wait() {
    let bay = Bay::started();
    assert_eq!(add(&bay, "counter", "fails_on_the_way_back").code, 0);
    bay.call("counter.add", "");
    let added = add(&bay, "counter", "counter_next");
    assert_eq!(added.code, 5, "{added:?}");
    assert!(added.stderr.contains("back from schema 2 to 1"), "{added:?}");
    assert_not_begun(&bay.wait_receipt("counter", 1), "back");
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn fails_to_step_down_and_is_found_before_callers_wait() {
    let bay = Bay::started();
    assert_eq!(add(&bay, "counter", "counter").code, 0);
    bay.call("counter.add", "");
    let added = add(&bay, "counter", "fails_to_step_down");
    assert_eq!(added.code, 5, "{added:?}");
    assert!(added.stderr.contains("make 1 any older"), "{added:?}");
    assert_not_begun(&bay.wait_receipt("counter", 1), "migrate state from schema 2 to 1");
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn a_migration_that_works_is_rehearsed_and_leaves_no_twin_behind() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.call("echo.echo", "");
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    let receipt = bay.wait_receipt("echo", 1);
    assert_eq!((receipt.outcome, receipt.retired), (Outcome::Committed, Retired::Unloaded), "{receipt:?}");
    assert_eq!(receipt.rehearsal.as_deref(), Some("passed"));
    assert!(bay.ok(&["history", "echo"]).contains("rehearsal passed"));
    assert!(bay.ok(&["status", "echo"]).contains("rehearsal passed"));
}

#[test]
fn every_swap_is_rehearsed_where_that_is_asked_for() {
    for (setting, rehearsal) in [("always", "passed"), ("schema", "skipped")] {
        let bay = Bay::with(&format!("[swap]\nrehearse = \"{setting}\"")).up();
        bay.drop_in("counter", &fixture("counter"));
        bay.wait_version("counter", "1.0.0");
        bay.call("counter.add", "");
        for swap in 1..=3 {
            let (from, to) = ("1.0.0", format!("1.{swap}.0"));
            bay.drop_bytes("counter", &with_version(&fixture("counter"), from, &to));
            bay.wait_version("counter", &to);
            let receipt = bay.wait_receipt("counter", swap);
            assert_eq!(receipt.rehearsal.as_deref(), Some(rehearsal), "{setting}");
            assert_eq!(receipt.retired, Retired::Unloaded, "{setting}: {receipt:?}");
        }
        assert_eq!(bay.call("counter.add", ""), "2");
    }
}

#[test]
fn permits_one_instance_and_is_swapped_without_a_rehearsal() {
    let bay = Bay::with("[swap]\nrehearse = \"always\"").up();
    let (name, file) = ("permits_one_instance", fixture("permits_one_instance"));
    bay.drop_in(name, &file);
    bay.wait_version(name, "1.0.0");
    for (swap, (from, to)) in [("1.0.0", "1.1.0"), ("1.0.0", "1.2.0")].into_iter().enumerate() {
        bay.call("permits_one_instance.add", "");
        bay.drop_bytes(name, &with_version(&file, from, to));
        bay.wait_version(name, to);
        let rehearsal = bay.wait_receipt(name, swap + 1).rehearsal.unwrap();
        assert!(
            rehearsal.starts_with("skipped: ") && rehearsal.contains("second of its kind"),
            "{rehearsal}"
        );
    }
    assert_eq!(bay.call("permits_one_instance.add", ""), "3");
}

#[test]
fn calls_in_create_and_is_refused_in_a_twin_too() {
    let bay = Bay::with("[swap]\nrehearse = \"always\"").up();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let (name, file) = ("calls_in_create", fixture("calls_in_create"));
    bay.drop_in(name, &file);
    bay.wait_version(name, "1.0.0");
    bay.drop_bytes(name, &with_version(&file, "1.0.0", "1.1.0"));
    bay.wait_version(name, "1.1.0");
    assert_eq!(bay.wait_receipt(name, 1).rehearsal.as_deref(), Some("passed"));
    assert_eq!(bay.call("echo.count", ""), "0");
}

#[test]
fn hangs_in_import_of_a_twin_and_nobody_waits_for_it() {
    let settings = "[swap]\nrehearse = \"always\"\ncallback_ms = 1000\n[plugin.hangs]\nnew = \"import\"";
    let mut bay = Bay::with(settings).up();
    assert_eq!(add(&bay, "hangs", "hangs").code, 0);
    bay.call("hangs.add", "");
    let added = add(&bay, "hangs", "hangs_next");
    assert_eq!(added.code, 5, "{added:?}");
    assert!(added.stderr.contains("import of its twin did not end within 1000 ms"), "{added:?}");
    let receipt = bay.wait_receipt("hangs", 1);
    assert!(!receipt.stages_us.contains_key("drain"), "{receipt:?}");
    // Its thread is inside for good.
    assert_eq!(receipt.retired, Retired::Pinned);
    assert_eq!(bay.call("hangs.add", ""), "2");
    bay.assert_alive();
}

#[test]
fn exports_without_end_and_stops_only_by_force_also_when_its_file_is_gone() {
    let bay = Bay::with("[state]\nmax_bytes = 100000").up();
    let name = "exports_without_end";
    assert_eq!(add(&bay, name, name).code, 0);
    let file = bay.row(name).unwrap().source.unwrap();
    let refused = bay.hotbay(&["stop", name]);
    assert!(
        refused.code == 1 && refused.stderr.contains("`hotbay stop exports_without_end --force`"),
        "{refused:?}"
    );
    std::fs::remove_file(file).unwrap();
    eventually("it is told why it serves on", || bay.row(name)?.reason);
    assert_eq!(bay.call("exports_without_end.ping", ""), "pong");
    let forced = bay.hotbay(&["stop", name, "--force"]);
    assert!(forced.code == 0 && forced.stderr.contains("its newest state is lost"), "{forced:?}");
    eventually("the host has forgotten it", || bay.row(name).is_none().then_some(()));
    let several = bay.hotbay(&["stop", "--force", "a", "b"]);
    assert!(several.code == 2 && several.stderr.contains("name one"), "{several:?}");
}

#[test]
fn exports_without_end_and_is_stopped_at_the_limit() {
    let mut bay = Bay::with("[state]\nmax_bytes = 100000").up();
    assert_eq!(add(&bay, "exports_without_end", "exports_without_end").code, 0);
    let before = resident_bytes(bay.pid());
    for attempt in 1..=3 {
        let reloaded = bay.hotbay(&["reload", "exports_without_end"]);
        assert_eq!(reloaded.code, 5, "{reloaded:?}");
        let words = "export wrote more than 100000 bytes: let plugin `exports_without_end` keep less, or raise `max_bytes`";
        assert!(reloaded.stderr.contains(words), "{reloaded:?}");
        assert_eq!(bay.wait_receipt("exports_without_end", attempt).outcome, Outcome::RolledBack);
        assert_eq!(bay.call("exports_without_end.ping", ""), "pong");
    }
    bay.assert_alive();
    assert_eq!(bay.row("exports_without_end").unwrap().phase, Phase::Running);
    if let (Some(before), Some(after)) = (before, resident_bytes(bay.pid())) {
        assert!(after < before + (16 << 20), "{before} bytes became {after}");
    }
}
