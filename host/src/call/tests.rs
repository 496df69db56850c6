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
            let lease = slot.lease(Instant::now() + LONG).unwrap();
            let exchange = Exchange::ask("idle", b"");
            let job: Arc<dyn Job> = Arc::clone(&exchange) as _;
            generation.lane.request(job, || exchange.accept(lease))
        };
        (0..room).for_each(|_| ask_in_vain().unwrap());
        assert_eq!(ask_in_vain().unwrap_err(), LaneError::Full);
        let counts = generation.tally.counts();
        assert_eq!((counts.entered, counts.over()), (room as u64, 0));
    });
}
