//! Messages between services and the command line, also while a service is replaced, stopped, or breaks down.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use hotbay::bus::{Published, TopicView};
use hotbay::kernel::view::{Outcome, Phase};
use hotbay_tests::{Bay, eventually, example, fixture};
use serde_json::Value;

/// `hotbay subscribe`, which says a line of JSON for each message.
pub(super) struct Subscriber {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Subscriber {
    /// Returns when it is subscribed.
    pub(super) fn start(bay: &Bay, arguments: &[&str]) -> Self {
        let mut command = bay.command();
        command.arg("subscribe").args(arguments).args(["-o", "json"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = String::new();
        BufReader::new(child.stderr.take().unwrap()).read_line(&mut said).unwrap();
        assert!(said.starts_with("subscribed to "), "{said}");
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    pub(super) fn next(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn published(bay: &Bay, arguments: &[&str]) -> Published {
    let all: Vec<&str> = ["publish"].iter().chain(arguments).chain(&["-o", "json"]).copied().collect();
    serde_json::from_str(&bay.ok(&all)).unwrap()
}

fn heard(bay: &Bay) -> Value {
    serde_json::from_str(&bay.ok(&["call", "listens.heard"])).unwrap()
}

fn topics(bay: &Bay) -> Vec<TopicView> {
    serde_json::from_str(&bay.ok(&["topics", "-o", "json"])).unwrap()
}

#[test]
fn what_is_published_comes_to_who_subscribed_with_its_envelope() {
    let bay = Bay::started();
    let mut all = Subscriber::start(&bay, &["orders.>", "-n", "2"]);
    let sent = published(&bay, &["orders.created", "-d", "{\"id\":7}", "-H", "trace=9"]);
    assert_eq!((sent.taken, sent.refused), (1, 0));
    let message = all.next();
    assert_eq!(message["topic"], "orders.created");
    assert_eq!(message["text"], "{\"id\":7}");
    assert_eq!(message["sender"], "cli");
    assert_eq!(message["id"], sent.id.to_string());
    assert_eq!(message["headers"], serde_json::json!([["trace", "9"]]));
    assert_eq!(published(&bay, &["bills.created"]).taken, 0, "nobody subscribed to that");
    published(&bay, &["orders.eu.paid", "--confirm"]);
    assert_eq!(all.next()["topic"], "orders.eu.paid");
    let ended = eventually("it ends after two", || all.child.try_wait().unwrap());
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn of_a_queue_group_each_message_comes_to_one_member_by_the_command_line_and_by_http() {
    let (bay, web) = Bay::new().up_with_http();
    let group = ["orders.>", "--queue", "workers", "-n", "5"];
    let (mut one, mut two) = (Subscriber::start(&bay, &group), Subscriber::start(&bay, &group));
    let publish = |count: u64| -> BTreeSet<String> {
        (0..count)
            .map(|_| {
                let sent = published(&bay, &["orders.created"]);
                assert_eq!(sent.taken, 1, "one of them has it");
                sent.id.to_string()
            })
            .collect()
    };
    let sent = publish(10);
    let came =
        [&mut one, &mut two].into_iter().flat_map(|who| (0..5).map(|_| who.next()).collect::<Vec<_>>());
    let came: BTreeSet<String> = came.map(|message| message["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(came, sent, "each came once, and each of them had its share");
    drop((one, two));
    eventually("they have left", || {
        topics(&bay).iter().all(|topic| topic.mailboxes.is_empty()).then_some(())
    });

    let headers = format!("host: {}\r\nauthorization: Bearer {}\r\n", web.address, web.token);
    let mut members: Vec<_> = (0..2)
        .map(|_| {
            let mut member = web.connect();
            member.send("GET", "/v1/subscribe/orders.%3E?queue=workers", &headers, b"").unwrap();
            while member.line().unwrap() != ": begun" {}
            member
        })
        .collect();
    let sent = publish(4);
    let came = members.iter_mut().flat_map(|who| [who.event("message"), who.event("message")]);
    let came: BTreeSet<String> = came.map(|message| message["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(came, sent);
}

#[test]
fn what_is_followed_lasts_as_long_as_the_timeout_says_and_too_few_messages_in_it_are_told() {
    let bay = Bay::started();
    let too_few = bay.hotbay(&["subscribe", "orders", "-n", "1", "--timeout", "200ms"]);
    assert!(too_few.code == 7 && too_few.stderr.contains("HB1223"), "{too_few:?}");
    // Of these nothing was asked for but what comes in that time.
    for follow in [&["subscribe", "orders"][..], &["logs", "-f"], &["events", "-f"]] {
        let arguments = [follow, &["--timeout", "200ms"]].concat();
        let ran = bay.hotbay(&arguments);
        assert_eq!(ran.code, 0, "{arguments:?}: {ran:?}");
    }
}

#[test]
fn subjects_queue_groups_and_headers_that_cannot_be_meant_are_refused_as_usage() {
    let (bay, web) = Bay::new().up_with_http();
    for arguments in [
        &["publish", "orders.*"][..],
        &["publish", "a..b"],
        &["publish", "a", "-H", "=1"],
        &["subscribe", "a.>.b"],
        &["subscribe", "a", "--queue", "", "--timeout", "5s"],
        &["subscribe", "a", "--queue", "two words", "--timeout", "5s"],
    ] {
        let ran = bay.hotbay(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {ran:?}");
    }
    for group in ["", "two%20words"] {
        let asked = web.ask("GET", &format!("/v1/subscribe/a?queue={group}"), b"");
        assert_eq!((asked.status, &asked.json()["code"]), (400, &"HB1301".into()), "{asked:?}");
    }
    let headers =
        format!("host: {}\r\nauthorization: Bearer {}\r\nhotbay-header-: 1\r\n", web.address, web.token);
    let published = web.connect().ask_with("POST", "/v1/publish/a", &headers, b"").unwrap();
    assert_eq!((published.status, &published.json()["code"]), (400, &"HB1278".into()), "{published:?}");
}

#[test]
fn topics_of_the_kernel_are_refused_for_good_to_everybody_else() {
    let (bay, web) = Bay::new().up_with_http();
    let published = bay.hotbay(&["publish", "hotbay.service.echo"]);
    assert!(published.code == 2 && published.stderr.contains("HB1305"), "{published:?}");
    let asked = bay.hotbay(&["request", "hotbay.service.echo"]);
    assert!(asked.code == 2 && asked.stderr.contains("HB1305"), "{asked:?}");
    let published = web.ask("POST", "/v1/publish/hotbay.service.echo", b"");
    assert_eq!((published.status, &published.json()["code"]), (403, &"HB1305".into()), "{published:?}");
    let says_when = published.head.iter().any(|line| line.starts_with("retry-after"));
    assert!(!says_when, "it never works: {published:?}");
}

#[test]
fn echo_and_logger_exchange_events_and_know_nothing_of_each_other() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.drop_in("logger", &example("logger"));
    bay.wait_version("echo", "1.0.0");
    bay.wait_version("logger", "1.0.0");
    bay.call("echo.handle", "hello");
    eventually("the event is in the log", || {
        bay.log().contains("events.echo.handled from echo: hello").then_some(())
    });
    let topics = topics(&bay);
    let topic = topics.iter().find(|topic| topic.subject == "events.echo.handled").unwrap();
    assert_eq!((topic.published, topic.mailboxes[0].name.as_str()), (1, "logger"));
    let table = bay.ok(&["topics"]);
    assert!(table.lines().any(|line| line.contains("events.>") && line.contains("logger")), "{table}");
}

#[test]
fn listens_through_swaps_and_hears_each_message_once_in_order() {
    let bay = Bay::with("[service.listens]\nmessages = 100000");
    let bay = bay.up();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    let stop = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let publishing = scope.spawn(|| {
            let mut sent = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                assert_eq!(published(&bay, &["numbers.next", "-d", &sent.to_string()]).taken, 1);
                sent += 1;
            }
            sent
        });
        let swaps = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (version, file) in
                [("2.0.0", "listens_next"), ("1.0.0", "listens"), ("2.0.0", "listens_next")]
            {
                bay.drop_in("listens", &fixture(file));
                bay.wait_version("listens", version);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        let sent = publishing.join().unwrap();
        swaps.unwrap();
        sent
    });
    eventually("all of them were heard", || (heard(&bay)["count"] == sent).then_some(()));
    assert_eq!((heard(&bay)["gaps"].as_u64(), heard(&bay)["last"].as_u64()), (Some(0), Some(sent - 1)));
    for receipt in bay.history("listens") {
        assert_eq!(receipt.outcome, Outcome::Committed);
        assert_eq!((receipt.messages.lost, receipt.messages.duplicated, receipt.messages.dropped), (0, 0, 0));
    }
}

#[test]
fn listens_to_what_waited_while_it_was_stopped_where_that_is_kept() {
    let bay = Bay::with("[service.listens]\nwhen_stopped = \"keep\"").up();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    bay.ok(&["stop", "listens"]);
    bay.wait_phase("listens", Phase::Stopped);
    assert_eq!(published(&bay, &["numbers.next", "-d", "1"]).taken, 1);
    bay.ok(&["start", "listens"]);
    eventually("it was heard", || (heard(&bay)["count"] == 1).then_some(()));
}

#[test]
fn listens_to_nothing_while_it_is_stopped_and_who_publishes_is_refused_at_once() {
    let (bay, web) = Bay::new().up_with_http();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    bay.ok(&["stop", "listens"]);
    let sent = published(&bay, &["numbers.next", "-d", "1"]);
    assert_eq!((sent.taken, sent.refused), (0, 1));
    let confirmed = bay.hotbay(&["publish", "numbers.next", "-d", "1", "--confirm"]);
    assert_eq!(confirmed.code, 4, "{confirmed:?}");
    assert!(confirmed.stderr.contains("its service is stopped"), "{confirmed:?}");
    let confirmed = web.ask("POST", "/v1/publish/numbers.next?confirm=true", b"1");
    assert_eq!((confirmed.status, &confirmed.json()["code"]), (409, &"HB1303".into()), "{confirmed:?}");
    bay.ok(&["start", "listens"]);
    published(&bay, &["numbers.next", "-d", "5"]);
    eventually("it was heard", || (heard(&bay)["last"] == 5).then_some(()));
    assert_eq!(heard(&bay)["count"], 1);
}

#[test]
fn listens_on_after_a_restart_by_supervision_with_what_it_had_heard() {
    let bay = Bay::with("[service.listens.supervision]\nhang_ms = 50\nbackoff_ms = 1").up();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    published(&bay, &["numbers.next", "-d", "1"]);
    eventually("it was heard", || (heard(&bay)["count"] == 1).then_some(()));
    let hung = bay.hotbay(&["call", "listens.hold", "-d", "2000", "--timeout", "100ms"]);
    assert_eq!(hung.code, 7, "{hung:?}");
    eventually("it is restarted", || bay.status("listens").supervised.filter(|seen| seen.restarts == 1));
    bay.wait_phase("listens", Phase::Running);
    // While nobody served, none was taken, and who published was told.
    eventually("one is taken", || (published(&bay, &["numbers.next", "-d", "2"]).taken == 1).then_some(()));
    eventually("it was heard", || (heard(&bay)["count"] == 2).then_some(()));
    assert_eq!(heard(&bay)["gaps"], 0);
}

#[test]
fn listens_panics_at_a_message_and_hears_the_next_one() {
    let mut bay = Bay::started();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    let mut answers = Subscriber::start(&bay, &["heard.next"]);
    published(&bay, &["numbers.fail"]);
    let sent = published(&bay, &["numbers.next", "-d", "3", "-H", "answer-to=heard.next"]);
    let answer = answers.next();
    assert_eq!((answer["text"].as_str(), answer["sender"].as_str()), (Some("3"), Some("listens")));
    assert_eq!(answer["causes"], serde_json::json!([sent.id.to_string()]));
    assert!(bay.log().contains("told to"), "the panic is in the log");
    bay.assert_alive();
}
