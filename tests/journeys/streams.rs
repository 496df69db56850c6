//! Streams of real libraries: over swaps with state, under a slow consumer, and to plugins that open them.

use std::time::Duration;

use hotbay::kernel::view::{Outcome, Phase, Receipt, Retired};
use hotbay::{CallError, Config, Opening, Stream, StreamError};
use hotbay_tests::{Hosted, PATIENCE, edited, eventually, fixture, with_version};

/// What should not come has so long.
const SHORT: Duration = Duration::from_millis(100);

fn live() -> Hosted {
    with(|_| ())
}

fn with(set: impl FnOnce(&mut Config)) -> Hosted {
    let hosted = Hosted::with(set);
    hosted.live("streams", &fixture("streams"), "1.0.0");
    hosted
}

fn open(hosted: &Hosted, method: &str, request: &str) -> Stream {
    hosted.host().open_stream("streams", method, request.as_bytes(), Opening::default()).unwrap()
}

fn swap(hosted: &Hosted, version: &str) {
    hosted.drop_bytes("streams", &with_version(&fixture("streams"), "1.0.0", version));
}

fn count(hosted: &Hosted, service: &str, method: &str) -> u64 {
    hosted.request(service, method, "").unwrap().parse().unwrap()
}

fn next(stream: &Stream) -> String {
    let item = stream.receive(PATIENCE).unwrap().expect("there are more");
    String::from_utf8(item).unwrap()
}

#[test]
fn numbers_over_swaps_with_state_come_once_each_and_in_order_and_each_old_library_is_unmapped() {
    const COUNT: u64 = 20_000;
    let hosted = live();
    let stream = open(&hosted, "numbers", &COUNT.to_string());
    let mut swaps = 0;
    for number in 0..COUNT {
        if number % 4_000 == 2_000 {
            swaps += 1;
            swap(&hosted, &format!("1.{swaps}.0"));
        }
        assert_eq!(next(&stream), number.to_string());
        if number % 4_000 == 3_999 {
            // It waits meanwhile, as it does for a slow consumer.
            hosted.wait_receipts("streams", swaps);
        }
    }
    assert_eq!((stream.receive(PATIENCE), stream.ended(PATIENCE)), (Ok(None), Ok(())));
    assert_eq!(count(&hosted, "streams", "total"), COUNT, "by all versions together");
    let through = |receipt: &Receipt| (receipt.outcome, receipt.retired, receipt.requests.lost);
    let receipts = hosted.wait_receipts("streams", 5);
    assert!(
        receipts.iter().all(|one| through(one) == (Outcome::Committed, Retired::Unloaded, 0)),
        "{receipts:#?}"
    );
}

#[test]
fn what_is_sent_both_ways_over_swaps_comes_back_once_and_in_order() {
    const COUNT: u64 = 6_000;
    let hosted = live();
    let stream = open(&hosted, "echo", "");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COUNT {
                stream.send(number.to_string().as_bytes(), PATIENCE).unwrap();
            }
            stream.finish();
        });
        for number in 0..COUNT {
            if number % 2_000 == 1_000 {
                swap(&hosted, &format!("1.{}.0", number / 2_000 + 1));
                hosted.wait_receipts("streams", usize::try_from(number / 2_000).unwrap() + 1);
            }
            assert_eq!(next(&stream), number.to_string());
        }
        assert_eq!(stream.receive(PATIENCE), Ok(None));
    });
}

#[test]
fn a_slow_consumer_slows_a_flood_and_no_more_is_kept_for_it_than_a_window() {
    let hosted = live();
    let stream = open(&hosted, "flood", "");
    let flooded = || count(&hosted, "streams", "flooded");
    eventually("the window is full", || (flooded() == 64).then_some(()));
    for _ in 0..10 {
        stream.receive(PATIENCE).unwrap();
    }
    eventually("there is room for as many as were taken", || (flooded() == 74).then_some(()));
    drop(stream);
    eventually("the flood ends with who wanted it", || {
        (count(&hosted, "streams", "gone") == 1).then_some(())
    });
    assert_eq!(flooded(), 74);
}

#[test]
fn who_opens_what_is_not_there_is_told_what_is_and_errors_and_panics_are_told() {
    let hosted = live();
    let ask = |service: &str, method: &str| {
        hosted.host().open_stream(service, method, b"", Opening::default()).unwrap_err()
    };
    assert!(matches!(ask("stream", "echo"), CallError::NoSuchService { known, .. } if known == ["streams"]));
    let CallError::NoSuchStream { known, .. } = ask("streams", "ecko") else { panic!("it has none") };
    assert_eq!((known.len(), &*known[0]), (8, "echo"), "the nearest first");
    let failed = open(&hosted, "fail", "").receive(PATIENCE).unwrap_err();
    assert_eq!(failed.to_string(), "send more than nothing");
    let panicked = open(&hosted, "panic", "").receive(PATIENCE).unwrap_err();
    let StreamError::Panicked { text, .. } = &panicked else { panic!("{panicked:?}") };
    assert!(text.contains("no luck in a stream, at ") && text.contains("streams.rs:"), "{text}");
    eventually("the panic is counted, and nobody is left", || {
        let given = hosted.host().status("streams").unwrap().given.unwrap();
        ((given.panics, given.streams) == (1, 0)).then_some(())
    });
}

