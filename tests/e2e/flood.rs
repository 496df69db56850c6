//! More messages than their receivers take: what is bounded stays so, what is dropped is counted, and others go on.

use hotbay::bus::{Mailed, Published, TopicView};
use hotbay_tests::{Bay, Exposition, Web, eventually, fixture, resident_bytes};

use super::edited::Held;
use super::messages::Subscriber;

const KIB: usize = 1 << 10;

/// `listens`, whose lane is held: it takes no messages.
fn held(settings: &str) -> (Bay, Web, Held) {
    let (bay, web) = Bay::with(&format!("[service.listens]\n{settings}")).up_with_http();
    bay.drop_in("listens", &fixture("listens"));
    bay.wait_version("listens", "1.0.0");
    let held = Held::start(&bay, &["call", "listens.hold", "-d", "600000", "--timeout", "600s"]);
    eventually("it is held", || {
        let inside = |line: &str| {
            line.starts_with("hotbay_calls_in_flight{service=\"listens\"") && line.ends_with(" 1")
        };
        bay.ok(&["metrics"]).lines().any(inside).then_some(())
    });
    (bay, web, held)
}

fn publish(web: &Web, topic: &str, bytes: &[u8]) -> Published {
    serde_json::from_slice(&web.ask("POST", &format!("/v1/publish/{topic}"), bytes).body).unwrap()
}

fn mailboxes(bay: &Bay) -> Vec<Mailed> {
    let topics: Vec<TopicView> = serde_json::from_str(&bay.ok(&["topics", "-o", "json"])).unwrap();
    topics.into_iter().flat_map(|topic| topic.mailboxes).collect()
}

fn mailed(bay: &Bay) -> Mailed {
    mailboxes(bay).into_iter().find(|mailbox| mailbox.name == "listens").unwrap()
}

fn counted(bay: &Bay, of: &str) -> Option<f64> {
    let labels = [("mailbox", "listens"), ("queue", "")];
    Exposition::read(&bay.ok(&["metrics"])).get(&format!("hotbay_mailbox_{of}_total"), &labels)
}

#[test]
fn listens_is_full_and_refuses_and_each_refusal_is_told_and_counted() {
    let (bay, web, _held) = held("messages = 3\nwhen_full = \"reject\"");
    let sent: Vec<_> = (0..10).map(|_| publish(&web, "numbers.next", b"1")).collect();
    let (taken, refused) = (sent.iter().map(|one| one.taken).sum(), sent.iter().map(|one| one.refused).sum());
    assert_eq!((taken, refused), (3, 7));
    let seen = mailed(&bay);
    assert_eq!((seen.depth, seen.accepted, seen.dropped, seen.refused), (3, 3, 0, 7));
    assert_eq!((counted(&bay, "refused"), counted(&bay, "dropped")), (Some(7.0), Some(0.0)));
}

#[test]
fn listens_is_flooded_and_drops_its_oldest_by_number_and_by_bytes_and_the_host_stays_small() {
    let (bay, web, _held) = held("messages = 100\nmessage_bytes = 1048576\nwhen_full = \"drop-oldest\"");
    let large = vec![b'1'; 256 * KIB];
    publish(&web, "numbers.next", &large);
    let before = resident_bytes(bay.pid());
    for _ in 1..200 {
        assert_eq!(publish(&web, "numbers.next", &large).taken, 1, "it takes each");
    }
    let seen = mailed(&bay);
    assert!(seen.bytes <= seen.max_bytes && seen.max_bytes == 1024 * KIB, "{seen:?}");
    assert_eq!((seen.accepted, seen.depth as u64 + seen.dropped, seen.depth), (200, 200, 4));
    assert_eq!(counted(&bay, "dropped"), Some(196.0));
    if let (Some(before), Some(after)) = (before, resident_bytes(bay.pid())) {
        // Fifty MiB went through it.
        assert!(after < before + 24 * 1024 * KIB as u64, "{before} bytes before, {after} after");
    }
    for _ in 0..110 {
        publish(&web, "numbers.next", b"1");
    }
    assert_eq!(mailed(&bay).depth, 100);
}

#[test]
fn a_client_that_takes_no_messages_holds_up_nobody_costs_bounded_memory_and_is_let_go() {
    let (bay, web) = Bay::new().up_with_http();
    // Whose output nobody reads: a pipe that is full holds it.
    let _stalled = Subscriber::start(&bay, &["orders.>"]);
    let mut follows = Subscriber::start(&bay, &["orders.>", "--queue", "quick"]);
    let large = vec![b'x'; 1024 * KIB];
    let before = resident_bytes(bay.pid());
    for _ in 0..200 {
        let sent = publish(&web, "orders.large", &large);
        assert_eq!(follows.next()["id"], sent.id.to_string(), "who takes them gets each");
    }
    if let (Some(before), Some(after)) = (before, resident_bytes(bay.pid())) {
        // What its mailbox may hold, 64 MiB, and not much more.
        assert!(after < before + (64 + 24) * 1024 * KIB as u64, "{before} bytes before, {after} after");
    }
    eventually("it was let go", || {
        mailboxes(&bay).iter().all(|mailbox| mailbox.queue.as_deref() == Some("quick")).then_some(())
    });
    let sent = publish(&web, "orders.last", b"7");
    assert_eq!((sent.taken, follows.next()["id"].as_str()), (1, Some(&*sent.id.to_string())));
}
