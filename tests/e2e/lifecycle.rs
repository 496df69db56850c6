//! Stop, start, reload, remove: what an operator asks for holds.

use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, eventually, fixture, with_version};

fn counting() -> Bay {
    let bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay
}

#[test]
fn a_stop_holds_until_start_also_over_a_restart_and_a_new_version() {
    let mut bay = counting();
    bay.ok(&["stop", "counter"]);
    assert_eq!(bay.row("counter").unwrap().phase, Phase::Stopped);
    let call = bay.hotbay(&["call", "counter.count"]);
    assert_ne!(call.code, 0);
    assert!(call.stderr.contains("stopped"), "{call:?}");

    bay.kill();
    bay.start();
    bay.wait_phase("counter", Phase::Stopped);

    bay.drop_bytes("counter", &with_version(&fixture("counter"), "1.0.0", "1.1.0"));
    bay.wait_for("counter", |row| row.version.as_deref() == Some("1.1.0"));
    assert_eq!(bay.row("counter").unwrap().phase, Phase::Stopped);

    bay.ok(&["start", "counter"]);
    assert_eq!(bay.row("counter").unwrap().phase, Phase::Running);
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn stop_and_start_may_be_said_twice() {
    let bay = counting();
    for _ in 0..2 {
        bay.ok(&["stop", "counter"]);
    }
    for _ in 0..2 {
        bay.ok(&["start", "counter"]);
    }
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn a_reload_is_a_swap_to_the_same_bytes() {
    let bay = counting();
    let before = bay.row("counter").unwrap();
    bay.ok(&["reload", "counter"]);
    let after = bay.row("counter").unwrap();
    assert_eq!(after.generation, Some(2));
    assert_eq!(after.digest, before.digest);
    assert_eq!(bay.call("counter.add", ""), "2");
    let receipt = bay.wait_receipt("counter", 1);
    assert_eq!(receipt.from.digest, receipt.to.digest);
}

#[test]
fn a_removed_service_is_gone_with_its_file_and_keeps_its_state() {
    let bay = counting();
    bay.ok(&["remove", "counter"]);
    assert!(!bay.file("counter").exists());
    assert_eq!(bay.row("counter"), None);
    assert!(bay.state_file("counter").is_file());
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn a_fresh_start_of_a_readable_state_keeps_that_aside() {
    let bay = counting();
    bay.ok(&["stop", "counter"]);
    bay.ok(&["start", "counter", "--fresh"]);
    assert_eq!(bay.call("counter.add", ""), "1");
    let kept = std::fs::read_dir(bay.home().join("state")).unwrap().count();
    assert!(kept >= 2 || !bay.state_file("counter").exists(), "nothing was kept aside");
}

#[test]
fn commands_on_what_is_not_there_name_what_is() {
    let bay = counting();
    for command in ["stop", "start", "reload", "rollback", "remove", "status", "why", "history"] {
        let ran = bay.hotbay(&[command, "nobody"]);
        assert_eq!(ran.code, 3, "{command}: {ran:?}");
        assert!(ran.stderr.contains("counter"), "{command}: {ran:?}");
        assert_eq!(ran.stdout, "", "{command}");
    }
}

#[test]
fn each_stage_of_a_life_is_an_event() {
    let bay = counting();
    bay.ok(&["reload", "counter"]);
    let kinds = |service: &str| -> Vec<String> {
        bay.status(service).events.into_iter().map(|event| event.kind).collect()
    };
    let wanted = ["discovered", "verified", "probed", "loaded", "started", "swapped", "drained", "unloaded"];
    eventually("all stages are told", || {
        let kinds = kinds("counter");
        wanted.iter().all(|kind| kinds.iter().any(|seen| seen == kind)).then_some(())
    });
    let events = bay.status("counter").events;
    let probed: Vec<&str> =
        events.iter().filter(|event| event.kind == "probed").map(|event| event.text.as_str()).collect();
    assert_eq!(probed, ["passed", "cached"], "these bytes passed once");
}
