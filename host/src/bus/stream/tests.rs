use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use super::*;

const LONG: Duration = Duration::from_secs(20);
const SHORT: Duration = Duration::from_millis(30);

fn pair(items: usize, bytes: usize) -> (Opener, Handler) {
    let opener = Opener::with(Window { items, bytes }, None);
    let handler = opener.attach().expect("nobody has it");
    (opener, handler)
}

#[test]
fn no_more_is_on_its_way_than_the_window_and_who_sends_waits_for_who_receives() {
    const COUNT: usize = 2_000;
    let (opener, handler) = pair(4, 64);
    let (sent, received) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..COUNT {
                handler.send(&[u8::try_from(number % 251).unwrap(); 7], LONG).unwrap();
                sent.fetch_add(1, Ordering::SeqCst);
            }
            handler.end(End::Finished);
        });
        for number in 0..COUNT {
            let item = opener.receive(LONG).unwrap().expect("it sends so many");
            assert_eq!(item, [u8::try_from(number % 251).unwrap(); 7]);
            let received = received.fetch_add(1, Ordering::SeqCst) + 1;
            // One may be sent and not counted yet.
            assert!(sent.load(Ordering::SeqCst) <= received + 5, "{received}");
        }
        assert_eq!(opener.receive(LONG), Ok(None));
    });
}

#[test]
fn an_item_longer_than_the_window_goes_alone_and_one_beyond_all_bounds_not_at_all() {
    let (opener, handler) = pair(4, 64);
    opener.send(&[1; 100], SHORT).unwrap();
    assert_eq!(opener.send(b"", SHORT), Err(Stuck::TimedOut));
    assert_eq!(handler.receive(SHORT).unwrap().unwrap().len(), 100);
    opener.send(b"", SHORT).unwrap();
    assert_eq!(handler.receive(SHORT), Ok(Some(Vec::new())), "an item may be empty");
    let long = vec![0; LONGEST_ITEM + 1];
    assert_eq!(
        (opener.send(&long, SHORT), handler.send(&long, SHORT)),
        (Err(Stuck::TooLong), Err(Stuck::TooLong))
    );
}

#[test]
fn both_ways_flow_at_once_and_each_is_finished_alone() {
    const COUNT: u32 = 500;
    let (opener, handler) = pair(3, 64);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut sum = 0;
            while let Some(item) = handler.receive(LONG).unwrap() {
                sum += u32::from_le_bytes(item[..].try_into().unwrap());
                handler.send(&item, LONG).unwrap();
            }
            handler.send(&sum.to_le_bytes(), LONG).unwrap();
            handler.end(End::Finished);
        });
        scope.spawn(|| {
            for number in 0..COUNT {
                opener.send(&number.to_le_bytes(), LONG).unwrap();
            }
            opener.finish();
            assert_eq!(opener.send(b"late", LONG), Err(Stuck::Ended(End::Finished)));
        });
        for number in 0..COUNT {
            assert_eq!(opener.receive(LONG).unwrap().unwrap(), number.to_le_bytes());
        }
        let sum = opener.receive(LONG).unwrap().unwrap();
        assert_eq!(u32::from_le_bytes(sum[..].try_into().unwrap()), COUNT * (COUNT - 1) / 2);
        assert_eq!((opener.receive(LONG), opener.ended(LONG)), (Ok(None), Ok(End::Finished)));
    });
}

#[test]
fn who_opened_it_has_all_that_was_sent_before_the_error() {
    let (opener, handler) = pair(8, 64);
    handler.send(b"a", LONG).unwrap();
    handler.send(b"b", LONG).unwrap();
    handler.end(End::Failed("no more".to_owned()));
    assert_eq!(
        (opener.receive(LONG), opener.receive(LONG)),
        (Ok(Some(b"a".to_vec())), Ok(Some(b"b".to_vec())))
    );
    let failed = Err(Stuck::Ended(End::Failed("no more".to_owned())));
    assert_eq!((opener.receive(LONG), opener.receive(LONG)), (failed.clone(), failed));
}

#[test]
fn a_handler_that_waits_is_woken_when_the_opener_goes_and_when_it_is_to_let_go() {
    for goes in [true, false] {
        let (opener, handler) = pair(1, 64);
        handler.send(b"full", LONG).unwrap();
        let (mover, limit) = (handler.mover(), handler.limit());
        let waits =
            |wait: fn(&Handler) -> Stuck, handler: Arc<Handler>| thread::spawn(move || wait(&handler));
        let handler = Arc::new(handler);
        let sends = waits(|handler| handler.send(b"more", LONG).unwrap_err(), Arc::clone(&handler));
        let receives = waits(|handler| handler.receive(LONG).unwrap_err(), Arc::clone(&handler));
        let end = if goes {
            drop(opener);
            End::Cancelled
        } else {
            mover.move_on();
            End::Moved
        };
        assert_eq!(sends.join().unwrap(), Stuck::Ended(end.clone()));
        assert_eq!(receives.join().unwrap(), Stuck::Ended(end));
        assert!(limit.cancel.unwrap().is_cancelled());
    }
}

