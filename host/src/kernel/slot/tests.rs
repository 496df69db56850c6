//! Going in and out: chains of calls, the gate, and drains.

use std::sync::Arc;
use std::time::Instant;

use hotbay_plugin_api::abi::Lent;
use hotbay_plugin_api::prelude::*;

use super::NoEntry;
use crate::kernel::gate::Gate;
use crate::kernel::lease::HOP_LIMIT;
use crate::kernel::view::Phase;
use crate::linked::{Bay, LONG, SHORT};
use crate::{CallError, call};

/// Calls the service that the request names, with the rest of the request.
struct Relay<const WHICH: usize>(Context);

impl<const WHICH: usize> Plugin for Relay<WHICH> {
    fn create(context: Context) -> Result<Self> {
        Ok(Self(context))
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        if request.method() != "relay" {
            return Err(request.unknown_method());
        }
        match request.text()?.split_once(' ') {
            Some((next, "?")) => reply.write(&self.0.call(next, "lacks", b"")?),
            Some((next, rest)) => reply.write(&self.0.call(next, "relay", rest.as_bytes())?),
            None => reply.write(request.bytes()),
        }
    }
}

export_plugin!(Relay<0> { name: "a" });
export_plugin!(Relay<1> { name: "b" });

fn relay(slot: &super::Slot, path: &str) -> Result<String, Box<CallError>> {
    let mut reply = Vec::new();
    call::inline(slot, "relay", path.as_bytes(), Lent::new(&mut reply).out())?;
    Ok(String::from_utf8(reply).unwrap())
}

#[test]
fn a_call_that_comes_back_to_its_own_service_passes_the_closed_gate() {
    let bay = Bay::new();
    let (a, generation) = bay.serve::<Relay<0>>();
    let (_b, _) = bay.serve::<Relay<1>>();
    let gate = Arc::new(Gate::default());
    let come_back = a.enter_now(|_, _| {
        let replaced = a.close(&gate);
        let answer = relay(&a, "b a b a end").unwrap();
        // The swap that closed the gate waits for this very call.
        assert!(!replaced.is_drained());
        (answer, replaced)
    });
    let (answer, replaced) = come_back.unwrap();
    assert_eq!(answer, "end");
    assert!(replaced.drain(LONG));
    assert_eq!(a.lease(Instant::now() + SHORT, None).unwrap_err(), NoEntry::Expired);
    let _ = a.publish(generation);
    gate.open();
    assert_eq!(relay(&a, "end").unwrap(), "end");
}

#[test]
fn services_that_call_each_other_in_a_circle_end_at_the_hop_limit() {
    let bay = Bay::new();
    let (a, _) = bay.serve::<Relay<0>>();
    let (_b, _) = bay.serve::<Relay<1>>();
    let fits = "b a ".repeat(HOP_LIMIT / 2 - 1) + "b end";
    assert_eq!(relay(&a, &fits).unwrap(), "end");
    let error = relay(&a, &format!("b a {fits}")).unwrap_err();
    assert!(error.to_string().contains("chain of calls is longer than 32"), "{error}");
    // Nothing of the chain is left behind.
    assert_eq!(relay(&a, &fits).unwrap(), "end");
}

#[test]
fn what_a_called_service_lacks_is_held_against_the_caller_as_a_failure_of_its_own() {
    let bay = Bay::new();
    let (a, of_a) = bay.serve::<Relay<0>>();
    let (_b, of_b) = bay.serve::<Relay<1>>();
    let error = relay(&a, "b ?").unwrap_err();
    assert!(matches!(*error, CallError::Failed { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("failed to find method `lacks` of service `b`"), "{text}");
    assert_eq!((of_a.tally.counts().faults(), of_b.tally.counts().faults()), (1, 0));
}

#[test]
fn a_lease_that_was_carried_away_holds_up_the_drain() {
    let bay = Bay::new();
    let (slot, _generation) = bay.serve::<Relay<0>>();
    let lease = slot.lease(Instant::now() + SHORT, None).unwrap();
    let replaced = slot.take_down(Phase::Stopped, None);
    assert!(!replaced.drain(SHORT));
    assert_eq!(
        slot.lease(Instant::now() + SHORT, None).unwrap_err(),
        NoEntry::Down { phase: Phase::Stopped, reason: None }
    );
    drop(lease);
    assert!(replaced.drain(LONG));
}

#[test]
fn a_call_to_nobody_tells_who_is_there() {
    let bay = Bay::new();
    let (a, _) = bay.serve::<Relay<0>>();
    let error = relay(&a, "c end").unwrap_err();
    assert_eq!(error.to_string(), "failed to find service `c`; running: a");
}
