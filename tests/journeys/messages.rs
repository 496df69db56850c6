//! Messages of an embedding program, through swaps of whom they are for.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hotbay::bus::{Pattern, Receive, Subscribe};
use hotbay::kernel::view::Outcome;
use hotbay_tests::{Hosted, PATIENCE, eventually, fixture, rounds};

/// The two versions of `listens`.
const VERSIONS: [(&str, &str); 2] = [("listens", "1.0.0"), ("listens_next", "2.0.0")];

fn heard(hosted: &Hosted) -> serde_json::Value {
    serde_json::from_str(&hosted.request("listens", "heard", "").unwrap()).unwrap()
}

/// `HOTBAY_TEST_ROUNDS=full` sends a million messages through a hundred swaps.
#[test]
fn listens_through_many_swaps_and_none_of_many_messages_is_lost_or_out_of_order() {
    let (swaps, each) = (rounds(10, 100), rounds(2_000, 10_000));
    let hosted = Hosted::start();
    hosted.live("listens", &fixture("listens"), "1.0.0");
    let publisher = hosted.host().publisher("test");
    let mut sent = 0_u64;
    for swap in 1..=swaps {
        // For as long as the swap goes on, and more than its mailbox holds.
        let is_live = AtomicBool::new(false);
        let publish = || {
            let mut number = sent;
            while number < sent + each || !is_live.load(Ordering::Relaxed) {
                let published = publisher.confirm("numbers.next", number.to_string().as_bytes(), PATIENCE);
                assert_eq!(published.unwrap().taken, 1);
                number += 1;
            }
            number
        };
        sent = std::thread::scope(|scope| {
            let published = scope.spawn(publish);
            let (file, version) = VERSIONS[usize::try_from(swap % 2).unwrap()];
            // Also when it does not come to live: the scope waits for the publisher.
            let lived = catch_unwind(AssertUnwindSafe(|| hosted.live("listens", &fixture(file), version)));
            is_live.store(true, Ordering::Relaxed);
            let published = published.join().unwrap();
            lived.map(|_| published).unwrap_or_else(|failed| resume_unwind(failed))
        });
    }
    eventually("all of them were heard", || (heard(&hosted)["count"] == sent).then_some(()));
    assert_eq!(heard(&hosted)["gaps"], 0);
    let receipts = hosted.host().history("listens").unwrap();
    assert!(receipts.len() as u64 >= swaps.min(100), "{}", receipts.len());
    for receipt in &receipts {
        let messages = receipt.messages;
        assert_eq!(receipt.outcome, Outcome::Committed);
        assert_eq!((messages.lost, messages.duplicated, messages.dropped), (0, 0, 0), "{messages:?}");
    }
    assert!(receipts.iter().any(|receipt| receipt.messages.waited > 0), "none waited in any swap");
}

#[test]
fn an_embedding_program_subscribes_until_the_host_ends() {
    let hosted = Hosted::start();
    let subscribe = Subscribe::new("program", vec![Pattern::parse("orders.>").unwrap()]);
    let orders = hosted.host().subscribe(subscribe.clone()).unwrap();
    let publisher = hosted.host().publisher("program");
    assert_eq!(publisher.publish("orders.created", &b"7"[..]).unwrap().taken, 1);
    let order = orders.receive(PATIENCE).unwrap();
    assert_eq!((order.topic(), order.sender(), order.payload()), ("orders.created", "program", &b"7"[..]));
    assert_eq!(orders.receive(Duration::ZERO).unwrap_err(), Receive::TimedOut);
    hosted.host().shutdown();
    assert_eq!(orders.receive(PATIENCE).unwrap_err(), Receive::Ended);
    assert!(publisher.publish("orders.created", &b"8"[..]).is_err(), "nobody is there any more");
    assert!(hosted.host().subscribe(subscribe).is_err());
}
