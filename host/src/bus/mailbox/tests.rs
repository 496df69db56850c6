use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::bus::envelope::{Envelope, Headers, MessageId};

const LONG: Duration = Duration::from_secs(20);

fn message(number: u64) -> Message {
    with(number, b"")
}

fn with(number: u64, payload: &[u8]) -> Message {
    Message::new(Envelope {
        id: MessageId { run: 1, number },
        unix_us: 0,
        sender: "test".into(),
        topic: "a".into(),
        headers: Headers::default(),
        causes: None,
        payload: payload.into(),
        asked: None,
    })
}

fn numbers(messages: &VecDeque<Message>) -> Vec<u64> {
    messages.iter().map(|message| message.id().number).collect()
}

fn messages(messages: usize) -> Room {
    Room { messages, bytes: usize::MAX }
}

fn never() -> Option<Instant> {
    panic!("nobody is to wait")
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(20))
}

#[test]
fn who_waits_for_room_gets_on_when_there_is_more_or_nobody_is_to_wait_any_longer() {
    for (room, when_full, took) in [
        (2, WhenFull::Block, Took::Taken),
        (1, WhenFull::Reject, Took::Full),
        (1, WhenFull::DropOldest, Took::Taken),
    ] {
        let mailbox = Mailbox::new(messages(1), WhenFull::Block, None);
        mailbox.push(message(1), false, never);
        thread::scope(|scope| {
            let sender = scope.spawn(|| mailbox.push(message(2), true, || None));
            crate::linked::until(|| mailbox.senders() == 1);
            mailbox.set(messages(room), when_full);
            assert_eq!(sender.join().unwrap(), took, "{when_full:?}");
        });
    }
}

#[test]
fn a_full_mailbox_refuses_drops_its_oldest_or_makes_the_sender_wait() {
    for (when_full, took, left, dropped) in [
        (WhenFull::Reject, Took::Full, [1, 2], 0),
        (WhenFull::DropOldest, Took::Taken, [2, 3], 1),
        (WhenFull::Block, Took::Full, [1, 2], 0),
    ] {
        let mailbox = Mailbox::new(messages(2), when_full, None);
        assert_eq!(
            (mailbox.push(message(1), false, never), mailbox.push(message(2), false, never)),
            (Took::Taken, Took::Taken)
        );
        let until = || if when_full == WhenFull::Block { soon() } else { never() };
        assert_eq!(mailbox.push(message(3), false, until), took, "{when_full:?}");
        let counts = mailbox.counts();
        assert_eq!((counts.dropped, counts.refused), (dropped, u64::from(took == Took::Full)));
        let mut taken = VecDeque::new();
        mailbox.take(10, &mut taken);
        assert_eq!(numbers(&taken), left, "{when_full:?}");
    }
}

#[test]
fn who_waits_for_room_gets_it_when_something_is_taken() {
    let mailbox = Mailbox::new(messages(1), WhenFull::Block, None);
    mailbox.push(message(1), false, never);
    thread::scope(|scope| {
        let waits = scope.spawn(|| mailbox.push(message(2), false, || None));
        let mut taken = VecDeque::new();
        while taken.len() < 2 {
            mailbox.wait(1, &mut taken, Some(Instant::now() + LONG)).unwrap();
        }
        assert_eq!((waits.join().unwrap(), numbers(&taken)), (Took::Taken, vec![1, 2]));
    });
}

#[test]
fn after_one_who_waited_in_vain_nobody_waits_until_something_is_taken() {
    let mailbox = Mailbox::new(messages(1), WhenFull::Block, None);
    mailbox.push(message(1), false, never);
    let patient = || Some(Instant::now() + PATIENCE);
    assert_eq!(mailbox.push(message(2), false, patient), Took::Full);
    assert_eq!(mailbox.push(message(3), false, never), Took::Full);
    mailbox.take(1, &mut VecDeque::new());
    mailbox.push(message(4), false, never);
    let asked = AtomicUsize::new(0);
    let until = || {
        asked.fetch_add(1, Ordering::Relaxed);
        soon()
    };
    assert_eq!((mailbox.push(message(5), false, until), asked.load(Ordering::Relaxed)), (Took::Full, 1));
}

