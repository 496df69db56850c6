//! Requests by topic, deadlines that go along, and clients that go away.

use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};

use hotbay::bus::TopicView;
use hotbay::kernel::view::Outcome;
use hotbay_tests::{Bay, eventually, fixture};

fn double(bay: &Bay, number: u64) -> (u64, bool) {
    let reply = bay.ok(&["request", "double.it", "-d", &number.to_string()]);
    serde_json::from_str(&reply).unwrap_or_else(|error| panic!("{error} in {reply:?}"))
}

#[test]
fn listens_and_answers_each_request_by_topic_once_also_while_it_is_replaced() {
    let bay = Bay::started();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    assert_eq!(double(&bay, 21), (42, true), "and it knows that somebody waits, and for how long");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            for number in 0.. {
                assert_eq!(double(&bay, number).0, 2 * number);
                if stop.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        let swaps = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (version, file) in [("2.0.0", "listens_next"), ("1.0.0", "listens")] {
                bay.drop_in("listens", &fixture(file));
                bay.wait_version("listens", version);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        asking.join().unwrap();
        swaps.unwrap();
    });
    for receipt in bay.history("listens") {
        assert_eq!(receipt.outcome, Outcome::Committed);
        assert_eq!((receipt.messages.lost, receipt.messages.duplicated, receipt.messages.dropped), (0, 0, 0));
    }
    let topics: Vec<TopicView> = serde_json::from_str(&bay.ok(&["topics", "-o", "json"])).unwrap();
    let asked = topics.iter().find(|topic| topic.subject == "double.it").unwrap();
    assert!(asked.mailboxes[0].name == "listens" && asked.mailboxes[0].answers);
}

#[test]
fn listens_to_no_such_topic_and_that_is_said_at_once_with_what_is_answered() {
    let bay = Bay::started();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    // It subscribes to that one, and answers another.
    let nobody = bay.hotbay(&["request", "numbers.next", "-d", "1", "--timeout", "60s"]);
    assert_eq!(nobody.code, 3, "{nobody:?}");
    assert!(nobody.stderr.contains("nobody answers it; answered are: double.*"), "{nobody:?}");
    let wrong = bay.hotbay(&["request", "double.it", "-d", "no number"]);
    assert_eq!(wrong.code, 1, "{wrong:?}");
    assert!(wrong.stderr.contains("read the message as JSON"), "{wrong:?}");
    let method = bay.hotbay(&["call", "listens.herd"]);
    assert_eq!(method.code, 3, "{method:?}");
    assert!(method.stderr.contains("it has: heard, hold"), "{method:?}");
    let service = bay.hotbay(&["call", "listen.heard"]);
    assert!(service.stderr.contains("running: listens"), "{service:?}");
    bay.ok(&["stop", "listens"]);
    let stopped = bay.hotbay(&["request", "double.it", "-d", "1"]);
    assert_eq!(stopped.code, 4, "{stopped:?}");
    assert!(stopped.stderr.contains("its service is stopped"), "{stopped:?}");
}

#[test]
fn slow_sees_that_its_client_was_killed_and_its_lane_goes_on() {
    let mut bay = Bay::started();
    bay.drop_in("slow", &fixture("slow"));
    bay.wait_version("slow", "1.0.0");
    let mut client = bay.command();
    client.args(["call", "slow.until_given_up", "--timeout", "50s"]);
    let mut client = client.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("it is inside", || bay.log().contains("until nobody waits").then_some(()));
    client.kill().unwrap();
    client.wait().unwrap();
    eventually("it saw that", || (bay.call("slow.given_up", "") == "1").then_some(()));
    // And where the deadline passes.
    let late = bay.hotbay(&["call", "slow.until_given_up", "--timeout", "100ms"]);
    // It answers when it sees that, and where who waits wakes up late, that is an answer still.
    assert!(matches!(late.code, 0 | 7), "{late:?}");
    eventually("it saw that too", || (bay.call("slow.given_up", "") == "2").then_some(()));
    bay.assert_alive();
}

#[test]
fn listens_to_messages_that_fail_and_the_version_before_comes_back() {
    let bay = Bay::with("[probation]\nmin_calls = 5\nwindow_ms = 60000").up();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    bay.drop_in("listens", &fixture("listens_next"));
    bay.wait_version("listens", "2.0.0");
    for _ in 0..5 {
        bay.ok(&["publish", "numbers.fail"]);
    }
    bay.wait_version("listens", "1.0.0");
    let rolled_back = &bay.status("listens").rolled_back;
    assert!(rolled_back[0].reason.contains("5 of 5 calls and messages failed"), "{rolled_back:?}");
}
