//! What is counted of requests that nobody answers.

use std::sync::mpsc;

use hotbay_plugin_api::prelude::*;

use super::*;
use crate::drain::drain;
use crate::kernel::gate::Gate;
use crate::kernel::receipt::{End, Window};
use crate::linked::{Bay, LONG, SHORT};

struct Idle;

impl Plugin for Idle {
    fn create(_: Context) -> Result<Self> {
        Ok(Self)
    }

    fn call(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        Ok(())
    }
}

export_plugin!(Idle { name: "idle" });

fn ask(slot: &Slot, deadline: Duration) -> Called {
    super::request(slot, "idle", b"", &mut Vec::new(), deadline)
}

/// Runs `body` while the generation's one lane is busy.
fn while_busy(generation: &Generation, body: impl FnOnce()) {
    let (go, wait) = mpsc::channel::<()>();
    let (began, is_there) = mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| generation.lane.run(LONG, move || began.send(()).map(|()| wait.recv())));
        is_there.recv().unwrap();
        body();
        go.send(()).unwrap();
    });
}

#[test]
fn a_request_that_expires_in_the_mailbox_is_in_one_receipt_and_neither_lost_nor_answered() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Idle>();
    ask(&slot, LONG).unwrap();
    let old_before = generation.tally.counts();
    while_busy(&generation, || {
        let expired = ask(&slot, SHORT).unwrap_err();
        assert!(matches!(*expired, CallError::TimedOut { .. }), "{expired:?}");
    });
    ask(&slot, LONG).unwrap();
    generation.left(slot.take_down(crate::kernel::view::Phase::Stopped, None));
    drain(&generation, LONG).unwrap();
    let old_after = generation.tally.counts();
    assert_eq!((old_after.entered, old_after.answered, old_after.expired), (3, 2, 1));
    let window = Window { old_before, old_after, end: End::Drained, ..Window::default() };
    let requests = window.requests();
    assert_eq!((requests.old, requests.lost, requests.duplicated), (2, 0, 0));
}

#[test]
fn a_request_that_waited_at_a_gate_and_expires_in_the_mailbox_is_counted_by_the_gate_alone() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Idle>();
    let gate = Arc::new(Gate::default());
    generation.left(slot.close(&gate));
    while_busy(&generation, || {
        let expired = std::thread::scope(|scope| {
            let asking = scope.spawn(|| ask(&slot, 10 * SHORT));
            std::thread::yield_now();
            let _ = slot.publish(Arc::clone(&generation));
            // It may come before it opens, or after: then it does not wait, and is no less counted once.
            gate.open();
            asking.join().unwrap().unwrap_err()
        });
        assert!(matches!(*expired, CallError::TimedOut { .. }), "{expired:?}");
    });
    let passage = gate.passage();
    let window = Window { old_after: generation.tally.counts(), passage, ..Window::default() };
    let requests = window.requests();
    assert_eq!(requests.old + requests.waited, 1, "{requests:?}");
}

#[test]
fn a_request_that_is_turned_away_is_not_accepted_and_counted_nowhere() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Idle>();
    while_busy(&generation, || {
        let room = crate::linked::ROOM.mailbox;
        let ask_in_vain = || {
            let lease = slot.lease(Instant::now() + LONG, None).unwrap();
            let exchange = Exchange::ask("idle", b"", None);
            let job: Arc<dyn Job> = Arc::clone(&exchange) as _;
            generation.lane.request(job, || exchange.accept(lease))
        };
        (0..room).for_each(|_| ask_in_vain().unwrap());
        assert_eq!(ask_in_vain().unwrap_err(), LaneError::Full);
        let counts = generation.tally.counts();
        assert_eq!((counts.entered, counts.over()), (room as u64, 0));
    });
}

struct Counter;

impl Plugin for Counter {
    fn create(_: Context) -> Result<Self> {
        Ok(Self)
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "echo" => reply.write(request.bytes()),
            "fail" => {
                reply.write(b"half an answer")?;
                Err(Error::msg("do it"))
            }
            "panic" => panic!("not today"),
            _ => Err(request.unknown_method()),
        }
    }
}

export_plugin!(Counter { name: "counter", methods: &["echo", "fail", "panic"] });

/// Calls it twice: by its name, and by what was learnt then.
fn twice(method: &known::Own, reply: &mut hotbay_plugin_api::Buffer) -> [Called; 2] {
    [method.call(b"hello", reply.out()), method.call(b"hello", reply.out())]
}

fn answer_twice(method: &known::Own, reply: &mut hotbay_plugin_api::Buffer) {
    twice(method, reply).into_iter().for_each(Result::unwrap);
}

