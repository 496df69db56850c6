//! Commands, swaps, calls and the end of the host, all at once.

use std::time::Duration;

use hotbay::kernel::view::Phase;
use hotbay::{CallError, ControlError};
use hotbay_tests::{Hosted, eventually, example, fixture, with_version};

#[test]
fn counter_is_stopped_started_reloaded_and_replaced_at_once_and_counts_right() {
    let hosted = Hosted::start();
    hosted.live("counter", &fixture("counter"), "1.0.0");
    let deadline = hotbay_tests::PATIENCE;
    let answered = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0_u64;
                    for _ in 0..400 {
                        match hosted.request("counter", "add", "") {
                            Ok(_) => answered += 1,
                            Err(CallError::NotRunning { .. } | CallError::NoSuchService { .. }) => {}
                            Err(error) => panic!("{error:?}"),
                        }
                    }
                    answered
                })
            })
            .collect();
        scope.spawn(|| {
            for _ in 0..5 {
                settle(hosted.host().stop_service("counter", false, deadline));
                settle(hosted.host().start_service("counter", false, deadline));
            }
        });
        scope.spawn(|| {
            for _ in 0..5 {
                settle(hosted.host().reload("counter", deadline));
            }
        });
        for version in ["1.1.0", "1.2.0", "1.3.0"] {
            hosted.drop_bytes("counter", &with_version(&fixture("counter"), "1.0.0", version));
        }
        callers.into_iter().map(|caller| caller.join().unwrap()).sum::<u64>()
    });
    hosted.host().start_service("counter", false, deadline).unwrap();
    hosted.wait_version("counter", "1.3.0");
    assert_eq!(hosted.request("counter", "count", "").unwrap(), answered.to_string());
}

/// A command may lose a race against another; it may not break, hang, or fail on its own.
#[track_caller]
fn settle(result: Result<hotbay::Changed, ControlError>) {
    match result {
        Ok(_) | Err(ControlError::Refused { .. } | ControlError::Superseded { .. }) => {}
        Err(error) => panic!("{error:?}"),
    }
}

#[test]
fn counter_keeps_every_call_that_was_answered_before_the_host_ended() {
    let hosted = Hosted::with(|config| config.state.interval = Duration::from_secs(600));
    hosted.live("counter", &fixture("counter"), "1.0.0");
    let answered: u64 = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let mut answered = 0;
                    while hosted.request("counter", "add", "").is_ok() {
                        answered += 1;
                    }
                    answered
                })
            })
            .collect();
        eventually("some calls", || {
            let count = hosted.request("counter", "count", "").unwrap();
            (count.parse::<u64>().unwrap() > 200).then_some(())
        });
        hosted.host().shutdown();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    });
    let hosted = hosted.restarted();
    hosted.wait_version("counter", "1.0.0");
    assert_eq!(hosted.request("counter", "count", "").unwrap(), answered.to_string());
}

#[test]
fn two_services_are_replaced_beside_each_other() {
    let hosted = Hosted::start();
    hosted.live("echo", &example("echo"), "1.0.0");
    hosted.live("counter", &fixture("counter"), "1.0.0");
    for swap in 1..=4 {
        let version = format!("1.{swap}.0");
        hosted.drop_bytes("echo", &with_version(&example("echo"), "1.0.0", &version));
        hosted.drop_bytes("counter", &with_version(&fixture("counter"), "1.0.0", &version));
        hosted.wait_version("echo", &version);
        hosted.wait_version("counter", &version);
    }
    for name in ["echo", "counter"] {
        assert_eq!(hosted.wait_receipts(name, 4).len(), 4);
    }
}

#[test]
fn after_shutdown_calls_are_refused_and_nothing_hangs() {
    let hosted = Hosted::start();
    hosted.live("echo", &example("echo"), "1.0.0");
    hosted.host().shutdown();
    hosted.request("echo", "echo", "x").unwrap_err();
    hosted.call("echo", "echo", "x").unwrap_err();
    hosted.host().reload("echo", Duration::from_secs(5)).unwrap_err();
    hosted.host().shutdown();
    assert!(hosted.host().list().iter().all(|row| row.phase != Phase::Running));
}
