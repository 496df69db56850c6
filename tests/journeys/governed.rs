//! Services that are governed: supervised, broken open, and stopped in the order of what they require.

use std::path::Path;
use std::time::Duration;

use hotbay::bus::Subscribe;
use hotbay::config::WhenDependencyStops;
use hotbay::kernel::view::{Action, BreakerState, Event, Phase, Status};
use hotbay::{CallError, Config, Which};
use hotbay_tests::{Hosted, PATIENCE, edited, eventually, example, fixture};

const MOMENT: Duration = Duration::from_millis(100);

fn with(settings: &str, set: impl FnOnce(&mut Config)) -> Hosted {
    let parsed = Config::parse(settings, Path::new("hotbay.toml")).unwrap();
    Hosted::with(|config| {
        (config.service, config.supervision) = (parsed.service, parsed.supervision);
        set(config);
    })
}

fn status(hosted: &Hosted, name: &str) -> Status {
    hosted.host().status(name).unwrap()
}

fn phase(hosted: &Hosted, name: &str) -> Phase {
    status(hosted, name).row.phase
}

fn wait_phase(hosted: &Hosted, name: &str, wanted: Phase) -> Status {
    eventually(&format!("`{name}` is {wanted}"), || {
        Some(status(hosted, name)).filter(|s| s.row.phase == wanted)
    })
}

/// The place of the newest event of a kind in the order of all.
fn place(events: &[Event], service: &str, kind: &str) -> u64 {
    let of_it = |event: &&Event| event.service.as_deref() == Some(service) && event.kind == kind;
    events
        .iter()
        .rev()
        .find(of_it)
        .unwrap_or_else(|| panic!("no `{kind}` of `{service}`: {events:#?}"))
        .sequence
}

fn events(hosted: &Hosted) -> Vec<Event> {
    hosted.host().events(500).try_iter().collect()
}

fn count(hosted: &Hosted, service: &str, kind: &str) -> usize {
    let of_it = |event: &&Event| event.service.as_deref() == Some(service) && event.kind == kind;
    events(hosted).iter().filter(of_it).count()
}

fn named(name: &str) -> Which {
    Which::Named(vec![name.to_owned()])
}

#[test]
fn a_service_that_only_panics_is_restarted_and_by_restart_intensity_ends_in_quarantine() {
    let settings = "[service.panics.supervision]\npanics = 2\nmax_restarts = 2\nbackoff_ms = 1";
    let hosted = with(settings, |config| {
        config.plugin.insert("panics".to_owned(), serde_json::json!({ "old": "call" }));
    });
    hosted.live("panics", &fixture("panics"), "1.0.0");
    let panic_until = |phase: Phase| {
        eventually(&format!("it is {phase}"), || {
            let _ = hosted.request("panics", "add", "");
            (status(&hosted, "panics").row.phase == phase).then_some(())
        });
    };
    panic_until(Phase::Quarantined);
    let seen = status(&hosted, "panics");
    assert_eq!(seen.row.code.as_deref(), Some("HB0663"), "{seen:#?}");
    assert!(seen.row.reason.as_ref().unwrap().starts_with("restarted 2 times within 60000 ms, and again: "));
    assert_eq!((count(&hosted, "panics", "restarting"), count(&hosted, "panics", "quarantined")), (2, 1));
    let supervised = seen.supervised.unwrap();
    assert_eq!((supervised.restarts, supervised.state.as_deref()), (2, Some("its state is kept")));
    assert!(matches!(hosted.request("panics", "count", ""), Err(CallError::NotRunning { .. })));

    // Whoever starts it lifts the quarantine, and it is counted from 0.
    hosted.host().start_service("panics", false, PATIENCE).unwrap();
    assert_eq!(hosted.request("panics", "count", "").unwrap(), "0");
    let restarts = count(&hosted, "panics", "restarting");
    eventually("it is restarted and not quarantined", || {
        let _ = hosted.request("panics", "add", "");
        (count(&hosted, "panics", "restarting") > restarts).then_some(())
    });
    wait_phase(&hosted, "panics", Phase::Running);
}

#[test]
fn panics_between_good_answers_restart_nobody() {
    let settings = "[service.panics.supervision]\npanics = 2";
    let hosted = with(settings, |config| {
        config.plugin.insert("panics".to_owned(), serde_json::json!({ "old": "call" }));
    });
    hosted.live("panics", &fixture("panics"), "1.0.0");
    for _ in 0..20 {
        hosted.request("panics", "count", "").unwrap();
        hosted.request("panics", "add", "").unwrap_err();
        hosted.request("panics", "count", "").unwrap();
    }
    assert_eq!((phase(&hosted, "panics"), count(&hosted, "panics", "restarting")), (Phase::Running, 0));
}

