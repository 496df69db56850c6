//! A stop while a call is inside.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use hotbay_plugin_api::export_plugin;
use hotbay_plugin_api::prelude::*;

use super::*;
use crate::kernel::view::Cause;
use crate::linked::{Bay, LONG, SHORT, shared};
use crate::unload::Unloaded;

static STOPS: AtomicUsize = AtomicUsize::new(0);

struct Stoppable;

impl Plugin for Stoppable {
    fn create(_: Context) -> Result<Self> {
        Ok(Self)
    }

    fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        Err(request.unknown_method())
    }

    fn stop(&self) -> Result<()> {
        STOPS.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

export_plugin!(Stoppable { name: "stoppable" });

#[test]
fn a_version_that_is_no_good_stops_and_goes_when_its_last_call_ends() {
    let home = tempfile::tempdir().unwrap();
    let shared = shared(home.path(), |config| (config.swap.drain, config.swap.callback) = (SHORT, LONG));
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Stoppable>();
    let inside = slot.lease(Instant::now() + LONG).unwrap();
    let mut report = stop(&shared, &slot, generation, Stop::NoGood);
    assert!(matches!(report.outcome, Outcome::Stopped));
    assert_eq!(STOPS.load(Ordering::SeqCst), 0, "not beside a call");
    let left = report.remains.pop().unwrap();
    assert_eq!(left.pinned.cause, Cause::Inside);
    assert!(left.pinned.reason.contains("calls inside it did not end"), "{}", left.pinned.reason);
    drop(inside);
    let became = left.later.unwrap().recv_timeout(LONG).unwrap();
    assert!(matches!(became, Unloaded::Gone), "{became:?}");
    assert_eq!(STOPS.load(Ordering::SeqCst), 1);
}