#[test]
fn each_item_comes_once_and_in_order_while_handlers_follow_each_other() {
    const COUNT: u64 = 3_000;
    let opener = Opener::with(Window { items: 5, bytes: 1024 }, None);
    thread::scope(|scope| {
        let opener = &opener;
        // Echoes what it receives, and is made to let go again and again.
        let handles = move |handler: Handler| {
            let mover = handler.mover();
            scope.spawn(move || {
                let (mut held, mut count) = (None, 0);
                if let Some(token) =
                    handler.resumed().map(|resumed| resumed.token.clone()).filter(|t| !t.is_empty())
                {
                    held = Some(token);
                }
                let done = loop {
                    let item = match held.take().map_or_else(|| handler.receive(LONG), |held| Ok(Some(held)))
                    {
                        Ok(Some(item)) => item,
                        Ok(None) => break End::Finished,
                        Err(_) => break End::Failed(String::new()),
                    };
                    count += 1;
                    if count == 100 {
                        mover.move_on();
                    }
                    if handler.send(&item, LONG).is_err() {
                        // It was received and is not sent: the next one is to send it.
                        handler.leave(&item).unwrap();
                        break End::Failed(String::new());
                    }
                    handler.leave(b"").unwrap();
                };
                if done == End::Finished {
                    handler.finish();
                }
                handler.end(done);
            });
        };
        scope.spawn(move || {
            for number in 0..COUNT {
                while opener.send(&number.to_le_bytes(), LONG) == Err(Stuck::Ended(End::Moved)) {
                    thread::yield_now();
                }
            }
            opener.finish();
        });
        let (mut next, mut handlers) = (0, 0);
        loop {
            match opener.receive(LONG) {
                Ok(Some(item)) => {
                    assert_eq!(u64::from_le_bytes(item[..].try_into().unwrap()), next);
                    next += 1;
                }
                Ok(None) => break,
                Err(Stuck::Ended(End::Moved)) => {
                    handlers += 1;
                    handles(opener.attach().expect("the one before has let go"));
                }
                Err(stuck) => panic!("{stuck:?}"),
            }
        }
        assert_eq!(next, COUNT);
        assert!(handlers > 10, "{handlers}");
    });
}

#[test]
fn a_stream_ends_at_its_time_for_both_sides_and_a_wait_of_its_own_ends_it_not() {
    let opener = Opener::new(Some(Instant::now() + SHORT));
    let handler = opener.attach().unwrap();
    assert_eq!(handler.receive(Duration::ZERO), Err(Stuck::TimedOut));
    assert_eq!(handler.receive(LONG), Err(Stuck::Ended(End::Late)));
    assert_eq!(opener.receive(LONG), Err(Stuck::Ended(End::Late)));
    assert_eq!(opener.send(b"late", LONG), Err(Stuck::Ended(End::Late)));
    assert!(opener.attach().is_none());
}

#[test]
fn who_waits_for_somebody_who_has_given_up_waits_no_more_and_the_stream_goes_on() {
    let (opener, handler) = pair(4, 64);
    let cancel = Cancel::new();
    cancel.cancel();
    let limit = Limit { cancel: Some(cancel), ..Limit::default() };
    assert_eq!(deadline::within(limit, || opener.receive(LONG)), Err(Stuck::GivenUp));
    let limit = Limit { until: Some(Instant::now()), ..Limit::default() };
    assert_eq!(deadline::within(limit, || opener.receive(LONG)), Err(Stuck::TimedOut));
    handler.send(b"still there", LONG).unwrap();
    assert_eq!(opener.receive(LONG), Ok(Some(b"still there".to_vec())));
    drop(handler);
    assert_eq!(opener.ended(LONG), Ok(End::Cancelled), "it went without a word");
}

#[test]
fn a_handler_waits_for_what_is_not_on_the_stream_and_for_its_end_at_once() {
    let (opener, handler) = pair(4, 64);
    assert_eq!(handler.noticed(SHORT), Err(Stuck::TimedOut));
    handler.notify();
    handler.notify();
    assert_eq!((handler.noticed(LONG), handler.noticed(SHORT)), (Ok(()), Err(Stuck::TimedOut)));
    let handler = Arc::new(handler);
    let waits = thread::spawn({
        let handler = Arc::clone(&handler);
        move || (handler.noticed(LONG), handler.noticed(LONG))
    });
    handler.notify();
    drop(opener);
    let (first, then) = waits.join().unwrap();
    let ended = Err(Stuck::Ended(End::Cancelled));
    // It may have come to both at once.
    assert!(first == Ok(()) || first == ended);
    assert_eq!(then, ended);
}
