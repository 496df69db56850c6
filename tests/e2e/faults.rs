//! The host itself fails, panics or hangs at each step of a swap, by injection: the old version serves on with its state,
//! callers notice a pause at most, the reason is on record, and the next attempt succeeds.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use hotbay::kernel::view::{Outcome, Phase};
use hotbay_tests::{Bay, edited, eventually, fixture, with_version};

/// Short, for the callbacks that hang; no snapshots between swaps.
const SETTINGS: &str = "[swap]\ncallback_ms = 1500\ndrain_ms = 1500\n[state]\ninterval_ms = 600000\n";

/// A fault at a step, and the words that tell of it.
struct Case {
    point: &'static str,
    action: &'static str,
    told: &'static str,
}

const fn case(point: &'static str, action: &'static str, told: &'static str) -> Case {
    Case { point, action, told }
}

/// The service of a case: a counter under a name of its own, so that the fault hits nobody else.
fn name_of(at: usize) -> String {
    format!("cntr{at:03}")
}

/// `counter`, as a library of that service.
fn counter(bay: &Bay, name: &str) -> Vec<u8> {
    let plugin = fixture("counter");
    let bytes = edited(&plugin, r#""name":"counter""#, &format!(r#""name":"{name}""#));
    std::fs::write(bay.path(name), &bytes).unwrap();
    bytes
}

/// A host in which each case has its fault, and a service.
fn bay_of(cases: &[Case]) -> Bay {
    let mut bay = Bay::with(SETTINGS);
    let faults: Vec<String> = cases
        .iter()
        .enumerate()
        .map(|(at, case)| format!("{}@{}={}", case.point, name_of(at), case.action))
        .collect();
    for at in 0..cases.len() {
        bay.drop_bytes(&name_of(at), &counter(&bay, &name_of(at)));
    }
    bay.start_with(|command| _ = command.env("FAILPOINTS", faults.join(";")));
    bay
}

/// Counts on and on, one after the other, while `body` runs; each call must be answered, by the next number.
fn counting<T>(bay: &Bay, name: &str, what: &str, body: impl FnOnce() -> T) -> T {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let caller = scope.spawn(|| {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                count += 1;
                let reply = bay.hotbay(&["call", &format!("{name}.add")]);
                assert_eq!((reply.code, reply.stdout), (0, count.to_string()), "{what}: {}", reply.stderr);
            }
        });
        // Also when the body fails: the scope waits for the caller.
        let done = catch_unwind(AssertUnwindSafe(body));
        over.store(true, Ordering::Relaxed);
        caller.join().unwrap();
        done.unwrap_or_else(|failed| resume_unwind(failed))
    })
}

/// Each case: a swap to 1.1.0 meets the fault and is given up; the fault is gone then, and a reload succeeds.
fn the_old_one_serves_on(cases: &[Case]) {
    let bay = bay_of(cases);
    for (at, Case { point, action, told }) in cases.iter().enumerate() {
        let (name, what) = (name_of(at), format!("{point}={action}"));
        bay.wait_version(&name, "1.0.0");
        let file = bay.file(&name).file_name().unwrap().to_str().unwrap().to_owned();
        std::fs::write(bay.path(&file), with_version(&bay.path(&name), "1.0.0", "1.1.0")).unwrap();
        counting(&bay, &name, &what, || {
            let added = bay.hotbay(&["add", &file]);
            assert_eq!(added.code, 5, "{what}: {added:?}");
            assert!(added.stderr.contains(told), "{what}: {added:?}");

            let row = bay.row(&name).unwrap();
            let serves = (row.phase, row.version.as_deref(), row.generation);
            assert_eq!(serves, (Phase::Running, Some("1.0.0"), Some(1)), "{what}: {row:?}");
            assert!(bay.ok(&["why", &name]).contains(told), "{what}");
            let receipt = bay.wait_receipt(&name, 1);
            assert_eq!(receipt.outcome, Outcome::RolledBack, "{what}");
            assert!(receipt.reason.is_some_and(|reason| reason.contains(told)), "{what}");
            assert_eq!((receipt.requests.lost, receipt.requests.duplicated), (0, 0), "{what}");

            let reloaded = bay.hotbay(&["reload", &name]);
            assert_eq!(reloaded.code, 0, "{what}: {reloaded:?}");
        });
        let row = bay.wait_version(&name, "1.1.0");
        assert_eq!(row.generation, Some(2), "{what}");
    }
}

