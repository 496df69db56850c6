use std::collections::VecDeque;

use super::*;
use crate::bus::deadline::{Limit, within};
use crate::bus::publish::Manner;
use crate::bus::{Pattern, Receive, Subscribe, Subscription, WhenFull};

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(50);

fn patterns(patterns: &[&str]) -> Vec<Pattern> {
    patterns.iter().map(|text| Pattern::parse(text).unwrap()).collect()
}

fn answering(bus: &Arc<Bus>, name: &str, topics: &[&str]) -> Subscription {
    bus.subscribe(Subscribe::new(name, Vec::new()).answers(patterns(topics)))
}

fn ask(bus: &Bus, topic: &str, deadline: Duration, cancel: Option<&Cancel>) -> Result<Vec<u8>, RequestError> {
    bus.request(&"test".into(), topic, b"7"[..].into(), deadline, cancel)
}

/// Answers one request by its name and what was asked.
fn answer_one(subscription: &Subscription, name: &str) {
    let request = subscription.receive(LONG).unwrap();
    assert!(request.is_request() && !request.is_cancelled());
    assert!(request.reply(&[name.as_bytes(), request.payload()].concat()) && !request.reply(b"again"));
}

#[test]
fn of_those_who_answer_one_is_asked_by_turns_and_who_only_listens_gets_nothing() {
    let bus = Arc::new(Bus::default());
    let (one, two) = (answering(&bus, "one", &["price.*"]), answering(&bus, "two", &["price.tea"]));
    let listens = bus.subscribe(Subscribe::new("listens", patterns(&[">"])));
    let mut answers = Vec::new();
    for _ in 0..2 {
        thread::scope(|scope| {
            let asked = scope.spawn(|| ask(&bus, "price.tea", LONG, None));
            let by = crate::linked::until_some(|| {
                [(&one, "one"), (&two, "two")].into_iter().find(|(who, _)| who.mailed().depth > 0)
            });
            answer_one(by.0, by.1);
            answers.push(String::from_utf8(asked.join().unwrap().unwrap()).unwrap());
        });
    }
    answers.sort();
    assert_eq!(answers, ["one7", "two7"]);
    assert_eq!(listens.receive(Duration::ZERO).unwrap_err(), Receive::TimedOut);
    let published = bus.publish(&"test".into(), "price.tea", b""[..].into(), Manner::Forget).unwrap();
    assert_eq!(published.taken, 1, "who only answers gets no messages");
}

#[test]
fn where_nobody_answers_that_is_said_at_once_with_what_is_answered_the_nearest_first() {
    let bus = Arc::new(Bus::default());
    let _listens = bus.subscribe(Subscribe::new("listens", patterns(&[">"])));
    let _answers =
        (answering(&bus, "a", &["stock.*", "price.tea"]), answering(&bus, "b", &["price.tea", "stock.*"]));
    let begun = Instant::now();
    let error = ask(&bus, "price.tee", LONG, None).unwrap_err();
    assert!(begun.elapsed() < LONG);
    let known = vec!["price.tea".to_owned(), "stock.*".to_owned()];
    assert_eq!(error, RequestError::NobodyAnswers { topic: "price.tee".to_owned(), known });
    assert!(matches!(ask(&bus, "price.*", LONG, None), Err(RequestError::Topic(_))));
}

#[test]
fn a_request_that_is_not_answered_in_time_is_taken_out_where_it_waits() {
    let bus = Arc::new(Bus::default());
    let slow = answering(&bus, "slow", &["price"]);
    let error = ask(&bus, "price", SHORT, None).unwrap_err().to_string();
    assert!(error.contains("`slow` has not come to it"), "{error}");
    assert_eq!((slow.mailed().depth, slow.mailed().accepted), (0, 1));
    assert_eq!(slow.receive(Duration::ZERO).unwrap_err(), Receive::TimedOut);
}

#[test]
fn who_is_asked_in_vain_can_see_that_and_its_late_answer_is_nobodys() {
    let bus = Arc::new(Bus::default());
    let slow = answering(&bus, "slow", &["price"]);
    let request = thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&bus, "price", SHORT, None));
        let request = slow.receive(LONG).unwrap();
        let error = asked.join().unwrap().unwrap_err().to_string();
        assert!(error.contains("`slow` is still at it"), "{error}");
        request
    });
    assert!(request.is_cancelled() && !request.reply(b"late") && !request.fail("late"));
}

#[test]
fn who_lets_go_of_a_request_without_an_answer_has_said_so_at_once() {
    let bus = Arc::new(Bus::default());
    let rude = answering(&bus, "rude", &["price"]);
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&bus, "price", LONG, None));
        drop(rude.receive(LONG).unwrap());
        let name = "rude".to_owned();
        assert_eq!(asked.join().unwrap(), Err(RequestError::Dropped { topic: "price".to_owned(), name }));
        // One that waits when its mailbox goes.
        let asked = scope.spawn(|| ask(&bus, "price", LONG, None));
        crate::linked::until(|| rude.mailed().depth > 0);
        drop(rude);
        assert!(matches!(asked.join().unwrap(), Err(RequestError::Dropped { .. })));
    });
}

