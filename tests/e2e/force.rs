//! `--force`: a version that does not hand its state over is replaced all the same, and what that cost is said.

use std::process::{Child, Stdio};

use hotbay::kernel::view::{Outcome, Phase};
use hotbay_tests::{Bay, eventually, fixture, with_version};

/// No snapshots between swaps, and deadlines that are to pass.
const SETTINGS: &str = "[swap]\ncallback_ms = 1500\ndrain_ms = 500\n[state]\ninterval_ms = 600000\n";

/// A host with these faults and `counter`, which counted once, wrote its snapshot when it was stopped, and counted again.
fn counted_twice_and_snapshotted_once(faults: &str) -> Bay {
    let mut bay = Bay::with(SETTINGS);
    bay.drop_in("counter", &fixture("counter"));
    bay.start_with(|command| _ = command.env("FAILPOINTS", faults));
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "1");
    bay.ok(&["stop", "counter"]);
    bay.ok(&["start", "counter"]);
    assert_eq!(bay.call("counter.add", ""), "2");
    bay
}

/// A reload is given up, and one by force goes on from the snapshot on disk.
fn goes_on_from_the_snapshot(faults: &str, told: &str) {
    let bay = counted_twice_and_snapshotted_once(faults);
    let called_off = bay.hotbay(&["reload", "counter"]);
    assert_eq!(called_off.code, 5, "{called_off:?}");
    assert!(called_off.stderr.contains(told), "{called_off:?}");
    assert_eq!(bay.call("counter.count", ""), "2");

    let forced = bay.hotbay(&["reload", "counter", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    for words in ["forced: it went on from snapshot 1, which was", "what changed since is lost", told] {
        assert!(forced.stderr.contains(words), "{words}: {forced:?}");
        assert!(bay.ok(&["history", "counter"]).contains(words), "{words}");
    }
    let receipt = bay.wait_receipt("counter", 2);
    assert_eq!(receipt.outcome, Outcome::Committed);
    assert!(receipt.forced.is_some_and(|cost| cost.contains(told)));
    assert_eq!(bay.call("counter.count", ""), "1");
    assert_eq!(bay.row("counter").unwrap().generation, Some(2));
}

#[test]
fn an_export_that_fails_is_done_without() {
    goes_on_from_the_snapshot("export=1*off->return(no luck)", "export failed: no luck");
}

#[test]
fn an_export_that_hangs_is_done_without() {
    goes_on_from_the_snapshot("export=1*off->sleep(2500)", "export did not end within 1500 ms");
}

#[test]
fn without_a_snapshot_there_is_nothing_to_go_on_from() {
    let mut bay = Bay::with(SETTINGS);
    bay.drop_in("counter", &fixture("counter"));
    bay.start_with(|command| _ = command.env("FAILPOINTS", "export=return(no luck)"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    let forced = bay.hotbay(&["reload", "counter", "--force"]);
    assert_eq!(forced.code, 5, "{forced:?}");
    assert!(forced.stderr.contains("service `counter` has no snapshot to go on from"), "{forced:?}");
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn force_costs_nothing_where_the_old_version_hands_its_state_over() {
    let bay = counted_twice_and_snapshotted_once("");
    let forced = bay.hotbay(&["reload", "counter", "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    assert_eq!(bay.wait_receipt("counter", 1).forced, None);
    assert_eq!(bay.call("counter.add", ""), "3");
}

#[test]
fn a_forced_candidate_that_does_not_start_leaves_the_old_version_with_its_newest_state() {
    let bay =
        counted_twice_and_snapshotted_once("export=1*off->return(no luck);start=3*off->1*return(no port)");
    // The starts before: at first, after the stop, and again when this swap is undone.
    bay.ok(&["reload", "counter", "--force"]);
    assert_eq!(bay.call("counter.add", ""), "2");
    let forced = bay.hotbay(&["reload", "counter", "--force"]);
    assert_eq!(forced.code, 5, "{forced:?}");
    assert!(forced.stderr.contains("no port"), "{forced:?}");
    assert_eq!(bay.wait_receipt("counter", 2).forced, None);
    assert_eq!(bay.call("counter.add", ""), "3");
}

/// A call that stays inside for some seconds, in a process of its own.
fn call_that_stays(bay: &Bay, milliseconds: &str) -> Child {
    let mut command = bay.command();
    command.args(["call", "holds_calls.hold", "-d", milliseconds]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn holds_calls_past_the_deadline_and_is_replaced_beside_them() {
    let bay = Bay::with(SETTINGS).up();
    bay.drop_in("holds_calls", &fixture("holds_calls"));
    bay.wait_version("holds_calls", "1.0.0");
    let staying = call_that_stays(&bay, "6000");
    let file = bay.file("holds_calls").file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::write(bay.path(&file), with_version(&fixture("holds_calls"), "1.0.0", "1.1.0")).unwrap();
    eventually("the call is inside", || bay.log().contains("holding").then_some(()));
    let called_off = bay.hotbay(&["add", &file]);
    assert_eq!(called_off.code, 5, "{called_off:?}");
    assert!(called_off.stderr.contains("calls inside it did not end within 500 ms"), "{called_off:?}");
    assert_eq!(bay.row("holds_calls").unwrap().version.as_deref(), Some("1.0.0"));

    let forced = bay.hotbay(&["add", &file, "--force"]);
    assert_eq!(forced.code, 0, "{forced:?}");
    let words = "what changed since is lost; calls inside it did not end within 500 ms";
    assert!(
        forced.stderr.contains("forced: it went on from snapshot") && forced.stderr.contains(words),
        "{forced:?}"
    );
    let row = bay.row("holds_calls").unwrap();
    assert_eq!((row.phase, row.version.as_deref()), (Phase::Running, Some("1.1.0")));
    assert_eq!(bay.call("holds_calls.add", ""), "1");

    // It ends on the old code, which goes then.
    let stayed = staying.wait_with_output().unwrap();
    assert!(stayed.status.success());
    assert_eq!(stayed.stdout, b"held");
    eventually("the old code is unloaded", || bay.status("holds_calls").pinned.is_empty().then_some(()));
    let receipt = bay.wait_receipt("holds_calls", 2);
    assert_eq!((receipt.requests.lost, receipt.requests.duplicated), (0, 0), "{receipt:?}");
    // Inside when the one was called off, and when the other left the old version: it is in one of the two.
    let old: u64 = bay.history("holds_calls").iter().map(|receipt| receipt.requests.old).sum();
    assert_eq!(old, 1, "{:?}", bay.history("holds_calls"));
}
