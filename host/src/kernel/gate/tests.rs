use std::time::Instant;

use crate::bus::Cancel;
use crate::kernel::gate::{Gate, Pass};
use crate::kernel::view::Pause;

#[test]
fn whoever_waits_passes_when_the_gate_opens_and_is_counted() {
    let gate = Gate::default();
    std::thread::scope(|scope| {
        let waiters: Vec<_> = (0..3).map(|_| scope.spawn(|| gate.wait(None, None, false))).collect();
        // Opening may come before or after they arrive.
        gate.open();
        let waited = waiters.into_iter().filter_map(|waiter| match waiter.join().unwrap() {
            Pass::Waited => Some(()),
            Pass::AtOnce => None,
            Pass::Expired => unreachable!("it has no deadline"),
        });
        assert_eq!(gate.passage().waited, waited.count() as u64);
    });
    assert_eq!(gate.passage().expired, 0);
}

#[test]
fn a_deadline_ends_the_wait_at_a_closed_gate() {
    let gate = Gate::default();
    assert_eq!(gate.wait(Some(Instant::now()), None, false), Pass::Expired);
    gate.open();
    assert_eq!(gate.wait(Some(Instant::now()), None, false), Pass::AtOnce);
    let passage = gate.passage();
    assert_eq!((passage.waited, passage.expired), (0, 1));
}

#[test]
fn a_gate_that_nobody_waited_at_has_a_pause_of_zero() {
    let gate = Gate::default();
    gate.open();
    assert_eq!(gate.passage().pause, Pause::default());
}

#[test]
fn a_call_that_waits_at_one_gate_after_another_is_counted_at_the_first() {
    let gate = Gate::default();
    assert_eq!(gate.wait(Some(Instant::now()), None, true), Pass::Expired);
    gate.open();
    assert_eq!((gate.passage().waited, gate.passage().expired), (0, 0));
}

#[test]
fn who_gives_up_waits_at_a_closed_gate_no_longer() {
    let (gate, cancel) = (Gate::default(), Cancel::new());
    std::thread::scope(|scope| {
        let waits = scope.spawn(|| gate.wait(None, Some(&cancel), false));
        cancel.cancel();
        assert_eq!(waits.join().unwrap(), Pass::Expired);
    });
    gate.open();
    assert_eq!((gate.passage().waited, gate.passage().expired), (0, 1));
}