#[test]
fn who_said_how_long_waits_for_himself_alone() {
    let mailbox = Mailbox::new(messages(1), WhenFull::Block, None);
    mailbox.push(message(1), false, never);
    assert_eq!(mailbox.push(message(2), true, soon), Took::Full);
    assert!(!mailbox.lock().stalled, "others may be more patient");
    mailbox.lock().stalled = true;
    thread::scope(|scope| {
        let waits = scope.spawn(|| mailbox.push(message(3), true, || Some(Instant::now() + LONG)));
        crate::linked::until(|| mailbox.lock().senders == 1);
        mailbox.take(1, &mut VecDeque::new());
        assert_eq!(waits.join().unwrap(), Took::Taken);
    });
}

#[test]
fn what_is_handed_out_keeps_its_room_until_it_is_brought() {
    for (when_full, free) in [(WhenFull::Block, [1, 2, 1]), (WhenFull::Reject, [4, 0, 0])] {
        let mailbox = Mailbox::new(messages(4), when_full, None);
        (1..5).for_each(|number| assert_eq!(mailbox.offer(&message(number)), Took::Taken));
        let mut hand = VecDeque::new();
        mailbox.hand(64, &mut hand);
        assert_eq!(numbers(&hand), [1, 2, 3, 4]);
        let room = || (0..9).filter(|_| mailbox.offer(&message(9)) == Took::Taken).count();
        let found = [(); 3].map(|()| {
            let found = room();
            let left = mailbox.lock().handed.saturating_sub(2);
            mailbox.still_hold(left);
            found
        });
        assert_eq!(found, free, "{when_full:?}");
    }
}

#[test]
fn a_mailbox_holds_no_more_bytes_than_it_has_room_for_but_one_large_message() {
    let room = Room { messages: 100, bytes: 1000 };
    let filled = |when_full| {
        let mailbox = Mailbox::new(room, when_full, None);
        let took = |number, bytes: usize| mailbox.push(with(number, &vec![0; bytes]), false, soon);
        assert_eq!(
            [took(1, 5000), took(2, 1), took(3, 400)],
            match when_full {
                WhenFull::DropOldest => [Took::Taken; 3],
                _ => [Took::Taken, Took::Full, Took::Full],
            }
        );
        mailbox
    };
    let large = filled(WhenFull::Reject);
    assert_eq!((large.counts().depth, large.counts().bytes), (1, 5000));
    let newest = filled(WhenFull::DropOldest);
    assert_eq!((newest.counts().depth, newest.counts().bytes, newest.counts().dropped), (2, 401, 1));
    assert_eq!(newest.push(with(4, &[0; 600]), false, never), Took::Taken);
    assert_eq!((newest.counts().depth, newest.counts().bytes, newest.counts().dropped), (2, 1000, 2));
    // Who brings them one by one has little of it in his hand.
    let mut hand = VecDeque::new();
    newest.hand(64, &mut hand);
    assert_eq!((numbers(&hand), newest.counts().bytes), (vec![3], 600));
    let flood = Mailbox::new(room, WhenFull::DropOldest, None);
    for number in 0..10_000 {
        flood.push(with(number, &[0; 90]), false, never);
        assert!(flood.counts().bytes <= 1000);
    }
    assert_eq!((flood.counts().depth, flood.counts().dropped), (11, 9989));
}

#[test]
fn a_mailbox_that_rests_drops_what_waits_and_wakes_who_waits_for_room() {
    let mailbox = Mailbox::new(messages(1), WhenFull::Block, None);
    mailbox.push(message(1), false, never);
    thread::scope(|scope| {
        let waits = scope.spawn(|| mailbox.push(message(2), false, || None));
        crate::linked::until(|| mailbox.lock().senders == 1);
        mailbox.rest();
        assert_eq!(waits.join().unwrap(), Took::Resting);
    });
    assert_eq!(mailbox.push(message(3), false, never), Took::Resting);
    mailbox.resume();
    assert_eq!(mailbox.push(message(4), false, never), Took::Taken);
    assert_eq!(
        mailbox.counts(),
        Counts { accepted: 2, dropped: 1, refused: 2, withdrawn: 0, depth: 1, bytes: 0 }
    );
}