#[test]
fn a_call_that_hangs_restarts_its_service_which_hands_its_state_over_beside_it() {
    let settings = "[service.holds_calls.supervision]\nhang_ms = 50\nbackoff_ms = 1";
    let hosted = with(settings, |config| {
        config.swap.drain = MOMENT;
        // What was not written is only in the instance.
        config.state.interval = PATIENCE;
    });
    hosted.live("holds_calls", &fixture("holds_calls"), "1.0.0");
    for _ in 0..3 {
        hosted.request("holds_calls", "add", "").unwrap();
    }
    let hung = hosted.host().request("holds_calls", "hold", b"3000".to_vec(), MOMENT);
    assert!(matches!(hung, Err(CallError::TimedOut { .. })), "{hung:?}");
    eventually("it is restarted", || (count(&hosted, "holds_calls", "restarting") == 1).then_some(()));
    wait_phase(&hosted, "holds_calls", Phase::Running);
    assert_eq!(hosted.request("holds_calls", "count", "").unwrap(), "3");
    let supervised = status(&hosted, "holds_calls").supervised.unwrap();
    assert!(supervised.why.unwrap().contains("hung for 50 ms"));
}

#[test]
fn an_error_burst_restarts_a_service_only_where_that_is_set() {
    let settings = "[service.fails.supervision]\nmax_error_rate = 0.5\nmin_calls = 5\nbackoff_ms = 1";
    let hosted = with(settings, |config| {
        config.plugin.insert("fails".to_owned(), serde_json::json!({ "old": "call" }));
    });
    hosted.live("fails", &fixture("fails"), "1.0.0");
    eventually("it is restarted", || {
        let _ = hosted.request("fails", "add", "");
        (count(&hosted, "fails", "restarting") > 0).then_some(())
    });
    let why = status(&hosted, "fails").supervised.unwrap().why.unwrap();
    assert!(why.contains("calls failed within 10000 ms"), "{why}");
}

#[test]
fn a_version_on_probation_is_rolled_back_and_not_restarted() {
    let settings = "[supervision]\npanics = 1\nbackoff_ms = 1";
    let hosted = with(settings, |config| {
        config.probation.min_calls = 5;
        config.plugin.insert("panics".to_owned(), serde_json::json!({ "new": "call" }));
    });
    hosted.live("panics", &fixture("panics"), "1.0.0");
    hosted.live("panics", &fixture("panics_next"), "1.1.0");
    eventually("the version before is back", || {
        let _ = hosted.request("panics", "add", "");
        (status(&hosted, "panics").row.version.as_deref() == Some("1.0.0")).then_some(())
    });
    assert_eq!(count(&hosted, "panics", "restarting"), 0);
}

#[test]
fn a_breaker_opens_and_half_opens_and_closes_by_the_calls_of_a_service() {
    let settings = "[service.fails.breaker]\nmin_calls = 4\nopen_ms = 50\ntrials = 2";
    let hosted = with(settings, |config| {
        config.plugin.insert("fails".to_owned(), serde_json::json!({ "old": "call" }));
    });
    hosted.live("fails", &fixture("fails"), "1.0.0");
    let is_open = |answer: &Result<String, CallError>| matches!(answer, Err(CallError::BreakerOpen { .. }));
    eventually("it is open for requests", || is_open(&hosted.request("fails", "add", "")).then_some(()));
    // By what its trials came to it may have closed a moment ago.
    eventually("it is open for calls on this thread", || {
        is_open(&hosted.call("fails", "add", "")).then_some(())
    });
    let breaker = status(&hosted, "fails").breaker.unwrap();
    assert!(breaker.opened >= 1 && breaker.why.is_some(), "{breaker:?}");
    // Good answers close it.
    eventually("it is closed", || {
        let _ = hosted.request("fails", "count", "");
        (status(&hosted, "fails").breaker.unwrap().state == BreakerState::Closed).then_some(())
    });
    assert_eq!(hosted.call("fails", "count", "").unwrap(), "0");
    assert!(count(&hosted, "fails", "breaker") >= 2);
}

/// `top` requires `base`.
fn top_and_base(policy: WhenDependencyStops) -> Hosted {
    let hosted = Hosted::with(|config| {
        let mut top = config.service.get("top").cloned().unwrap_or_default();
        top.when_dependency_stops = policy;
        config.service.insert("top".to_owned(), top);
    });
    hosted.drop_in("top", &fixture("top"));
    hosted.live("base", &fixture("base"), "1.0.0");
    hosted.wait_version("top", "1.0.0");
    hosted
}

