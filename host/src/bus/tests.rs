use std::collections::{BTreeMap, VecDeque};

use super::*;
use crate::bus::publish::Manner;

const LONG: Duration = Duration::from_secs(20);

fn patterns(patterns: &[&str]) -> Vec<Pattern> {
    patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn subscribed(bus: &Arc<Bus>, name: &str, to: &[&str]) -> Subscription {
    bus.subscribe(Subscribe::new(name, patterns(to)))
}

fn published(bus: &Bus, topic: &str, text: &str) -> Published {
    bus.publish(&"test".into(), topic, text.as_bytes().into(), Manner::Forget).unwrap()
}

/// All that is there now.
fn texts(subscription: &Subscription) -> Vec<String> {
    let mut all = VecDeque::new();
    match subscription.receive_all(&mut all, Duration::ZERO) {
        Ok(()) | Err(Receive::TimedOut) => {}
        Err(Receive::Ended) => panic!("it has ended"),
    }
    all.iter().map(|message| String::from_utf8_lossy(message.payload()).into_owned()).collect()
}

#[test]
fn a_message_goes_to_each_who_takes_its_topic_and_is_one() {
    let bus = Arc::new(Bus::default());
    let (one, all) =
        (subscribed(&bus, "one", &["orders.created"]), subscribed(&bus, "all", &["orders.>", "*.created"]));
    let other = subscribed(&bus, "other", &["bills.>"]);
    let sent = published(&bus, "orders.created", "7");
    assert_eq!((sent.taken, sent.refused), (2, 0));
    let (one, all) = (one.receive(LONG).unwrap(), all.receive(LONG).unwrap());
    assert!(one.is(&all), "it is shared");
    assert_eq!(
        (one.topic(), one.sender(), one.payload(), one.id()),
        ("orders.created", "test", &b"7"[..], sent.id)
    );
    assert_eq!(other.receive(Duration::ZERO).unwrap_err(), Receive::TimedOut);
    assert_eq!(published(&bus, "nobody", "").taken, 0);
}

#[test]
fn a_topic_with_a_wildcard_is_refused_with_the_reason() {
    let error =
        Bus::default().publish(&"test".into(), "orders.*", b""[..].into(), Manner::Forget).unwrap_err();
    assert!(matches!(error, PublishError::Topic(_)), "{error}");
}

#[test]
fn a_topic_of_the_kernel_is_told_by_the_kernel_alone() {
    let bus = Arc::new(Bus::default());
    let heard = subscribed(&bus, "heard", &["hotbay.>"]);
    let say = |who: &str, topic| bus.publish(&who.into(), topic, b"7"[..].into(), Manner::Forget);
    for topic in ["hotbay.metrics.calls", "hotbay"] {
        let error = say("liar", topic).unwrap_err();
        assert!(error.to_string().contains("the kernel alone"), "{error}");
    }
    assert_eq!(heard.receive(Duration::ZERO).unwrap_err(), Receive::TimedOut);
    assert_eq!(say(KERNEL, "hotbay.metrics.calls").unwrap().taken, 1);
    assert_eq!(say("anybody", "hotbays.sold").unwrap().taken, 0);
}

#[test]
fn who_subscribes_later_gets_what_comes_later_and_who_has_left_gets_nothing() {
    let bus = Arc::new(Bus::default());
    let first = subscribed(&bus, "first", &["a"]);
    published(&bus, "a", "1");
    let second = subscribed(&bus, "second", &["*"]);
    assert_eq!(published(&bus, "a", "2").taken, 2);
    drop(first);
    assert_eq!(published(&bus, "a", "3").taken, 1);
    assert_eq!(texts(&second), ["2", "3"]);
    drop(second);
    assert_eq!(published(&bus, "a", "4").taken, 0);
}

#[test]
fn of_a_queue_group_one_takes_a_message_by_turns_and_one_with_room_before_one_without() {
    let bus = Arc::new(Bus::default());
    let member = |name: &str, room| {
        bus.subscribe(
            Subscribe::new(name, patterns(&["work"]))
                .queue("workers")
                .capacity(room)
                .when_full(WhenFull::Reject),
        )
    };
    let (small, large) = (member("small", 1), member("large", 8));
    let beside = subscribed(&bus, "beside", &["work"]);
    let taken: Vec<usize> = (0..6).map(|number| published(&bus, "work", &number.to_string()).taken).collect();
    assert_eq!(taken, [2; 6], "one of the group, and who is in none");
    let mut all = texts(&small);
    assert_eq!(all.len(), 1, "it has no more room");
    let of_large = texts(&large);
    assert!(of_large.is_sorted(), "order holds for each: {of_large:?}");
    all.extend(of_large);
    all.sort();
    assert_eq!(all, ["0", "1", "2", "3", "4", "5"]);
    assert_eq!(texts(&beside).len(), 6);
}

#[test]
fn a_group_of_which_nobody_has_room_refuses_once() {
    let bus = Arc::new(Bus::default());
    let member = |name: &str| {
        bus.subscribe(
            Subscribe::new(name, patterns(&["w"])).queue("g").capacity(1).when_full(WhenFull::Reject),
        )
    };
    let (a, b) = (member("a"), member("b"));
    (0..2).for_each(|_| assert_eq!(published(&bus, "w", "").refused, 0));
    let full = published(&bus, "w", "");
    assert_eq!((full.taken, full.refused, a.mailed().refused + b.mailed().refused), (0, 1, 1));
}

#[test]
fn a_group_of_which_one_leaves_while_a_message_waits_for_it_gives_it_to_another() {
    for leaves in [true, false] {
        let bus = Arc::new(Bus::default());
        let member =
            |name: &str| bus.subscribe(Subscribe::new(name, patterns(&["w"])).queue("g").capacity(1));
        let members = [member("a"), member("b")];
        // The first message goes to the first member, the second one to the second, and the third one waits for the first.
        (0..2).for_each(|number| assert_eq!(published(&bus, "w", &number.to_string()).taken, 1));
        std::thread::scope(|scope| {
            let waits =
                scope.spawn(|| bus.publish(&"test".into(), "w", b"2"[..].into(), Manner::Confirm(LONG)));
            let [first, second] = &members;
            crate::linked::until(|| first.subscriber.mailbox.senders() == 1);
            assert_eq!(texts(second), ["1"]);
            if leaves {
                bus.remove(&first.subscriber);
            } else {
                first.subscriber.mailbox.rest();
            }
            assert_eq!(waits.join().unwrap().map(|sent| sent.taken), Ok(1), "leaves: {leaves}");
            assert_eq!(texts(second), ["2"]);
        });
    }
}

#[test]
fn a_group_of_which_all_leave_while_a_message_waits_refuses_it() {
    let bus = Arc::new(Bus::default());
    let only = bus.subscribe(Subscribe::new("a", patterns(&["w"])).queue("g").capacity(1));
    published(&bus, "w", "");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| bus.publish(&"test".into(), "w", b""[..].into(), Manner::Confirm(LONG)));
        crate::linked::until(|| only.subscriber.mailbox.senders() == 1);
        bus.remove(&only.subscriber);
        let error = waits.join().unwrap().unwrap_err();
        assert!(matches!(error, PublishError::NotTaken { taken: 0, .. }), "{error}");
    });
    assert_eq!(only.mailed().depth, 0, "what waited is not kept for nobody");
}

