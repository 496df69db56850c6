//! The snapshots of a service: the last ones are kept, a damaged one is gone back from, an old one put back is noticed.

use hotbay::kernel::view::{Phase, Snapshot};
use hotbay_tests::{Bay, eventually, fixture, with_version};
use serde_json::Value;

/// A host on whose clock no snapshot is taken, so that each is one that was asked for.
fn bay() -> Bay {
    let bay = Bay::with("[state]\ninterval_ms = 3600000").up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay
}

/// Counts on, and asks for a snapshot.
fn count(bay: &Bay, times: u64) -> u64 {
    let mut sequence = 0;
    for _ in 0..times {
        bay.call("counter.add", "");
        sequence = snapshot(bay).sequence;
    }
    sequence
}

fn snapshot(bay: &Bay) -> Snapshot {
    serde_json::from_str(&bay.ok(&["state", "snapshot", "counter", "-o", "json"])).unwrap()
}

fn shown(bay: &Bay) -> Value {
    serde_json::from_str(&bay.hotbay(&["state", "show", "counter", "-o", "json"]).stdout).unwrap()
}

/// The numbers of what is kept, newest first.
fn sequences(bay: &Bay) -> Vec<u64> {
    let shown = shown(bay);
    let older = shown["older"].as_array().unwrap().iter();
    std::iter::once(&shown).chain(older).map(|one| one["header"]["sequence"].as_u64().unwrap()).collect()
}

/// Puts the snapshot before the newest one in its place.
fn put_older_back(bay: &Bay) {
    let older = shown(bay)["older"][0]["file"].as_str().unwrap().to_owned();
    std::fs::remove_file(bay.state_file("counter")).unwrap();
    std::fs::copy(older, bay.state_file("counter")).unwrap();
}

fn spoil(bay: &Bay) -> Vec<u8> {
    let path = bay.state_file("counter");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    // As a file of its own: another name of it stays as it is.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    bytes
}

#[test]
fn a_snapshot_that_was_asked_for_outlives_the_host_that_dies_at_once() {
    let mut bay = bay();
    let before = count(&bay, 3);
    assert_eq!(snapshot(&bay).sequence, before, "what is on the disk already is not written again");
    bay.kill();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "3");
    // There is nothing to be had of who keeps no state, does not run, or is not there.
    bay.drop_in("stateless", &fixture("stateless"));
    bay.wait_version("stateless", "1.0.0");
    assert_eq!(bay.hotbay(&["state", "snapshot", "stateless"]).code, 4);
    bay.ok(&["stop", "counter"]);
    assert_eq!(bay.hotbay(&["state", "snapshot", "counter"]).code, 4);
    assert_eq!(bay.hotbay(&["state", "snapshot", "nobody"]).code, 3);
}

#[test]
fn the_last_five_are_kept_and_any_of_them_is_gone_back_to() {
    let bay = bay();
    let last = count(&bay, 7);
    assert_eq!(sequences(&bay), (last - 4..=last).rev().collect::<Vec<_>>());
    let to = (last - 2).to_string();
    let refused = bay.hotbay(&["state", "restore", "counter", "--to", &to]);
    assert!(refused.code == 4 && refused.stderr.contains("hotbay stop counter"), "{refused:?}");
    bay.ok(&["stop", "counter"]);
    let gone = bay.hotbay(&["state", "restore", "counter", "--to", "1"]);
    assert!(gone.code == 3 && gone.stderr.contains(&last.to_string()), "{gone:?}");
    bay.ok(&["state", "restore", "counter", "--to", &to]);
    bay.ok(&["start", "counter"]);
    assert_eq!(bay.call("counter.count", ""), "5");
    assert_eq!(sequences(&bay)[..2], [last + 1, last]);
}

#[test]
fn a_damaged_newest_snapshot_is_gone_back_from_and_everybody_is_told() {
    let mut bay = bay();
    count(&bay, 3);
    bay.kill();
    let spoilt = spoil(&bay);
    let wrong = bay.hotbay(&["state", "verify", "counter"]);
    assert!(wrong.code == 1 && wrong.stderr.contains("counter.state"), "{wrong:?}");
    assert_eq!(std::fs::read(bay.state_file("counter")).unwrap(), spoilt, "looking touches nothing");

    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "2");
    let recovered = bay.status("counter").recovered.unwrap();
    assert!(recovered.contains("damaged") && recovered.contains("quarantine"), "{recovered}");
    assert!(recovered.contains("from snapshot 2 ") && recovered.contains("old, as "), "{recovered}");
    for told in [bay.ok(&["status", "counter"]), bay.ok(&["why", "counter"])] {
        assert!(told.contains(&recovered), "{told}");
    }
    assert!(bay.ok(&["events"]).contains("recovered"));
    let quarantined = &shown(&bay)["quarantined"][0];
    let file = quarantined["file"].as_str().unwrap();
    assert_eq!(std::fs::read(file).unwrap(), spoilt);
    assert!(quarantined["reason"].as_str().unwrap().starts_with("failed to "));
    assert!(std::fs::read_to_string(format!("{file}.reason")).unwrap().contains("counter.state"));
    bay.ok(&["state", "verify"]);

    bay.call("counter.add", "");
    bay.ok(&["stop", "counter"]);
    bay.kill();
    bay.start();
    bay.wait_phase("counter", Phase::Stopped);
    bay.ok(&["start", "counter"]);
    assert_eq!(bay.call("counter.count", ""), "3");
}

