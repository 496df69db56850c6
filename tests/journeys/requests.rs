//! One request: its deadline, its errors.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use hotbay::{CallError, Config};
use hotbay_tests::{Hosted, PATIENCE, eventually, example, fixture};

#[test]
fn hangs_in_a_call_and_the_next_request_is_answered_by_a_fresh_lane() {
    let hosted = Hosted::with(|config| {
        config.plugin.insert("hangs".to_owned(), serde_json::json!({ "old": "call" }));
        // The end of the host waits so long for what hangs; and so much time has its start, also on a busy machine.
        config.swap.drain = Duration::from_millis(2500);
        config.swap.callback = Duration::from_millis(2500);
    });
    hosted.live("hangs", &fixture("hangs"), "1.0.0");
    for _ in 0..3 {
        let began = Instant::now();
        let hung = hosted.host().request("hangs", "add", Vec::new(), Duration::from_millis(200));
        assert!(matches!(hung, Err(CallError::TimedOut { .. })), "{hung:?}");
        assert!(began.elapsed() < Duration::from_secs(10), "the deadline was not kept");
        assert_eq!(hosted.request("hangs", "count", "").unwrap(), "0");
    }
}

#[test]
fn slow_answers_hold_up_other_requests_and_not_for_ever() {
    let hosted = Hosted::start();
    hosted.live("slow", &fixture("slow"), "1.0.0");
    let late = hosted.host().request("slow", "wait", b"800".to_vec(), Duration::from_millis(50));
    assert!(matches!(late, Err(CallError::TimedOut { .. })), "{late:?}");
    assert_eq!(hosted.request("slow", "ping", "").unwrap(), "pong");
}

#[test]
fn slow_answers_of_a_service_with_several_lanes_hold_up_nobody() {
    let settings = "[service.slow]\nlanes = 2\nmailbox = 1";
    let hosted = Hosted::with(|config| {
        config.service = Config::parse(settings, Path::new("hotbay.toml")).unwrap().service;
    });
    hosted.live("slow", &fixture("slow"), "1.0.0");
    let ask = |deadline| hosted.host().request("slow", "ping", Vec::new(), deadline);
    let (brief, done) = (Duration::from_millis(1), AtomicBool::new(false));
    let until = Instant::now() + 4 * PATIENCE;
    std::thread::scope(|scope| {
        let hold = || eventually("it is taken", || hosted.request("slow", "hold", "").ok());
        let first = scope.spawn(hold);
        eventually("the other lane answers", || ask(Duration::from_secs(1)).ok());
        let second = scope.spawn(hold);
        // One that gives up while it waits makes room again.
        let times_out = || matches!(ask(brief), Err(CallError::TimedOut { .. })).then_some(());
        eventually("both lanes are busy", times_out);
        eventually("both lanes are busy still", times_out);
        // It always has one that waits: on a busy machine the lanes may have looked busy before they were.
        let third = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) && Instant::now() < until {
                let _ = ask(PATIENCE);
            }
        });
        let is_full = |text: &str| text.contains("too many requests wait for it");
        eventually("one waits, and the next is turned away", || {
            matches!(ask(brief), Err(CallError::Refused { text, .. }) if is_full(&text)).then_some(())
        });
        assert_eq!(hosted.call("slow", "release", "").unwrap(), "released");
        done.store(true, Ordering::Relaxed);
        third.join().unwrap();
        assert_eq!(ask(PATIENCE).unwrap(), b"pong");
        assert_eq!((first.join().unwrap(), second.join().unwrap()), ("held".into(), "held".into()));
    });
}

#[test]
fn who_asks_for_what_is_not_there_is_told_what_is() {
    let hosted = Hosted::start();
    hosted.live("echo", &example("echo"), "1.0.0");
    let ask = |service: &str, method: &str| hosted.request(service, method, "").unwrap_err();
    let inline = |service: &str, method: &str| hosted.call(service, method, "").unwrap_err();
    for error in [ask("ecko", "echo"), inline("ecko", "echo")] {
        assert!(matches!(&error, CallError::NoSuchService { known, .. } if known == &["echo"]), "{error:?}");
    }
    for error in [ask("echo", "shout"), inline("echo", "shout")] {
        let CallError::NoSuchMethod { known, .. } = &error else { panic!("{error:?}") };
        assert_eq!((known.len(), &*known[0]), (3, "count"), "the nearest first");
    }
}

#[test]
fn panics_reach_the_caller_with_message_and_place() {
    let hosted = Hosted::with(|config| {
        config.plugin.insert("panics".to_owned(), serde_json::json!({ "old": "call" }));
    });
    hosted.live("panics", &fixture("panics"), "1.0.0");
    for error in
        [hosted.request("panics", "add", "").unwrap_err(), hosted.call("panics", "add", "").unwrap_err()]
    {
        let CallError::Panicked { text, .. } = &error else { panic!("{error:?}") };
        assert!(text.contains("no luck in call, at ") && text.contains("panics.rs:"), "{text}");
    }
    assert_eq!(hosted.request("panics", "count", "").unwrap(), "0");
}

#[test]
fn a_reply_is_appended_and_an_error_leaves_the_buffer_as_it_was() {
    let hosted = Hosted::start();
    hosted.live("echo", &example("echo"), "1.0.0");
    let mut reply = b"before:".to_vec();
    hosted.host().call("echo", "echo", b"after", &mut reply).unwrap();
    assert_eq!(reply, b"before:after");
    hosted.host().call("echo", "shout", b"", &mut reply).unwrap_err();
    assert_eq!(reply, b"before:after");
}

#[test]
fn an_embedding_program_without_a_probe_is_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = hotbay::Config::default();
    config.plugins = folder.path().to_owned();
    config.home = folder.path().join(".hotbay");
    let error = hotbay::Host::start(config).unwrap_err();
    assert!(matches!(error, hotbay::HostError::Probe), "{error:?}");
    assert!(error.to_string().contains("hotbay::probe::entry()"), "{error}");
}