#[test]
fn who_joins_a_group_while_its_only_member_leaves_is_brought_the_message() {
    let bus = Arc::new(Bus::default());
    let member = |name: &str| bus.subscribe(Subscribe::new(name, patterns(&["w"])).queue("g").capacity(1));
    let only = member("only");
    published(&bus, "w", "1");
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| bus.publish(&"test".into(), "w", b"2"[..].into(), Manner::Confirm(LONG)));
        crate::linked::until(|| only.subscriber.mailbox.senders() == 1);
        let next = member("next");
        bus.remove(&only.subscriber);
        let sent = waits.join().unwrap().unwrap();
        assert_eq!((sent.taken, sent.refused, texts(&next)), (1, 0, vec!["2".to_owned()]));
    });
}

#[test]
fn who_receives_with_a_short_deadline_does_not_wait_for_who_has_a_long_one() {
    let bus = Arc::new(Bus::default());
    let all = subscribed(&bus, "all", &[">"]);
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| all.receive(LONG).map(|message| message.topic().to_owned()));
        crate::linked::until(|| all.subscriber.mailbox.receivers() == 1);
        assert_eq!(all.receive(Duration::ZERO).unwrap_err(), Receive::TimedOut);
        published(&bus, "a", "");
        assert_eq!(waits.join().unwrap(), Ok("a".to_owned()));
    });
}