/// Each case: a swap to 1.1.0 meets the fault and happens all the same.
fn the_swap_goes_on(cases: &[Case]) {
    let bay = bay_of(cases);
    for (at, Case { point, action, told }) in cases.iter().enumerate() {
        let (name, what) = (name_of(at), format!("{point}={action}"));
        bay.wait_version(&name, "1.0.0");
        let file = bay.file(&name).file_name().unwrap().to_str().unwrap().to_owned();
        std::fs::write(bay.path(&file), with_version(&bay.path(&name), "1.0.0", "1.1.0")).unwrap();
        counting(&bay, &name, &what, || {
            let added = bay.hotbay(&["add", &file]);
            assert_eq!(added.code, 0, "{what}: {added:?}");
        });
        assert_eq!(bay.wait_version(&name, "1.1.0").generation, Some(2), "{what}");
        let receipt = bay.wait_receipt(&name, 1);
        assert_eq!((receipt.requests.lost, receipt.requests.duplicated), (0, 0), "{what}");
        assert!(bay.log().contains(told), "{what}");
    }
}

// What a start passes through, too, meets its fault the second time.

#[test]
fn a_panic_of_what_reads_a_file_is_that_files_and_the_host_goes_on() {
    let mut bay = Bay::new();
    bay.start_with(|command| _ = command.env("FAILPOINTS", "read@bad=panic(no luck)"));
    bay.drop_in("bad", &fixture("stateless"));
    let row = bay.wait_phase("bad", Phase::Rejected);
    assert!(row.reason.as_ref().is_some_and(|why| why.contains("broke down over it")), "{row:?}");
    bay.drop_in("good", &fixture("stateless"));
    bay.wait_phase("stateless", Phase::Running);
}

#[test]
fn an_error_at_any_step_before_publish_keeps_the_old_version_serving() {
    const LATER: &str = "1*off->1*return(no luck)";
    const FIRST: &str = "1*return(no luck)";
    the_old_one_serves_on(&[
        case("verify", LATER, "no luck"),
        case("means", LATER, "no luck"),
        case("stage", LATER, "no luck"),
        case("probe", LATER, "no luck"),
        case("load", LATER, "failed to map the library"),
        case("layout", LATER, "failed to match the contract's layout: no luck"),
        case("create", LATER, "failed to create the plugin: no luck"),
        case("self_test", LATER, "no luck"),
        case("drain", FIRST, "did not end within"),
        case("pause", FIRST, "pause failed: no luck"),
        case("export", FIRST, "export failed: no luck"),
        case("seal", FIRST, "failed to seal the state: no luck"),
        case("import", FIRST, "import failed: no luck"),
        case("start", LATER, "start failed: no luck"),
        case("publish", FIRST, "failed to publish it: no luck"),
    ]);
}

#[test]
fn a_panic_of_the_host_at_any_step_before_publish_keeps_the_old_version_serving() {
    const LATER: &str = "1*off->1*panic(no luck)";
    const FIRST: &str = "1*panic(no luck)";
    const LANE: &str = "its lane broke down; this is a defect of the host";
    the_old_one_serves_on(&[
        case("verify", LATER, "a defect of the host: no luck"),
        case("stage", LATER, "a defect of the host: no luck"),
        case("probe", LATER, "a defect of the host: no luck"),
        case("load", LATER, LANE),
        case("layout", LATER, LANE),
        case("create", LATER, LANE),
        case("self_test", LATER, "at step `self_test`, a defect of the host: no luck"),
        case("drain", FIRST, "at step `drain`, a defect of the host: no luck"),
        case("pause", FIRST, LANE),
        case("export", FIRST, LANE),
        case("seal", FIRST, "at step `seal`, a defect of the host: no luck"),
        case("import", FIRST, LANE),
        case("start", LATER, LANE),
        case("publish", FIRST, "at step `publish`, a defect of the host: no luck"),
    ]);
}

#[test]
fn a_callback_that_hangs_keeps_the_old_version_serving() {
    const LATER: &str = "1*off->1*sleep(4000)";
    const FIRST: &str = "1*sleep(4000)";
    the_old_one_serves_on(&[
        case("create", LATER, "failed to create the plugin within 1500 ms"),
        case("pause", FIRST, "pause did not end within 1500 ms"),
        case("export", FIRST, "export did not end within 1500 ms"),
        case("import", FIRST, "import did not end within 1500 ms"),
        case("start", LATER, "start did not end within 1500 ms"),
    ]);
}

