//! What becomes of services that go wrong, through the real binary: restarts and quarantine, a breaker that opens by itself, retries, limits.

use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, Exposition, eventually, fixture};

fn up(settings: &str, name: &str) -> Bay {
    let bay = Bay::with(settings).up();
    bay.drop_in(name, &fixture(name));
    bay.wait_version(name, "1.0.0");
    bay
}

/// How often it was restarted, and why last.
fn restarts(bay: &Bay, name: &str) -> (u64, String) {
    let supervised = bay.status(name).supervised;
    supervised.map_or_else(Default::default, |seen| (seen.restarts, seen.why.unwrap_or_default()))
}

fn wait_restart(bay: &Bay, name: &str, why: &str) {
    let told = eventually("it is restarted", || Some(restarts(bay, name)).filter(|(count, _)| *count > 0)).1;
    assert!(told.contains(why), "{told}");
    bay.wait_phase(name, Phase::Running);
}

#[test]
fn panics_is_restarted_as_often_as_may_be_and_then_quarantined_and_why_says_so() {
    let settings = "[plugin.panics]\nold = \"call\"\n\
                    [service.panics.supervision]\npanics = 2\nmax_restarts = 2\nbackoff_ms = 1";
    let bay = up(settings, "panics");
    eventually("it is quarantined", || {
        bay.hotbay(&["call", "panics.add"]);
        (bay.row("panics")?.phase == Phase::Quarantined).then_some(())
    });
    let why = bay.ok(&["why", "panics"]);
    for part in ["HB0663", "restarted 2 times within 60000 ms, and again: it panicked", "hotbay start"] {
        assert!(why.contains(part), "no `{part}` in: {why}");
    }
    let events = bay.ok(&["events"]);
    let told = |kind: &str| events.lines().filter(|line| line.contains(kind)).count();
    assert!(told("restarting") >= 2 && told("quarantined") >= 1, "{events}");
    bay.ok(&["start", "panics"]);
    assert_eq!((bay.call("panics.count", ""), restarts(&bay, "panics").0), ("0".to_owned(), 2));
}

#[test]
fn fails_until_its_breaker_opens_and_answers_until_that_closes_and_metrics_tell_it() {
    let settings = "[plugin.fails]\nold = \"call\"\n\
                    [service.fails.breaker]\nmin_calls = 4\nopen_ms = 1000\ntrials = 2";
    let (bay, web) = Bay::with(settings).up_with_http();
    bay.drop_in("fails", &fixture("fails"));
    bay.wait_version("fails", "1.0.0");
    let is_in = |state| {
        let seen = Exposition::read(&web.get("/metrics"));
        seen.get("hotbay_breaker_state", &[("service", "fails"), ("state", state)]) == Some(1.0)
    };
    assert!(is_in("closed"));
    let refused = eventually("it opens by itself", || {
        Some(bay.hotbay(&["call", "fails.add"])).filter(|ran| ran.code == 4)
    });
    assert!(
        refused.stderr.contains("HB0760") && refused.stderr.contains("calls failed within"),
        "{refused:?}"
    );
    eventually("some are let in to see", || is_in("half-open").then_some(()));
    // What asks for nothing shows nothing.
    (0..5).for_each(|_| assert_eq!(bay.hotbay(&["call", "fails.nothing"]).code, 3));
    assert!(is_in("half-open"));
    eventually("it closes by good answers", || {
        bay.hotbay(&["call", "fails.count"]);
        is_in("closed").then_some(())
    });
    let breaker = bay.status("fails").breaker.unwrap();
    assert!(breaker.opened >= 1, "{breaker:?}");
    assert_eq!(bay.call("fails.count", ""), "0");
}

#[test]
fn given_method_that_is_idempotent_is_tried_again_and_another_one_is_not() {
    let bay = up("[service.given]\nretries = 1\nretry_pause_ms = 1", "given");
    (0..3).for_each(|_| assert_eq!(bay.call("given.flaky", ""), "null"));
    let without = up("", "given");
    let panicked = without.hotbay(&["call", "given.flaky"]);
    assert!(panicked.code != 0 && panicked.stderr.contains("told to"), "{panicked:?}");
}

#[test]
fn slow_calls_up_to_the_limit_are_inside_and_one_more_is_refused_until_one_has_left() {
    let bay = up("[service.slow]\nmax_concurrent = 1", "slow");
    std::thread::scope(|scope| {
        // One of those that look may be inside just then.
        let wait = || {
            Some(bay.hotbay(&["call", "slow.wait", "-d", "3000"]))
                .filter(|ran| !ran.stderr.contains("HB0761"))
        };
        let inside = scope.spawn(move || eventually("it gets in", wait));
        let refused = eventually("one is inside", || {
            Some(bay.hotbay(&["call", "slow.ping"])).filter(|ran| ran.code != 0)
        });
        assert!(refused.code == 4 && refused.stderr.contains("HB0761"), "{refused:?}");
        assert_eq!(inside.join().unwrap().stdout, "waited");
    });
    assert_eq!(bay.call("slow.ping", ""), "pong");
}

#[test]
fn listens_is_restarted_when_messages_go_on_panicking_and_keeps_what_it_heard() {
    let bay = up("[service.listens.supervision]\npanics = 3\nbackoff_ms = 1", "listens");
    bay.ok(&["publish", "numbers.next", "-d", "1"]);
    eventually("it heard it", || bay.call("listens.heard", "").contains("\"count\":1").then_some(()));
    // No call between them: a good answer would say that it is well.
    eventually("it is restarted", || {
        bay.hotbay(&["publish", "numbers.fail", "-d", "0"]);
        (restarts(&bay, "listens").0 > 0).then_some(())
    });
    wait_restart(&bay, "listens", "with no good answer in between");
    assert!(bay.call("listens.heard", "").contains("\"count\":1"));
}

#[test]
fn listens_is_restarted_when_a_message_hangs() {
    let settings = "[swap]\ncallback_ms = 500\ndrain_ms = 300\n\
                    [service.listens.supervision]\nhang_ms = 300\nbackoff_ms = 1";
    let bay = up(settings, "listens");
    bay.ok(&["publish", "numbers.hold", "-d", "20000"]);
    wait_restart(&bay, "listens", "1 thread has hung for 300 ms since a deadline passed");
    bay.ok(&["publish", "numbers.next", "-d", "7"]);
    eventually("the next one is heard", || {
        bay.call("listens.heard", "").contains("\"last\":7").then_some(())
    });
}

#[test]
fn given_timer_that_goes_on_panicking_restarts_its_service_and_so_does_a_tick_that_hangs() {
    let settings = "[swap]\ncallback_ms = 500\ndrain_ms = 300\n\
                    [service.given.supervision]\nhang_ms = 300\nbackoff_ms = 1";
    let bay = up(settings, "given");
    bay.call("given.panic_at_ticks", "1");
    wait_restart(&bay, "given", "with no good answer in between");
    let before = restarts(&bay, "given").0;
    bay.call("given.hang", "");
    eventually("it is restarted again", || (restarts(&bay, "given").0 > before).then_some(()));
    bay.wait_phase("given", Phase::Running);
    bay.call("given.counts", "");
}
