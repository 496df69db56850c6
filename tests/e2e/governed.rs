//! Governed services, as the command line shows them.

use hotbay::kernel::view::{Action, Phase, Planned};
use hotbay_tests::{Bay, eventually, example, fixture};

#[test]
fn a_dry_run_names_the_cascade_and_changes_nothing_and_a_stop_says_whom_it_took_along() {
    let bay = Bay::with("[service.top]\nwhen_dependency_stops = \"stop\"").up();
    bay.drop_in("top", &fixture("top"));
    bay.drop_in("base", &fixture("base"));
    bay.wait_phase("top", Phase::Running);
    let before = bay.rows();
    let table = bay.ok(&["stop", "base", "--dry-run"]);
    assert!(
        table.lines().nth(1).is_some_and(|line| line.contains("stop") && line.contains("top")),
        "{table}"
    );
    let answer: serde_json::Value =
        serde_json::from_str(&bay.ok(&["stop", "base", "--dry-run", "-o", "json"])).unwrap();
    let plan: Vec<Planned> = serde_json::from_value(answer["plan"].clone()).unwrap();
    let steps: Vec<_> = plan.iter().map(|step| (step.level, &*step.service, step.action)).collect();
    assert_eq!(steps, [(1, "top", Action::Stop), (2, "base", Action::Stop)]);
    assert_eq!(bay.rows(), before);

    let stopped = bay.hotbay(&["stop", "base"]);
    assert!(stopped.code == 0 && stopped.stderr.contains("stop top, because of base"), "{stopped:?}");
    bay.wait_phase("top", Phase::Stopped);
    let why = bay.ok(&["why", "top"]);
    assert!(why.contains("HB0664") && why.contains("`base`"), "{why}");
    let started = bay.hotbay(&["start", "top"]);
    assert!(started.code == 4 && started.stderr.contains("HB0664"), "{started:?}");
    assert!(started.stderr.contains("`hotbay start base`"), "{started:?}");
    bay.ok(&["start", "--all"]);
    assert_eq!(bay.row("top").unwrap().phase, Phase::Running);
    bay.ok(&["restart", "top", "base"]);
    assert_eq!(bay.call("top.ping", ""), "pong");
    // One name that there is not, and nothing is done.
    let unknown = bay.hotbay(&["stop", "base", "bass"]);
    assert!(unknown.code == 3 && unknown.stderr.contains("`bass`"), "{unknown:?}");
    assert_eq!(bay.row("base").unwrap().phase, Phase::Running);
}

#[test]
fn a_dry_run_of_a_start_names_whom_it_restarts_and_so_does_the_start() {
    let bay = Bay::with("[service.top]\nwhen_dependency_stops = \"restart\"").up();
    bay.drop_in("top", &fixture("top"));
    bay.drop_in("base", &fixture("base"));
    bay.wait_phase("top", Phase::Running);
    bay.ok(&["stop", "base"]);
    let why = bay.ok(&["why", "top"]);
    let says = |text| why.contains(text);
    assert!(
        says("service `base`, which it requires, does not serve") && says("`hotbay start base`"),
        "{why}"
    );
    assert!(!says("nothing is wrong"), "{why}");
    let answer: serde_json::Value =
        serde_json::from_str(&bay.ok(&["start", "base", "--dry-run", "-o", "json"])).unwrap();
    let plan: Vec<Planned> = serde_json::from_value(answer["plan"].clone()).unwrap();
    let steps: Vec<_> = plan.iter().map(|step| (step.level, &*step.service, step.action)).collect();
    assert_eq!(steps, [(1, "base", Action::Start), (2, "top", Action::Restart)]);

    let started = bay.hotbay(&["start", "base"]);
    assert!(started.code == 0 && started.stderr.contains("restart top, because of base"), "{started:?}");
    let starts = || bay.status("top").events.iter().filter(|event| event.kind == "started").count();
    eventually("it is restarted", || (starts() == 2).then_some(()));
}

#[test]
fn what_is_refused_ends_with_4_and_is_told_when_to_try_again() {
    let bay = Bay::with("[service.echo]\nmax_rate = 1\nmax_burst = 1").up();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let refused = eventually("a call comes too soon", || {
        Some(bay.hotbay(&["call", "echo.echo", "-d", "x"])).filter(|call| call.code != 0)
    });
    assert_eq!(refused.code, 4, "{refused:?}");
    assert!(refused.stderr.contains("HB0762") && refused.stderr.contains("try again in"), "{refused:?}");

    bay.ok(&["breaker", "echo", "open"]);
    let refused = bay.hotbay(&["call", "echo.echo", "-d", "x"]);
    assert!(refused.code == 4 && refused.stderr.contains("HB0760"), "{refused:?}");
    assert!(bay.ok(&["status", "echo"]).contains("open, held there"));
    let why = bay.ok(&["why", "echo"]);
    assert!(why.contains("`hotbay breaker echo auto`") && !why.contains("nothing is wrong"), "{why}");
    bay.ok(&["breaker", "echo", "auto"]);
    eventually("it is let in", || (bay.hotbay(&["call", "echo.echo", "-d", "x"]).code == 0).then_some(()));
}