#[test]
fn a_host_that_is_slow_at_a_step_makes_callers_wait_and_no_more() {
    the_swap_goes_on(&[
        case("stage", "sleep(300)", ""),
        case("probe", "sleep(300)", ""),
        case("drain", "sleep(300)", ""),
        case("seal", "sleep(300)", ""),
        case("publish", "sleep(300)", ""),
    ]);
}

#[test]
fn a_stop_that_fails_and_a_full_disk_do_not_hold_up_a_swap() {
    the_swap_goes_on(&[
        case("stop", "1*return(no luck)", "stop failed: no luck"),
        case("stop", "1*panic(no luck)", "stop failed: its lane broke down"),
        case("stop", "1*sleep(4000)", "stop did not end within 1500 ms"),
        case("disk", "1*return(no space)", "failed to write the snapshot: no space"),
        case("disk", "1*panic(no space)", "at step `snapshot`, a defect of the host: no space"),
    ]);
}

#[test]
fn a_snapshot_that_a_full_disk_refused_is_written_later() {
    let mut bay = Bay::new();
    bay.drop_in("counter", &fixture("counter"));
    // A host that panics while it writes one does not lose the service either.
    bay.start_with(|command| _ = command.env("FAILPOINTS", "disk=2*return(no space)->1*panic(no space)"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    eventually("the snapshot", || bay.status("counter").snapshot);
    assert!(bay.log().contains("a defect of the host: no space"));
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn state_that_goes_to_the_disk_alone_is_there_before_the_old_version_ends() {
    let mut bay = Bay::with(SETTINGS);
    bay.drop_in("counter", &fixture("counter"));
    bay.start_with(|command| _ = command.env("FAILPOINTS", "disk=1*return(no space)"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    // The same service without state; spaces, since the length of the manifest stands before it.
    let stateless = edited(&fixture("stateless_next"), r#""name":"stateless""#, r#""name":"counter"  "#);
    let file = bay.file("counter").file_name().unwrap().to_str().unwrap().to_owned();
    std::fs::write(bay.path(&file), stateless).unwrap();
    let added = bay.hotbay(&["add", &file]);
    assert_eq!(added.code, 5, "{added:?}");
    assert!(added.stderr.contains("no space"), "{added:?}");
    assert_eq!(bay.call("counter.add", ""), "2");
    bay.ok(&["reload", "counter"]);
    assert!(bay.state_file("counter").exists());
}

#[test]
fn a_stateless_version_that_cannot_be_published_leaves_the_old_one_serving() {
    let mut bay = Bay::with(SETTINGS);
    bay.drop_in("stateless", &fixture("stateless"));
    bay.start_with(|command| _ = command.env("FAILPOINTS", "publish=1*return(no luck)->1*panic(no luck)"));
    bay.wait_version("stateless", "1.0.0");
    for attempt in 1..=2 {
        let reloaded = bay.hotbay(&["reload", "stateless"]);
        assert_eq!(reloaded.code, 5, "{reloaded:?}");
        assert!(reloaded.stderr.contains("no luck"), "{reloaded:?}");
        assert_eq!(bay.call("stateless.version", ""), "1.0.0");
        assert_eq!(bay.wait_receipt("stateless", attempt).outcome, Outcome::RolledBack);
    }
    bay.ok(&["reload", "stateless"]);
    assert_eq!(bay.wait_version("stateless", "1.0.0").generation, Some(2));
}

#[test]
fn a_swap_that_takes_both_sides_down_says_why_of_each_and_files_the_old_one_as_pinned() {
    let settings = "[swap]\ncallback_ms = 1200\n[plugin.hangs]\nold = \"stop\"\n";
    let mut bay = Bay::with(settings);
    bay.drop_in("hangs", &fixture("hangs"));
    bay.start_with(|command| _ = command.env("FAILPOINTS", "start=1*off->return(no port)"));
    bay.wait_version("hangs", "1.0.0");
    bay.drop_in("hangs", &fixture("hangs_next"));
    let row = bay.wait_for("hangs", |row| row.phase == Phase::Faulted);
    let reason = row.reason.unwrap();
    for part in ["no port", "the old generation cannot go on", "stop did not end"] {
        assert!(reason.contains(part), "{part}: {reason}");
    }
    let pinned = bay.status("hangs").pinned;
    assert_eq!(pinned.iter().map(|pinned| pinned.generation).collect::<Vec<_>>(), [1], "{pinned:?}");
}