#[test]
fn a_confirmed_message_names_the_mailboxes_that_did_not_take_it() {
    let bus = Arc::new(Bus::default());
    let (roomy, tight) = (
        subscribed(&bus, "roomy", &["a"]),
        bus.subscribe(Subscribe::new("tight", patterns(&["a"])).capacity(1)),
    );
    let confirm =
        |ms| bus.publish(&"test".into(), "a", b"x"[..].into(), Manner::Confirm(Duration::from_millis(ms)));
    assert_eq!(confirm(0).unwrap().taken, 2);
    let error = confirm(10).unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to have the message taken by all: the mailbox of `tight` is full; 1 took it"
    );
    assert_eq!((texts(&roomy).len(), texts(&tight).len()), (2, 1));
}

#[test]
fn a_message_that_is_published_while_another_is_handled_follows_from_it() {
    let bus = Arc::new(Bus::default());
    let all = subscribed(&bus, "all", &[">"]);
    published(&bus, "a", "");
    let first = all.receive(LONG).unwrap();
    delivering(&first, || published(&bus, "b", ""));
    let second = all.receive(LONG).unwrap();
    assert_eq!((first.causes(), second.causes()), (&[][..], &[first.id()][..]));
    let outgoing = Outgoing { cause: Some(&second), ..Outgoing::default() };
    bus.publish(&"test".into(), "c", outgoing, Manner::Forget).unwrap();
    assert_eq!(all.receive(LONG).unwrap().causes(), [first.id(), second.id()]);
    published(&bus, "d", "");
    assert_eq!(all.receive(LONG).unwrap().causes(), [], "it is handled no more");
}

#[test]
fn messages_that_answer_each_other_in_a_circle_end() {
    let bus = Arc::new(Bus::default());
    let all = subscribed(&bus, "all", &[">"]);
    published(&bus, "ping", "");
    let mut hops = 0;
    let error = loop {
        let message = all.receive(LONG).unwrap();
        let again =
            delivering(&message, || bus.publish(&"test".into(), "ping", b""[..].into(), Manner::Forget));
        match again {
            Ok(_) => hops += 1,
            Err(error) => break error,
        }
        assert!(hops < 1000, "it goes on for ever");
    };
    assert!(matches!(error, PublishError::TooManyHops { .. }), "{error}");
}

#[test]
fn topics_without_end_take_no_memory_without_end_and_those_in_use_stay() {
    let bus = Arc::new(Bus::default());
    let all = bus.subscribe(
        Subscribe::new("all", patterns(&["orders.>"])).capacity(1).when_full(WhenFull::DropOldest),
    );
    for number in 0..20_000 {
        published(&bus, &format!("orders.{number}"), "");
    }
    let view = bus.view();
    assert!(view.len() <= 4097, "{}", view.len());
    assert!(view.iter().any(|topic| topic.subject == "orders.19999"));
    let mailed = all.mailed();
    assert_eq!((mailed.accepted, mailed.dropped, mailed.depth), (20_000, 19_999, 1));
}

#[test]
fn the_view_shows_topics_and_patterns_with_the_mailboxes_behind_them() {
    let bus = Arc::new(Bus::default());
    let _all = subscribed(&bus, "all", &["orders.>"]);
    let _one = subscribed(&bus, "one", &["bills"]);
    published(&bus, "orders.created", "");
    published(&bus, "orders.created", "");
    let view = bus.view();
    let shown: Vec<_> = view
        .iter()
        .map(|topic| {
            let mailboxes: Vec<_> =
                topic.mailboxes.iter().map(|mailed| (mailed.name.as_str(), mailed.depth)).collect();
            (topic.subject.as_str(), topic.published, mailboxes)
        })
        .collect();
    assert_eq!(
        shown,
        [
            ("orders.created", 2, vec![("all", 2)]),
            ("bills", 0, vec![("one", 0)]),
            ("orders.>", 0, vec![("all", 2)])
        ]
    );
}

