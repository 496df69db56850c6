//! Who goes first, and who cannot go at all.

use std::time::{Duration, SystemTime};

use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, edited, eventually, example, fixture};

/// When a service was last started, as its place in the order of events.
fn started(bay: &Bay, name: &str) -> u64 {
    let events = bay.status(name).events;
    events.iter().rev().find(|event| event.kind == "started").expect("no event `started`").sequence
}

#[test]
fn what_is_required_goes_before_priority_and_priority_before_the_rest() {
    let bay = Bay::new();
    // `top` (priority 50) requires `base` (priority -50); `logger` has 100, `echo` 0.
    for (stem, file) in [("a", "top"), ("d", "base")] {
        bay.drop_in(stem, &fixture(file));
    }
    for (stem, file) in [("b", "echo"), ("c", "logger")] {
        bay.drop_in(stem, &example(file));
    }
    // So long that the host takes none for one that is being written.
    for stem in ["a", "b", "c", "d"] {
        let file = std::fs::File::options().write(true).open(bay.file(stem)).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
    }
    let bay = bay.up();
    for name in ["top", "base", "echo", "logger"] {
        bay.wait_phase(name, Phase::Running);
    }
    let order = |first: &str, second: &str| {
        assert!(
            started(&bay, first) < started(&bay, second),
            "{first} starts before {second}: {}",
            bay.log()
        );
    };
    order("logger", "echo");
    order("echo", "base");
    order("base", "top");
}

#[test]
fn requires_missing_waits_and_says_for_whom() {
    let (bay, web) = Bay::new().up_with_http();
    bay.drop_in("a", &fixture("requires_missing"));
    bay.drop_in("echo", &example("echo"));
    let row = bay.wait_for("requires_missing", |row| row.reason.is_some());
    assert_ne!(row.phase, Phase::Running);
    assert!(row.reason.unwrap().contains("`nowhere`"));
    bay.wait_version("echo", "1.0.0");
    assert_ne!(bay.hotbay(&["call", "requires_missing.ping"]).code, 0);
    // It was not even tried: that is a refusal, and for the operator to mend.
    let started = bay.hotbay(&["start", "requires_missing"]);
    assert!(started.code == 4 && started.stderr.contains("HB0606"), "{started:?}");
    let started = web.ask("POST", "/v1/plugins/requires_missing/start", b"");
    let told = started.json();
    assert_eq!((started.status, &told["code"], &told["blame"]), (409, &"HB0606".into(), &"operator".into()));
}

#[test]
fn top_starts_as_soon_as_base_is_there() {
    let bay = Bay::started();
    bay.drop_in("top", &fixture("top"));
    assert!(bay.wait_for("top", |row| row.reason.is_some()).reason.unwrap().contains("`base`"));
    bay.drop_in("base", &fixture("base"));
    bay.wait_phase("top", Phase::Running);
    assert_eq!(bay.call("top.ping", ""), "pong");
}

#[test]
fn circle_a_and_circle_b_are_told_their_circle() {
    let bay = Bay::started();
    bay.drop_in("circle_a", &fixture("circle_a"));
    bay.drop_in("circle_b", &fixture("circle_b"));
    bay.drop_in("echo", &example("echo"));
    for name in ["circle_a", "circle_b"] {
        let row = bay.wait_for(name, |row| {
            row.reason
                .as_ref()
                .is_some_and(|reason| reason.contains("circle_a") && reason.contains("circle_b"))
        });
        assert_ne!(row.phase, Phase::Running);
    }
    bay.wait_version("echo", "1.0.0");
}