#[test]
fn a_handler_that_does_not_let_go_calls_the_swap_off_and_streams_go_on() {
    let hosted = with(|config| config.swap.drain = Duration::from_millis(400));
    let held = open(&hosted, "hold", "");
    eventually("it holds", || (count(&hosted, "streams", "held") == 1).then_some(()));
    let echo = open(&hosted, "echo", "");
    echo.send(b"before", PATIENCE).unwrap();
    assert_eq!(next(&echo), "before");
    swap(&hosted, "1.1.0");
    let receipt = hosted.wait_receipts("streams", 1).pop().unwrap();
    assert_eq!(
        (receipt.outcome, receipt.code.as_deref()),
        (Outcome::RolledBack, Some("HB0801")),
        "{receipt:#?}"
    );
    // The version that was to go takes it up again.
    echo.send(b"after", PATIENCE).unwrap();
    assert_eq!(
        (next(&echo), hosted.wait_version("streams", "1.0.0").phase),
        ("after".to_owned(), Phase::Running)
    );
    hosted.request("streams", "release", "").unwrap();
    let moved = held.receive(PATIENCE).unwrap_err();
    assert!(matches!(moved, StreamError::Moved { .. }), "{moved:?}");
}

#[test]
fn a_stream_ends_with_its_service_and_one_that_is_full_says_so() {
    let hosted = with(|config| {
        let settings = "[service.streams]\nmax_streams = 2";
        config.service = Config::parse(settings, "hotbay.toml".as_ref()).unwrap().service;
    });
    let (waits, echo) = (open(&hosted, "wait", ""), open(&hosted, "echo", ""));
    let full = hosted.host().open_stream("streams", "echo", b"", Opening::default()).unwrap_err();
    assert!(matches!(full, CallError::TooManyStreams { limit: 2, .. }), "{full:?}");
    hosted.host().stop_service("streams", false, PATIENCE).unwrap();
    assert!(matches!(waits.receive(PATIENCE), Err(StreamError::Moved { .. })));
    let stopped = echo.receive(PATIENCE).unwrap_err();
    assert!(matches!(stopped, StreamError::NotOpened(CallError::NotRunning { .. })), "{stopped:?}");
    let opened = hosted.host().open_stream("streams", "echo", b"", Opening::default());
    assert!(matches!(opened, Err(CallError::NotRunning { phase: Phase::Stopped, .. })), "{opened:?}");
}

#[test]
fn a_plugin_that_is_swapped_lets_go_of_what_it_opened_and_who_opened_its_own_goes_on() {
    let hosted = live();
    let relay = |version: &str| {
        let renamed = edited(&fixture("streams"), r#""name":"streams""#, r#""name":"relayed""#);
        let path = hosted.file("relayed").with_extension("renamed");
        std::fs::write(&path, renamed).unwrap();
        let bytes = with_version(&path, "1.0.0", version);
        std::fs::remove_file(path).unwrap();
        hosted.drop_bytes("relayed", &bytes);
        hosted.wait_version("relayed", version);
    };
    relay("1.0.0");
    let what = r#"{ "service": "streams", "method": "wait", "request": "" }"#;
    let relayed = hosted.host().open_stream("relayed", "relay", what.as_bytes(), Opening::default()).unwrap();
    let given = |name: &str| {
        let given = hosted.host().status(name).unwrap().given.unwrap_or_default();
        (given.streams, given.opened)
    };
    eventually("both are open", || (given("relayed") == (1, 1) && given("streams") == (1, 0)).then_some(()));
    assert!(matches!(relayed.receive(SHORT), Err(StreamError::TimedOut { .. })));
    relay("1.1.0");
    assert!(matches!(relayed.receive(PATIENCE), Err(StreamError::Moved { .. })));
    eventually("its own end was let go", || (count(&hosted, "streams", "gone") == 1).then_some(()));
    assert_eq!((given("streams"), given("relayed")), ((0, 0), (0, 0)));
    // The other way round: who is in the middle goes on while its source is swapped.
    let numbers = r#"{ "service": "streams", "method": "numbers", "request": "3000" }"#;
    let relayed =
        hosted.host().open_stream("relayed", "relay", numbers.as_bytes(), Opening::default()).unwrap();
    for number in 0..3000 {
        if number == 1500 {
            swap(&hosted, "1.1.0");
            hosted.wait_receipts("streams", 1);
        }
        assert_eq!(next(&relayed), number.to_string());
    }
    assert_eq!(relayed.receive(PATIENCE), Ok(None));
}