#[test]
fn a_method_in_hand_is_answered_and_counted_as_one_by_name() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Counter>();
    // With room for a small reply, and without.
    for mut reply in [Vec::with_capacity(100), Vec::new()] {
        reply.extend_from_slice(b"as it was");
        let before = generation.tally.counts();
        ask_each(&slot, reply.into());
        let counts = generation.tally.counts();
        let since = |count: fn(&crate::kernel::tally::Counts) -> u64| count(&counts) - count(&before);
        assert_eq!((since(|c| c.entered), since(|c| c.answered)), (8, 8));
        assert_eq!((since(|c| c.failed), since(|c| c.mistaken)), (6, 2));
    }
}

fn ask_each(slot: &Arc<Slot>, mut reply: hotbay_plugin_api::Buffer) {
    let [echo, fail, panics, unknown] =
        ["echo", "fail", "panic", "sing"].map(|name| known::Own::new(Arc::clone(slot), name));
    for failed in twice(&fail, &mut reply) {
        assert!(matches!(*failed.unwrap_err(), CallError::Failed { ref text, .. } if text == "do it"));
    }
    for panicked in twice(&panics, &mut reply) {
        let told = |text: &str| text.starts_with("not today");
        assert!(matches!(*panicked.unwrap_err(), CallError::Panicked { ref text, .. } if told(text)));
    }
    for unknown in twice(&unknown, &mut reply) {
        let CallError::NoSuchMethod { mut known, .. } = *unknown.unwrap_err() else { panic!() };
        known.sort();
        assert_eq!(known, ["echo", "fail", "panic"]);
    }
    assert_eq!(&*reply, b"as it was");
    answer_twice(&echo, &mut reply);
    assert_eq!(&*reply, b"as it washellohello");
}

#[test]
fn a_method_in_hand_follows_the_slot_and_is_refused_where_nobody_serves() {
    let bay = Bay::new();
    let (slot, first) = bay.serve::<Counter>();
    let echo = known::Own::new(Arc::clone(&slot), "echo");
    let mut reply = hotbay_plugin_api::Buffer::new();
    answer_twice(&echo, &mut reply);
    let next = crate::start::start(bay.load::<Counter>(2), LONG).unwrap().generation;
    first.left(slot.publish(Arc::clone(&next)));
    drain(&first, LONG).unwrap();
    answer_twice(&echo, &mut reply);
    assert_eq!((first.tally.counts().answered, next.tally.counts().answered), (2, 2));
    next.left(slot.take_down(crate::kernel::view::Phase::Stopped, None));
    for refused in twice(&echo, &mut reply) {
        assert!(matches!(*refused.unwrap_err(), CallError::NotRunning { .. }));
    }
    drain(&next, LONG).unwrap();
    let _ = slot.publish(Arc::clone(&next));
    answer_twice(&echo, &mut reply);
    assert_eq!(reply.len(), 6 * b"hello".len());
}

#[test]
fn a_method_in_hand_goes_on_when_it_is_handed_to_another_thread() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Counter>();
    let mut echo = known::Own::new(slot, "echo");
    for _ in 0..3 {
        let mut reply = hotbay_plugin_api::Buffer::new();
        answer_twice(&echo, &mut reply);
        echo = std::thread::spawn(move || {
            answer_twice(&echo, &mut reply);
            echo
        })
        .join()
        .unwrap();
    }
    assert_eq!(generation.tally.counts().answered, 12);
}

#[test]
fn a_method_that_threads_share_finds_its_number_in_each_version() {
    struct Other;

    impl Plugin for Other {
        fn create(_: Context) -> Result<Self> {
            Ok(Self)
        }

        fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
            reply.write(request.method().as_bytes())
        }
    }

    export_plugin!(Other { name: "counter", methods: &["panic", "sing", "echo"] });

    let bay = Bay::new();
    let (slot, first) = bay.serve::<Counter>();
    let echo = known::Shared::new(Arc::clone(&slot), "echo");
    let ask = |request: &[u8]| {
        let mut reply = Vec::new();
        let mut lent = hotbay_plugin_api::abi::Lent::new(&mut reply);
        echo.call(request, lent.out()).unwrap();
        drop(lent);
        reply
    };
    assert_eq!([ask(b"one"), ask(b"two")], [b"one", b"two"]);
    let next = crate::start::start(bay.load::<Other>(2), LONG).unwrap().generation;
    first.left(slot.publish(next));
    assert_eq!([ask(b"one"), ask(b"two")], [b"echo", b"echo"]);
}

#[test]
fn a_method_that_there_is_not_is_said_at_once_however_busy_the_service_is() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Known>();
    while_busy(&generation, || {
        let error = super::request(&slot, "gret", b"", &mut Vec::new(), LONG).unwrap_err();
        let CallError::NoSuchMethod { known, .. } = *error else { panic!("{error:?}") };
        assert_eq!(known[0], "greet", "the nearest first");
    });
}