#[test]
fn an_old_snapshot_put_back_is_not_used_until_somebody_accepts_it() {
    let mut bay = bay();
    let last = count(&bay, 3);
    bay.ok(&["stop", "counter"]);
    bay.ok(&["start", "counter"]);
    bay.kill();
    put_older_back(&bay);
    bay.start();
    let reason = bay.wait_phase("counter", Phase::Quarantined).reason.unwrap();
    let advice = format!("hotbay state restore counter --to {}", last - 1);
    assert!(reason.contains(&advice), "{reason}");
    let verified = bay.hotbay(&["state", "verify"]);
    assert!(verified.code == 1 && verified.stderr.contains(&advice), "{verified:?}");
    bay.ok(&["state", "restore", "counter", "--to", &(last - 1).to_string()]);
    bay.ok(&["start", "counter"]);
    assert_eq!(bay.call("counter.count", ""), "2");
}

#[test]
fn an_old_snapshot_put_back_behind_a_swap_is_noticed_though_the_host_died() {
    let mut bay = bay();
    count(&bay, 2);
    bay.drop_bytes("counter", &with_version(&fixture("counter"), "1.0.0", "1.0.1"));
    bay.wait_version("counter", "1.0.1");
    // Written beside the swap; the event comes behind `HEAD`.
    eventually("the snapshot of the swap", || bay.ok(&["events"]).contains("snapshot").then_some(()));
    bay.kill();
    put_older_back(&bay);
    bay.start();
    let reason = bay.wait_phase("counter", Phase::Quarantined).reason.unwrap();
    assert!(reason.contains("there was a newer one"), "{reason}");
}

#[test]
fn a_snapshot_that_is_gone_is_no_empty_state() {
    let mut bay = bay();
    count(&bay, 2);
    bay.ok(&["stop", "counter"]);
    bay.ok(&["start", "counter"]);
    bay.kill();
    std::fs::remove_file(bay.state_file("counter")).unwrap();
    bay.start();
    let reason = bay.wait_phase("counter", Phase::Quarantined).reason.unwrap();
    assert!(reason.contains("gone") && reason.contains("--fresh"), "{reason}");
    bay.ok(&["start", "counter", "--fresh"]);
    assert_eq!(bay.call("counter.count", ""), "0");
    // That it is gone is in order now, also for a host that died before it wrote another.
    bay.kill();
    bay.start();
    bay.wait_version("counter", "1.0.0");
}

#[test]
fn state_is_exported_sealed_compared_and_imported_without_a_host() {
    let mut bay = bay();
    let last = count(&bay, 3);
    assert_eq!(bay.stop(), Some(0));
    let diff: Value = serde_json::from_str(&bay.ok(&["state", "diff", "counter", "-o", "json"])).unwrap();
    assert_eq!(
        (&diff["from"], &diff["to"], &diff["equal"]),
        (&(last - 1).into(), &last.into(), &false.into())
    );
    assert!(diff["changes"][0]["to"].is_null(), "content is shown to who asks for it: {diff}");
    let plainly = bay.ok(&["state", "diff", "counter", "--plain"]);
    assert!(plainly.contains("2 → 3"), "{plainly}");

    let at = (last - 1).to_string();
    bay.ok(&["state", "export", "counter", "sealed", "--at", &at]);
    let twice = bay.hotbay(&["state", "export", "counter", "sealed"]);
    assert_eq!(twice.code, 4, "{twice:?}");
    bay.ok(&["state", "export", "counter", "plain", "--plain"]);
    let sealed = std::fs::read(bay.path("sealed")).unwrap();
    let plain = std::fs::read(bay.path("plain")).unwrap();
    assert!(!sealed.windows(plain.len()).any(|window| window == plain), "it stands there in the clear");
    assert_eq!(bay.hotbay(&["state", "import", "counter", "plain"]).code, 1, "it is no capsule");
    bay.ok(&["state", "import", "counter", "sealed"]);
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "2");
    assert_eq!(bay.stop(), Some(0));
    let arguments =
        ["state", "import", "counter", "plain", "--plain", "--schema", "1", "--from-version", "1.0.0"];
    bay.ok(&arguments);
    bay.ok(&["state", "restore", "counter", "--to", &at]);
    bay.ok(&["state", "prune", "--keep", "2"]);
    assert_eq!(sequences(&bay).len(), 2);
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "2");
}