#[test]
fn an_answer_may_be_an_error_in_words() {
    let bus = Arc::new(Bus::default());
    let shop = answering(&bus, "shop", &["price"]);
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&bus, "price", LONG, None));
        assert!(shop.receive(LONG).unwrap().fail("there is no tea"));
        assert_eq!(asked.join().unwrap().unwrap_err().to_string(), "there is no tea");
    });
}

#[test]
fn who_cancels_waits_no_more_whether_it_was_begun_or_not() {
    let bus = Arc::new(Bus::default());
    let slow = answering(&bus, "slow", &["price"]);
    let cancelled = RequestError::Cancelled { topic: "price".to_owned() };
    for begins in [false, true] {
        let cancel = Cancel::new();
        thread::scope(|scope| {
            let asked = scope.spawn(|| ask(&bus, "price", LONG, Some(&cancel)));
            let request = begins.then(|| slow.receive(LONG).unwrap());
            crate::linked::until(|| slow.mailed().depth == usize::from(!begins));
            cancel.cancel();
            assert_eq!(asked.join().unwrap(), Err(cancelled.clone()));
            assert!(request.is_none_or(|request| request.is_cancelled()));
        });
        assert_eq!(slow.mailed().depth, 0);
    }
}

#[test]
fn what_is_asked_for_somebody_ends_when_that_one_has_no_more_time_or_gives_up() {
    let bus = Arc::new(Bus::default());
    let slow = answering(&bus, "slow", &["price"]);
    let until = Some(Instant::now() + SHORT);
    let error = within(Limit { until, ..Limit::default() }, || ask(&bus, "price", LONG, None)).unwrap_err();
    let RequestError::TimedOut { deadline, .. } = error else { panic!("{error:?}") };
    assert!(deadline <= SHORT, "{deadline:?}");
    let cancel = Cancel::new();
    thread::scope(|scope| {
        let limit = Limit { cancel: Some(cancel.clone()), ..Limit::default() };
        let asked = scope.spawn(|| within(limit, || ask(&bus, "price", LONG, None)));
        let request = slow.receive(LONG).unwrap();
        cancel.cancel();
        assert!(matches!(asked.join().unwrap(), Err(RequestError::Cancelled { .. })));
        assert!(request.is_cancelled(), "and so on, along the chain");
    });
}

#[test]
fn where_nobody_has_room_that_is_said() {
    let bus = Arc::new(Bus::default());
    let full = bus.subscribe(
        Subscribe::new("full", patterns(&["news"]))
            .answers(patterns(&["price"]))
            .capacity(1)
            .when_full(WhenFull::Reject),
    );
    assert_eq!(bus.publish(&"test".into(), "news", b"1"[..].into(), Manner::Forget).unwrap().taken, 1);
    let error = ask(&bus, "price", LONG, None).unwrap_err();
    assert_eq!(error.to_string(), "failed to ask `price`: the mailbox of `full` is full");
    let mut all = VecDeque::new();
    full.receive_all(&mut all, LONG).unwrap();
    assert!(all.len() == 1 && !all[0].is_request());
}

#[test]
fn who_cancels_waits_for_room_no_longer_also_where_it_publishes() {
    let bus = Arc::new(Bus::default());
    let _full =
        bus.subscribe(Subscribe::new("full", patterns(&["price"])).answers(patterns(&["price"])).capacity(1));
    let publish =
        || bus.publish(&"test".into(), "price", b""[..].into(), Manner::Confirm(LONG)).map(|sent| sent.taken);
    assert_eq!(publish(), Ok(1));
    let cancel = Cancel::new();
    thread::scope(|scope| {
        let asked = scope.spawn(|| ask(&bus, "price", LONG, Some(&cancel)));
        let limit = Limit { cancel: Some(cancel.clone()), ..Limit::default() };
        let published = scope.spawn(|| within(limit, publish));
        cancel.cancel();
        let topic = "price".to_owned();
        assert_eq!(asked.join().unwrap(), Err(RequestError::Cancelled { topic }));
        published.join().unwrap().unwrap_err();
    });
}

#[test]
fn who_comes_while_the_only_one_who_answers_goes_is_asked() {
    let bus = Arc::new(Bus::default());
    let full = bus.subscribe(Subscribe::new("full", Vec::new()).answers(patterns(&["price"])).capacity(1));
    thread::scope(|scope| {
        let first = scope.spawn(|| ask(&bus, "price", LONG, None));
        crate::linked::until(|| full.mailed().depth == 1);
        let second = scope.spawn(|| ask(&bus, "price", LONG, None));
        crate::linked::until(|| full.subscriber.mailbox.senders() == 1);
        let next = answering(&bus, "next", &["price"]);
        bus.remove(&full.subscriber);
        answer_one(&next, "next");
        assert_eq!(second.join().unwrap().unwrap(), b"next7");
        assert!(matches!(first.join().unwrap(), Err(RequestError::Dropped { .. })));
    });
}