#[test]
fn who_cancels_while_its_request_waits_takes_it_out() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Known>();
    while_busy(&generation, || {
        let cancel = Cancel::new();
        let on_drop = cancel.on_drop();
        std::thread::scope(|scope| {
            let asked = scope
                .spawn(|| super::request_until(&slot, "greet", b"", &mut Vec::new(), LONG, Some(&cancel)));
            crate::linked::until(|| generation.tally.counts().entered == 1);
            drop(on_drop);
            let error = asked.join().unwrap().unwrap_err();
            assert!(matches!(*error, CallError::Cancelled { .. }), "{error:?}");
        });
    });
    let counts = generation.tally.counts();
    assert_eq!((counts.answered, counts.expired), (0, 1));
}

#[test]
fn a_request_that_runs_sees_that_it_was_cancelled_and_the_next_one_does_not() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Known>();
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| {
            let waited =
                super::request_until(&slot, "wait", b"", &mut Vec::new(), LONG, Some(&cancel)).is_ok();
            // By the same thread, which keeps what it asks by.
            let mut reply = Vec::new();
            super::request(&slot, "greet", b"", &mut reply, LONG).unwrap();
            (waited, reply)
        });
        crate::linked::until(|| generation.tally.counts().entered == 1);
        crate::linked::until(|| IS_INSIDE.load(std::sync::atomic::Ordering::SeqCst));
        cancel.cancel();
        assert_eq!(asked.join().unwrap(), (true, b"false".to_vec()));
    });
}

static IS_INSIDE: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);

/// Says which methods it has.
struct Known(Context);

impl Plugin for Known {
    fn create(context: Context) -> Result<Self> {
        Ok(Self(context))
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        if request.method() == "wait" {
            IS_INSIDE.store(true, std::sync::atomic::Ordering::SeqCst);
            crate::linked::until(|| self.0.is_cancelled());
        }
        reply.json(&self.0.is_cancelled())
    }
}

export_plugin!(Known { name: "known", methods: &["count", "greet", "wait"] });

#[test]
fn what_a_request_is_within_goes_with_it_to_the_lane_and_no_further() {
    let bay = Bay::new();
    let (slot, _generation) = bay.serve::<Tracing>();
    let asked = |reply: &mut Vec<u8>| super::request(&slot, "trace", b"", reply, LONG).unwrap();
    let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let trace = crate::bus::Trace::read(parent, None).unwrap();
    let (mut within, mut without) = (Vec::new(), Vec::new());
    trace.within(|| asked(&mut within));
    asked(&mut without);
    assert_eq!((String::from_utf8(within).unwrap().as_str(), without.len()), (parent, 0));
}

struct Tracing;

impl Plugin for Tracing {
    fn create(_: Context) -> Result<Self> {
        Ok(Self)
    }

    /// Linked in, so that it sees what the host's thread is within.
    fn call(&self, _: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        reply
            .write(crate::bus::Trace::current().map(|trace| trace.to_string()).unwrap_or_default().as_bytes())
    }
}

export_plugin!(Tracing { name: "tracing", methods: &["trace"] });

#[test]
fn calls_by_a_method_in_hand_and_requests_are_counted_by_their_method() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Counted>();
    let own = known::Own::new(Arc::clone(&slot), "two");
    let call = || own.call(b"", hotbay_plugin_api::abi::Lent::new(&mut Vec::new()).out());
    // The first one learns the way.
    (0..5).for_each(|_| call().unwrap());
    (0..3).for_each(|_| super::request(&slot, "one", b"", &mut Vec::new(), LONG).unwrap());
    // Such a request is refused before it goes in; who calls inline is told by the plugin.
    super::request(&slot, "none", b"", &mut Vec::new(), LONG).unwrap_err();
    inline(&slot, "none", b"", hotbay_plugin_api::abi::Lent::new(&mut Vec::new()).out()).unwrap_err();
    let counts = |number| generation.tally.method(number).tally.counts();
    assert_eq!((counts(Some(0)).answered, counts(Some(1)).answered, counts(None).answered), (3, 4, 2));
    assert_eq!((counts(None).mistaken, generation.tally.counts().entered), (1, 9));
    let timed = |number| generation.tally.method(number).latency.parts().0.iter().sum::<u64>();
    assert_eq!(
        (timed(Some(0)), timed(Some(1)), timed(None)),
        (3, 0, 0),
        "requests are timed, and nothing else"
    );
}

struct Counted;

impl Plugin for Counted {
    fn create(_: Context) -> Result<Self> {
        Ok(Self)
    }

    fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "one" | "two" => Ok(()),
            _ => Err(request.unknown_method()),
        }
    }
}

export_plugin!(Counted { name: "counted", methods: &["one", "two"] });

#[test]
fn who_cancels_waits_at_a_closed_gate_no_longer() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Idle>();
    let (gate, cancel) = (Arc::new(Gate::default()), Cancel::new());
    generation.left(slot.close(&gate));
    std::thread::scope(|scope| {
        let ask = || request_until(&slot, "idle", b"", &mut Vec::new(), LONG, Some(&cancel));
        let asking = scope.spawn(ask);
        cancel.cancel();
        let error = asking.join().unwrap().unwrap_err();
        assert!(matches!(*error, CallError::Cancelled { .. }), "{error:?}");
    });
    gate.open();
}