#[test]
fn what_a_crash_left_half_written_is_cleaned_and_the_newest_is_there() {
    let mut bay = bay();
    count(&bay, 2);
    bay.kill();
    let left = bay.home().join("state").join(".counter.state.1-2.tmp");
    std::fs::write(&left, "half").unwrap();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert!(!left.exists());
    assert_eq!(bay.call("counter.count", ""), "2");
    eventually("the state is there", || bay.state_file("counter").exists().then_some(()));
}

#[test]
fn a_snapshot_that_was_asked_for_is_written_again_where_the_file_is_not_what_was_written() {
    let mut bay = bay();
    let last = count(&bay, 2);
    spoil(&bay);
    assert_eq!(snapshot(&bay).sequence, last + 1);
    bay.kill();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!((bay.call("counter.count", ""), bay.status("counter").recovered), ("2".to_owned(), None));
}

#[test]
fn nobody_is_verified_who_has_no_state_and_nothing_is_pruned_whose_newest_does_not_open() {
    let mut bay = bay();
    count(&bay, 4);
    assert_eq!(bay.stop(), Some(0));
    bay.ok(&["state", "verify", "counter"]);
    assert_eq!(bay.hotbay(&["state", "verify", "countre"]).code, 3);
    spoil(&bay);
    let older = || std::fs::read_dir(bay.home().join("state").join("older")).unwrap().count();
    let before = older();
    let refused = bay.hotbay(&["state", "prune", "--keep", "1", "--aside"]);
    assert!(refused.code == 4 && refused.stderr.contains("does not open"), "{refused:?}");
    assert_eq!(older(), before);
}

#[test]
fn what_changes_files_does_not_go_by_settings_that_cannot_be_read_and_removes_none_that_a_host_keeps() {
    let mut bay = Bay::with("[state]\ninterval_ms = 3600000\nkeep = 9").up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    let last = count(&bay, 8);
    assert_eq!(bay.stop(), Some(0));
    let settings = std::fs::read(bay.path("hotbay.toml")).unwrap();
    std::fs::write(bay.path("hotbay.toml"), "[state]\nkeep = ").unwrap();
    let to = last.to_string();
    for refused in [
        &["state", "restore", "counter", "--to", &to][..],
        &["state", "prune", "--keep", "1"],
        &["state", "verify"],
        &["keys", "rotate"],
    ] {
        let refused = bay.hotbay(refused);
        assert!(refused.code != 0 && refused.stderr.contains("hotbay.toml"), "{refused:?}");
    }
    bay.ok(&["state", "list"]);
    std::fs::write(bay.path("hotbay.toml"), settings).unwrap();
    bay.ok(&["state", "restore", "counter", "--to", &to]);
    assert_eq!(sequences(&bay).len() as u64, last + 1);
    let aside = shown(&bay)["aside"][0]["header"]["sequence"].as_u64();
    assert_eq!(aside, Some(last), "what was replaced is shown");
}

#[test]
fn a_service_does_not_start_and_nothing_else_is_restored_while_its_state_is_exchanged() {
    let mut bay = Bay::with("[state]\ninterval_ms = 3600000");
    bay.drop_in("counter", &fixture("counter"));
    bay.start_with(|command| _ = command.env("FAILPOINTS", "restore@counter=sleep(3000)"));
    bay.wait_version("counter", "1.0.0");
    let last = count(&bay, 3);
    bay.ok(&["stop", "counter"]);
    let to = (last - 2).to_string();
    let restore = || bay.hotbay(&["state", "restore", "counter", "--to", &to]);
    std::thread::scope(|scope| {
        let first = scope.spawn(restore);
        let second = restore();
        bay.ok(&["start", "counter"]);
        let both = [first.join().unwrap(), second];
        let refused: Vec<_> = both.iter().filter(|done| done.code != 0).collect();
        assert!(refused.len() == 1 && refused[0].stderr.contains("on its way"), "{both:?}");
    });
    assert_eq!(bay.call("counter.count", ""), "1");
}