#[test]
fn a_bus_that_closes_gives_what_is_there_and_then_the_end() {
    let bus = Arc::new(Bus::default());
    let all = subscribed(&bus, "all", &[">"]);
    published(&bus, "a", "1");
    bus.close();
    let late = bus.publish(&"test".into(), "a", b"2"[..].into(), Manner::Forget);
    assert!(matches!(late, Err(PublishError::Refused { .. })), "{late:?}");
    assert_eq!(all.receive(LONG).map(|message| message.payload().to_vec()), Ok(b"1".to_vec()));
    assert_eq!(all.receive(LONG).unwrap_err(), Receive::Ended);
    assert_eq!(subscribed(&bus, "late", &["a"]).receive(LONG).unwrap_err(), Receive::Ended);
}

#[test]
fn while_others_come_and_go_nothing_is_lost_and_each_senders_order_holds() {
    const EACH: u32 = 5_000;
    let bus = Arc::new(Bus::default());
    let all = bus.subscribe(Subscribe::new("all", patterns(&["t.>"])).capacity(32));
    std::thread::scope(|scope| {
        for sender in ["one", "two"] {
            let bus = &bus;
            scope.spawn(move || {
                for number in 0..EACH {
                    let outgoing = Outgoing::from(&number.to_le_bytes()[..]).payload.to_vec();
                    let manner = Manner::Confirm(LONG);
                    bus.publish(&sender.into(), "t.x", outgoing[..].into(), manner).unwrap();
                }
            });
        }
        let bus = &bus;
        scope.spawn(move || {
            for _ in 0..200 {
                let pattern = patterns(&["t.x"]);
                drop(bus.subscribe(Subscribe::new("passing", pattern).when_full(WhenFull::DropOldest)));
            }
        });
        let mut next: BTreeMap<String, u32> = BTreeMap::new();
        for _ in 0..2 * EACH {
            let message = all.receive(LONG).unwrap();
            let next = next.entry(message.sender().to_owned()).or_default();
            assert_eq!(message.payload(), next.to_le_bytes());
            *next += 1;
        }
    });
}

/// Hands each message to another bus.
struct Bridge(Arc<Bus>);

impl Transport for Bridge {
    fn carry(&self, message: &Message) {
        self.0.take_in(message).unwrap();
    }
}

#[test]
fn a_transport_carries_messages_to_another_bus_and_none_comes_back() {
    let (here, there) = (Arc::new(Bus::default()), Arc::new(Bus::default()));
    here.attach(Arc::new(Bridge(Arc::clone(&there))));
    there.attach(Arc::new(Bridge(Arc::clone(&here))));
    let (own, other) = (subscribed(&here, "own", &["a"]), subscribed(&there, "other", &["a"]));
    let sent = published(&here, "a", "1");
    assert_eq!(other.receive(LONG).map(|message| message.id()), Ok(sent.id));
    published(&there, "a", "2");
    assert_eq!((texts(&own), texts(&other)), (vec!["1".to_owned(), "2".to_owned()], vec!["2".to_owned()]));
}

#[test]
fn a_topic_that_may_have_been_forgotten_says_since_when_it_is_counted() {
    let bus = Bus::default();
    let seen = |subject: &str| bus.view().into_iter().find(|view| view.subject == subject).unwrap();
    published(&bus, "first", "");
    assert_eq!((seen("first").published, seen("first").since_unix_ms), (1, None));
    // More than are remembered, by the same thread, which keeps some in hand.
    for number in 0..5000 {
        published(&bus, &format!("numbers.{number}"), "");
    }
    assert!(bus.view().len() < 5000);
    published(&bus, "first", "");
    assert_eq!(seen("first").published, 1, "the one before is not known any more");
    assert!(seen("first").since_unix_ms.is_some());
}