#[test]
fn a_dependent_is_stopped_before_what_it_requires_and_starts_after_it() {
    let hosted = top_and_base(WhenDependencyStops::Stop);
    // A dry run says all of it, and changes nothing.
    let before = hosted.host().list();
    let plan = hosted.host().plan(Action::Stop, &named("base")).unwrap();
    let steps: Vec<_> = plan.iter().map(|step| (step.level, &*step.service, step.action)).collect();
    assert_eq!(steps, [(1, "top", Action::Stop), (2, "base", Action::Stop)]);
    assert_eq!(hosted.host().list(), before);

    let changed = hosted.host().stop_service("base", false, PATIENCE).unwrap();
    assert_eq!(changed.also.iter().map(|step| &*step.service).collect::<Vec<_>>(), ["top"]);
    let top = wait_phase(&hosted, "top", Phase::Stopped);
    assert_eq!(top.row.code.as_deref(), Some("HB0664"), "{top:#?}");
    let seen = events(&hosted);
    assert!(place(&seen, "top", "stopped") < place(&seen, "base", "stopped"), "{seen:#?}");
    // It cannot go first, and says so at once.
    let error = hosted.host().start_service("top", false, PATIENCE).unwrap_err().to_string();
    assert!(error.contains("service `base`, which it requires, is stopped"), "{error}");

    hosted.host().start_service("base", false, PATIENCE).unwrap();
    wait_phase(&hosted, "top", Phase::Running);
    let seen = events(&hosted);
    assert!(place(&seen, "base", "started") < place(&seen, "top", "started"), "{seen:#?}");
}