/// Files of services of which each wants the other one, instead of requiring it.
fn drop_circle(bay: &Bay) {
    for (name, other) in [("circle_a", "circle_b"), ("circle_b", "circle_a")] {
        let requires = format!(r#""requires":["{other}"]"#);
        let wants = format!(r#""wants"   :["{other}"]"#);
        bay.drop_bytes(name, &edited(&fixture(name), &requires, &wants));
    }
    for name in ["circle_a", "circle_b"] {
        bay.wait_phase(name, Phase::Running);
    }
}

#[test]
fn services_that_want_each_other_are_all_stopped_started_and_restarted_by_one_command() {
    let bay = Bay::started();
    drop_circle(&bay);
    bay.drop_in("top", &fixture("top"));
    bay.drop_in("base", &fixture("base"));
    bay.wait_phase("top", Phase::Running);
    let all = ["base", "circle_a", "circle_b", "top"];
    let phases = || all.map(|name| bay.row(name).unwrap().phase);
    bay.ok(&["restart", "--all", "--timeout", "20s"]);
    assert_eq!(phases(), [Phase::Running; 4]);
    bay.ok(&["stop", "--all", "--timeout", "20s"]);
    assert_eq!(phases(), [Phase::Stopped; 4]);
    let last = |name: &str| bay.status(name).events.last().unwrap().sequence;
    assert!(last("top") < last("base") && last("circle_b") < last("circle_a"), "{}", bay.log());
    bay.ok(&["start", "--all", "--timeout", "20s"]);
    assert_eq!(phases(), [Phase::Running; 4]);
    assert_eq!(bay.call("circle_a.ping", ""), "pong");
}

#[test]
fn top_is_kept_or_restarted_when_base_stops_and_comes_back_as_its_settings_say() {
    for (policy, starts) in [("keep", 1), ("restart", 2)] {
        let bay = Bay::with(&format!("[service.top]\nwhen_dependency_stops = \"{policy}\"")).up();
        bay.drop_in("base", &fixture("base"));
        bay.drop_in("top", &fixture("top"));
        bay.wait_phase("top", Phase::Running);
        bay.ok(&["stop", "base"]);
        assert_eq!(bay.call("top.ping", ""), "pong", "{policy}");
        bay.ok(&["start", "base"]);
        let started = || bay.status("top").events.iter().filter(|event| event.kind == "started").count();
        eventually(&format!("{policy}: it was started {starts} times"), || {
            (started() == starts).then_some(())
        });
        bay.wait_phase("top", Phase::Running);
    }
}

#[test]
fn base_can_be_replaced_under_top() {
    let bay = Bay::started();
    bay.drop_in("top", &fixture("top"));
    bay.drop_in("base", &fixture("base"));
    bay.wait_phase("top", Phase::Running);
    bay.drop_bytes("base", &hotbay_tests::with_version(&fixture("base"), "1.0.0", "1.1.0"));
    bay.wait_version("base", "1.1.0");
    assert_eq!(bay.row("top").map(|row| (row.phase, row.generation)), Some((Phase::Running, Some(1))));
}

#[test]
fn reenters_its_caller_through_its_partner_while_that_is_replaced() {
    let bay = Bay::started();
    bay.drop_in("partner", &fixture("partner"));
    bay.drop_in("reenters", &fixture("reenters"));
    bay.wait_phase("reenters", Phase::Running);
    assert_eq!(bay.call("reenters.play", "6"), "done");
    assert_eq!((bay.call("reenters.count", "").as_str(), bay.call("partner.count", "").as_str()), ("4", "3"));
    bay.drop_bytes("partner", &hotbay_tests::with_version(&fixture("partner"), "1.0.0", "1.1.0"));
    bay.wait_version("partner", "1.1.0");
    assert_eq!(bay.call("reenters.play", "2"), "done");
    assert_eq!(bay.call("partner.count", ""), "4");

    // Without an end the chain of calls is cut, in words, and the host lives.
    let endless = bay.hotbay(&["call", "reenters.play", "-d", "1000000"]);
    assert_eq!(endless.code, 1, "{endless:?}");
    assert!(endless.stderr.contains("circle"), "{endless:?}");
    eventually("both serve on", || (bay.call("partner.play", "0") == "done").then_some(()));
}
