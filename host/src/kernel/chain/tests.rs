//! Requests that are answered by a call back into who asked, while that one is being replaced.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Lent;
use hotbay_plugin_api::prelude::*;

use super::*;
use crate::bus::RequestError;
use crate::call;
use crate::config::Service;
use crate::drain::drain;
use crate::kernel::gate::Gate;
use crate::kernel::generation::Generation;
use crate::kernel::inboxes::Inboxes;
use crate::kernel::slot::Slot;
use crate::linked::{Bay, LONG, SHORT, until};

/// How far a test is: 1 when the request is being answered, 2 when the gate is closed, 3 when who asked has left, 4 when who came late was
/// told.
static STEP: AtomicU32 = AtomicU32::new(0);

struct Asks(Context);

impl Plugin for Asks {
    fn create(context: Context) -> Result<Self> {
        Ok(Self(context))
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "ask" => reply.write(&self.0.request(request.text()?, b"", LONG)?),
            "ask_in_vain" => self
                .0
                .request(request.text()?, b"", 10 * SHORT)
                .map(drop)
                .or_else(|error| reply.write(error.message().as_bytes())),
            "name" => reply.write(b"asks"),
            _ => Err(request.unknown_method()),
        }
    }
}

export_plugin!(Asks { name: "asks", methods: &["ask", "ask_in_vain", "name"] });

struct Answers(Context);

impl Plugin for Answers {
    fn create(context: Context) -> Result<Self> {
        Ok(Self(context))
    }

    fn on_request(&self, request: &Message<'_>, reply: &mut Reply<'_>) -> Result<()> {
        STEP.fetch_max(1, Ordering::SeqCst);
        until(|| STEP.load(Ordering::SeqCst) >= 2);
        match request.topic() {
            "answers.over" => reply.write(&self.0.request("relays.name", b"", LONG)?),
            "answers.late" => {
                until(|| STEP.load(Ordering::SeqCst) == 3);
                let late = self.0.call("asks", "name", b"");
                STEP.store(4, Ordering::SeqCst);
                late.map(drop)
            }
            _ => reply.write(&self.0.call("asks", "name", b"")?),
        }
    }

    fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        Err(request.unknown_method())
    }
}

export_plugin!(Answers { name: "answers", answers: &["answers.*"] });

struct Relays(Context);

impl Plugin for Relays {
    fn create(context: Context) -> Result<Self> {
        Ok(Self(context))
    }

    fn on_request(&self, _: &Message<'_>, reply: &mut Reply<'_>) -> Result<()> {
        reply.write(&self.0.call("asks", "name", b"")?)
    }

    fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        Err(request.unknown_method())
    }
}

export_plugin!(Relays { name: "relays", answers: &["relays.*"] });

fn serve<P: hotbay_plugin_api::Export>(bay: &Bay, inboxes: &Inboxes) -> (Arc<Slot>, Arc<Generation>) {
    let (slot, generation) = bay.serve::<P>();
    inboxes.serve(&slot, &generation, &Service::default());
    (slot, generation)
}

/// What the call is answered, whose answer comes when the gate is closed, and stays so.
fn answered(method: &str, topic: &str, after: impl FnOnce(&Bay, &Arc<Generation>)) -> String {
    STEP.store(0, Ordering::SeqCst);
    let bay = Bay::new();
    let inboxes = Inboxes::new(Arc::clone(bay.registry.bus()));
    let (asks, old) = serve::<Asks>(&bay, &inboxes);
    let _answering = (serve::<Answers>(&bay, &inboxes), serve::<Relays>(&bay, &inboxes));
    let gate = Arc::new(Gate::default());
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let mut reply = Vec::new();
            call::inline(&asks, method, topic.as_bytes(), Lent::new(&mut reply).out()).unwrap();
            String::from_utf8(reply).unwrap()
        });
        until(|| STEP.load(Ordering::SeqCst) == 1);
        old.left(asks.close(&gate));
        STEP.store(2, Ordering::SeqCst);
        let answer = asking.join().unwrap();
        STEP.store(3, Ordering::SeqCst);
        answer
    });
    drain(&old, LONG).unwrap();
    after(&bay, &old);
    gate.open();
    answer
}

// One after the other: they share their steps.
#[test]
fn who_answers_a_request_goes_past_the_gate_that_waits_for_who_asked_and_nobody_else_does() {
    let asked = |bay: &Bay, topic: &str, deadline: Duration| {
        bay.registry.bus().request(&"test".into(), topic, b""[..].into(), deadline, None)
    };
    let answer = answered("ask", "answers.name", |bay, old| {
        assert_eq!(old.tally.counts().answered, 2);
        // Whoever asks from outside is inside of nothing.
        let late = asked(bay, "answers.name", SHORT).unwrap_err();
        assert!(matches!(late, RequestError::TimedOut { .. } | RequestError::Failed { .. }), "{late:?}");
    });
    assert_eq!(answer, "asks");
    assert_eq!(answered("ask", "answers.over", |_, old| assert_eq!(old.tally.counts().answered, 2)), "asks");
    // It does not wait any more when the answer is sought there.
    let given_up = answered("ask_in_vain", "answers.late", |_, old| {
        until(|| STEP.load(Ordering::SeqCst) == 4);
        assert_eq!(old.tally.counts().answered, 1);
    });
    assert!(given_up.contains("is still at it"), "{given_up}");
}

/// On another thread, which does it for this one.
fn elsewhere<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    let limit = bus::limit();
    std::thread::scope(|scope| scope.spawn(|| bus::within(limit, body)).join().unwrap())
}

#[test]
fn who_went_in_for_an_asker_holds_up_the_drain_when_that_one_has_left() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Asks>();
    let (went_in, is_in) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let gate = Arc::new(Gate::default());
    std::thread::scope(|scope| {
        let replaced = slot.enter_now(|_, _| {
            lend(|| {
                let (limit, slot) = (bus::limit(), &slot);
                let replaced = slot.close(&gate);
                let inside = move |_: &Generation, _| {
                    went_in.send(()).unwrap();
                    wait.recv().unwrap();
                };
                scope.spawn(move || bus::within(limit, || slot.enter(&mut { inside }).unwrap()));
                is_in.recv().unwrap();
                replaced
            })
        });
        let replaced = replaced.unwrap();
        assert!(!replaced.drain(SHORT));
        go.send(()).unwrap();
        assert!(replaced.drain(LONG));
    });
    drop(generation);
}

#[test]
fn what_is_done_for_an_asker_is_let_in_as_it_was_and_waits_at_no_gate_with_a_stream() {
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Asks>();
    slot.guard().set(Service { max_concurrent: Some(1), ..Service::default() }, None);
    generation.left(slot.publish(Arc::clone(&generation)));
    let gate = Arc::new(Gate::default());
    let asked = slot.enter(&mut |_, _| {
        let crowded = elsewhere(|| slot.enter(&mut |_, _| ()));
        let let_in = lend(|| elsewhere(|| slot.enter(&mut |_, _| ())));
        generation.left(slot.close(&gate));
        // It would wait for the gate to open, and the gate for it.
        let refused = lend(|| elsewhere(|| slot.lease_of_stream(Instant::now() + LONG).map(drop)));
        (crowded.is_err(), let_in.is_ok(), refused.is_err())
    });
    assert_eq!(asked.unwrap(), (true, true, true));
    gate.open();
}