#[test]
fn a_closed_mailbox_gives_what_is_there_and_then_the_end() {
    let mailbox = Mailbox::new(messages(4), WhenFull::Block, None);
    mailbox.push(message(1), false, never);
    mailbox.close();
    assert_eq!(mailbox.push(message(2), false, never), Took::Closed);
    let mut taken = VecDeque::new();
    assert_eq!((mailbox.wait(4, &mut taken, None), mailbox.wait(4, &mut taken, None)), (Some(1), None));
}

#[test]
fn whoever_found_nothing_is_woken_once() {
    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let count = Arc::new(Count(AtomicUsize::new(0)));
    let mailbox = Mailbox::new(messages(8), WhenFull::Block, Some(Arc::clone(&count) as _));
    let woken = || count.0.load(Ordering::Relaxed);
    mailbox.push(message(1), false, never);
    mailbox.push(message(2), false, never);
    assert_eq!(woken(), 1);
    let mut taken = VecDeque::new();
    mailbox.take(8, &mut taken);
    mailbox.push(message(3), false, never);
    assert_eq!(woken(), 1, "who took something looks again");
    mailbox.take(8, &mut taken);
    assert_eq!(mailbox.take(8, &mut taken), 0);
    mailbox.push(message(4), false, never);
    assert_eq!(woken(), 2);
}

#[test]
fn threads_that_push_and_take_lose_nothing_and_each_senders_order_holds() {
    const EACH: u64 = 20_000;
    let mailbox = Mailbox::new(messages(64), WhenFull::Block, None);
    thread::scope(|scope| {
        for sender in 0..3 {
            let mailbox = &mailbox;
            scope.spawn(move || {
                for number in 0..EACH {
                    assert_eq!(mailbox.push(message(sender * EACH + number), false, || None), Took::Taken);
                }
            });
        }
        let (mut taken, mut next) = (VecDeque::new(), [0; 3]);
        while next.iter().sum::<u64>() < 3 * EACH {
            mailbox.wait(17, &mut taken, Some(Instant::now() + LONG)).unwrap();
            for message in taken.drain(..) {
                let (sender, number) = (message.id().number / EACH, message.id().number % EACH);
                let next = &mut next[usize::try_from(sender).unwrap()];
                assert_eq!(number, *next, "of sender {sender}");
                *next += 1;
            }
        }
    });
    assert_eq!(mailbox.counts(), Counts { accepted: 3 * EACH, ..Counts::default() });
}

proptest! {
    #[test]
    fn what_was_accepted_waits_or_was_taken_or_dropped(
        capacity in 1..6usize,
        drops in any::<bool>(),
        steps in prop::collection::vec(0..4usize, 0..60),
    ) {
        let when_full = if drops { WhenFull::DropOldest } else { WhenFull::Reject };
        let mailbox = Mailbox::new(messages(capacity), when_full, None);
        // What should be there.
        let (mut expected, mut dropped, mut refused, mut accepted) = (VecDeque::new(), 0, 0, 0);
        for (number, step) in (0u64..).zip(steps) {
            if step == 0 {
                let mut taken = VecDeque::new();
                mailbox.take(2, &mut taken);
                let wanted: Vec<u64> = expected.drain(..expected.len().min(2)).collect();
                prop_assert_eq!(numbers(&taken), wanted);
                continue;
            }
            mailbox.push(message(number), false, never);
            if expected.len() == capacity && !drops {
                refused += 1;
                continue;
            }
            if expected.len() == capacity {
                expected.pop_front();
                dropped += 1;
            }
            expected.push_back(number);
            accepted += 1;
        }
        prop_assert_eq!(mailbox.counts(), Counts { accepted, dropped, refused, withdrawn: 0, depth: expected.len(), bytes: 0 });
    }
}