#[test]
fn a_dependency_that_fails_takes_those_along_that_do_not_stay_without_it() {
    let settings = "[service.top]\nwhen_dependency_stops = \"stop\"\n\
                    [service.panics.supervision]\npanics = 1\nmax_restarts = 0";
    let hosted = with(settings, |config| {
        config.plugin.insert("panics".to_owned(), serde_json::json!({ "old": "call" }));
    });
    let from = r#""requires":["base"],"priority":50,"#;
    let requires = format!("{:<33},", r#""requires":["panics"]"#);
    hosted.drop_bytes("top", &edited(&fixture("top"), from, &requires));
    hosted.live("panics", &fixture("panics"), "1.0.0");
    hosted.wait_version("top", "1.0.0");
    hosted.request("panics", "add", "").unwrap_err();
    wait_phase(&hosted, "panics", Phase::Quarantined);
    eventually("`top` is down, and says for whom it waits", || {
        let top = status(&hosted, "top").row;
        (top.generation.is_none() && top.reason?.contains("`panics`")).then_some(())
    });
    hosted.host().start_service("panics", false, PATIENCE).unwrap();
    wait_phase(&hosted, "top", Phase::Running);
}

#[test]
fn a_dependent_that_is_kept_serves_on_and_is_told() {
    let hosted = top_and_base(WhenDependencyStops::Keep);
    let news = hosted
        .host()
        .subscribe(Subscribe::new("test", vec!["hotbay.service.base".parse().unwrap()]))
        .unwrap();
    let changed = hosted.host().stop_service("base", false, PATIENCE).unwrap();
    assert_eq!(changed.also, []);
    assert_eq!(hosted.request("top", "ping", "").unwrap(), "pong");
    let told = |news: &hotbay::bus::Subscription| {
        let message = news.receive(PATIENCE).unwrap();
        serde_json::from_slice::<serde_json::Value>(message.payload()).unwrap()
    };
    assert_eq!(told(&news)["serves"], false);
    hosted.host().start_service("base", false, PATIENCE).unwrap();
    assert_eq!(told(&news)["serves"], true);
    let texts: Vec<_> =
        status(&hosted, "top").events.into_iter().filter(|e| e.kind == "dependency").collect();
    assert!(
        texts.iter().any(|e| e.text == "service `base`, which it requires, does not serve any more"),
        "{texts:?}"
    );
    assert_eq!(count(&hosted, "top", "started"), 1);
}

#[test]
fn a_dependent_is_restarted_when_what_it_requires_is_there_again() {
    let hosted = top_and_base(WhenDependencyStops::Restart);
    hosted.host().stop_service("base", false, PATIENCE).unwrap();
    assert_eq!(hosted.request("top", "ping", "").unwrap(), "pong");
    assert_eq!(count(&hosted, "top", "stopped"), 0);
    hosted.host().start_service("base", false, PATIENCE).unwrap();
    eventually("it started again", || (count(&hosted, "top", "started") == 2).then_some(()));
    let seen = events(&hosted);
    assert!(place(&seen, "base", "started") < place(&seen, "top", "stopped"), "{seen:#?}");
    wait_phase(&hosted, "top", Phase::Running);
}

#[test]
fn a_restart_takes_those_along_that_do_not_stay_without_it_and_keeps_state() {
    let hosted = top_and_base(WhenDependencyStops::Stop);
    hosted.live("counter", &fixture("counter"), "1.0.0");
    hosted.request("counter", "add", "").unwrap();
    hosted.host().restart_service("base", PATIENCE).unwrap();
    wait_phase(&hosted, "top", Phase::Running);
    let seen = events(&hosted);
    let order = [("top", "stopped"), ("base", "stopped"), ("base", "started"), ("top", "started")];
    assert!(order.map(|(service, kind)| place(&seen, service, kind)).is_sorted(), "{seen:#?}");
    hosted.host().restart_service("counter", PATIENCE).unwrap();
    assert_eq!(hosted.request("counter", "add", "").unwrap(), "2");
}

#[test]
fn all_stop_in_reverse_and_start_in_levels() {
    let hosted = top_and_base(WhenDependencyStops::Keep);
    let plan = hosted.host().plan(Action::Stop, &Which::All).unwrap();
    assert_eq!(plan.iter().map(|step| &*step.service).collect::<Vec<_>>(), ["top", "base"]);
    let all = |action| {
        for (name, answer) in hosted.host().change_services(action, &Which::All, PATIENCE).unwrap() {
            answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    };
    all(Action::Stop);
    let seen = events(&hosted);
    assert!(place(&seen, "top", "stopped") < place(&seen, "base", "stopped"), "{seen:#?}");
    all(Action::Start);
    let seen = events(&hosted);
    assert!(place(&seen, "base", "started") < place(&seen, "top", "started"), "{seen:#?}");
    let unknown = hosted.host().change_services(
        Action::Stop,
        &Which::Named(vec!["top".into(), "tip".into()]),
        PATIENCE,
    );
    assert!(unknown.unwrap_err().to_string().contains("`tip`"));
    assert_eq!(phase(&hosted, "top"), Phase::Running);
}

#[test]
fn levels_start_in_parallel_so_that_one_that_hangs_holds_up_none_beside_it() {
    let hosted = Hosted::with(|config| {
        config.plugin.insert("hangs".to_owned(), serde_json::json!({ "old": "start" }));
        config.swap.callback = Duration::from_secs(5);
    });
    // Begun first, by its name as well.
    hosted.drop_in("a_hangs", &fixture("hangs"));
    eventually("it is in its start", || (count(&hosted, "hangs", "loaded") == 1).then_some(()));
    hosted.drop_in("top", &fixture("top"));
    hosted.drop_in("base", &fixture("base"));
    hosted.wait_version("top", "1.0.0");
    assert_eq!(
        count(&hosted, "hangs", "faulted"),
        0,
        "two levels beside it were through before it was given up"
    );
}

#[test]
fn what_a_service_only_wants_keeps_it_from_nothing_and_it_is_told_when_that_comes() {
    let hosted = Hosted::start();
    let wants = edited(&fixture("top"), r#""requires":["base"]"#, r#""wants"   :["base"]"#);
    hosted.drop_bytes("top", &wants);
    hosted.wait_version("top", "1.0.0");
    hosted.live("base", &fixture("base"), "1.0.0");
    eventually("it is told", || {
        let told = |event: &Event| event.text == "service `base`, which it wants, serves";
        status(&hosted, "top").events.iter().any(told).then_some(())
    });
    let plan = hosted.host().plan(Action::Stop, &Which::All).unwrap();
    assert_eq!(
        plan.iter().map(|step| (step.level, &*step.service)).collect::<Vec<_>>(),
        [(1, "top"), (2, "base")]
    );
}

#[test]
fn a_request_without_a_deadline_has_its_services_own() {
    let hosted = with("[service.slow]\ndeadline_ms = 60", |_| ());
    hosted.live("slow", &fixture("slow"), "1.0.0");
    let late = hosted.host().request("slow", "wait", b"2000".to_vec(), None);
    assert!(
        matches!(late, Err(CallError::TimedOut { deadline, .. }) if deadline.as_millis() == 60),
        "{late:?}"
    );
}

#[test]
fn calls_of_plugins_are_limited_as_those_of_programs_are() {
    // `reenters` calls `partner`, which calls back.
    let hosted = with("[service.partner]\nmax_rate = 1\nmax_burst = 1", |_| ());
    hosted.live("partner", &fixture("partner"), "1.0.0");
    hosted.live("reenters", &fixture("reenters"), "1.0.0");
    hosted.live("echo", &example("echo"), "1.0.0");
    let refused = eventually("it is refused", || hosted.request("reenters", "play", "1").err());
    assert!(refused.to_string().contains("more than 1 calls per second"), "{refused}");
}
