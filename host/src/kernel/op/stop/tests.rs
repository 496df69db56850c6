//! A stop while a call is inside, and the snapshots before.

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

static EXPORTS: AtomicUsize = AtomicUsize::new(0);

/// Counts how often its state is written.
#[derive(Default)]
struct Exported(u8);

impl hotbay_plugin_api::Encoded for Exported {
    const CONTENT_TYPE: &'static str = "application/octet-stream";

    fn write(&self, out: &mut hotbay_plugin_api::StateWriter<'_>) -> Result<()> {
        EXPORTS.fetch_add(1, Ordering::SeqCst);
        Ok(std::io::Write::write_all(out, &[self.0])?)
    }

    fn read(_: &mut hotbay_plugin_api::StateReader<'_>) -> Result<Self> {
        Ok(Self(0))
    }
}

struct Keeps(State<Exported>);

impl Plugin for Keeps {
    fn create(_: Context) -> Result<Self> {
        Ok(Self(State::default()))
    }

    fn call(&self, _: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
        self.0.write().0 += 1;
        Ok(())
    }
}

impl Stateful for Keeps {
    type State = Exported;

    fn state(&self) -> &State<Exported> {
        &self.0
    }
}

export_plugin!(Keeps: Stateful { name: "keeps" });

#[test]
fn a_plugin_is_asked_for_its_state_again_only_when_that_changed_or_the_file_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let shared = shared(home.path(), |config| config.swap.callback = LONG);
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Keeps>();
    let snapshots_until = |exports| {
        for _ in 0..3 {
            let report = snapshot(&shared, Arc::clone(&generation));
            assert!(matches!(report.outcome, Outcome::Snapshotted(Ok(()))));
        }
        assert_eq!(EXPORTS.load(Ordering::SeqCst), exports);
    };
    snapshots_until(1);
    crate::call::request(&slot, "add", b"", &mut Vec::new(), LONG).unwrap();
    snapshots_until(2);
    std::fs::remove_file(home.path().join("state/keeps.state")).unwrap();
    snapshots_until(3);
    assert!(home.path().join("state/keeps.state").is_file());
}

#[test]
fn a_version_that_is_no_good_stops_and_goes_when_its_last_call_ends() {
    let home = tempfile::tempdir().unwrap();
    let shared = shared(home.path(), |config| (config.swap.drain, config.swap.callback) = (SHORT, LONG));
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Stoppable>();
    let inside = slot.lease(Instant::now() + LONG, None).unwrap();
    let mut report = stop(&shared, &slot, generation, Stop::NoGood);
    assert!(matches!(report.outcome, Outcome::Stopped { .. }));
    assert_eq!(STOPS.load(Ordering::SeqCst), 0, "not beside a call");
    let left = report.remains.pop().unwrap();
    assert_eq!(left.pinned.cause, Cause::Inside);
    assert!(left.pinned.reason.contains("calls inside it did not end"), "{}", left.pinned.reason);
    drop(inside);
    let became = left.later.unwrap().recv_timeout(LONG).unwrap();
    assert!(matches!(became, Unloaded::Gone), "{became:?}");
    assert_eq!(STOPS.load(Ordering::SeqCst), 1);
}

/// A count whose writing panics from the 13th on, as with a lock that is poisoned.
#[derive(Default)]
struct Unlucky(u8);

impl hotbay_plugin_api::Encoded for Unlucky {
    const CONTENT_TYPE: &'static str = "application/octet-stream";

    fn write(&self, out: &mut hotbay_plugin_api::StateWriter<'_>) -> Result<()> {
        assert!(self.0 < 13, "no luck");
        Ok(std::io::Write::write_all(out, &[self.0])?)
    }

    fn read(from: &mut hotbay_plugin_api::StateReader<'_>) -> Result<Self> {
        let mut count = [0];
        std::io::Read::read_exact(from, &mut count)?;
        Ok(Self(count[0]))
    }
}

struct Torn(State<Unlucky>);

impl Plugin for Torn {
    fn create(_: Context) -> Result<Self> {
        Ok(Self(State::default()))
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        if request.method() == "set" {
            self.0.write().0 = request.bytes()[0];
        }
        reply.write(&[self.0.read().0])
    }
}

impl Stateful for Torn {
    type State = Unlucky;

    fn state(&self) -> &State<Unlucky> {
        &self.0
    }
}

export_plugin!(Torn: Stateful { name: "torn", methods: &["set", "get"] });

/// What a restart of this kind makes of a state that is `set` after a snapshot of 7: who serves after it has what.
fn restarted(how: Stop, set: u8) -> (Outcome, u8) {
    let home = tempfile::tempdir().unwrap();
    let shared = shared(home.path(), |config| config.swap.callback = LONG);
    let bay = Bay::new();
    let (slot, generation) = bay.serve::<Torn>();
    let ask = |method, count: u8| {
        let mut reply = Vec::new();
        crate::call::request(&slot, method, &[count], &mut reply, LONG).unwrap();
        reply[0]
    };
    ask("set", 7);
    assert!(matches!(snapshot(&shared, Arc::clone(&generation)).outcome, Outcome::Snapshotted(Ok(()))));
    ask("set", set);
    let outcome = stop(&shared, &slot, generation, how).outcome;
    if let Outcome::Stopped { .. } = outcome {
        let next = bay.load::<Torn>(1);
        let kept = shared.snapshots.load("torn").unwrap().unwrap();
        crate::swap::give(&next.generation, kept.header.schema, kept.state, LONG).unwrap();
        let _ = slot.publish(crate::start::start(next, LONG).unwrap().generation);
    }
    (outcome, ask("get", 0))
}

#[test]
fn a_restart_asks_the_instance_for_its_state_and_goes_on_from_the_last_snapshot_where_it_has_none_to_give() {
    let (outcome, count) = restarted(Stop::Faulty, 8);
    assert!(matches!(&outcome, Outcome::Stopped { kept: "its state is kept", lost: None }), "{outcome:?}");
    assert_eq!(count, 8);
    let (outcome, count) = restarted(Stop::Faulty, 13);
    let lost = |outcome: &Outcome| match outcome {
        Outcome::Stopped { lost: Some(lost), .. } => lost.clone(),
        _ => panic!("{outcome:?}"),
    };
    let why = lost(&outcome);
    assert!(why.contains("the last snapshot holds") && why.contains("no luck"), "{why}");
    assert_eq!(count, 7);
    // Somebody who asks for a restart does not mean that.
    let (outcome, count) = restarted(Stop::Restart, 13);
    assert!(matches!(outcome, Outcome::NotStopped { .. }), "{outcome:?}");
    assert_eq!(count, 13);
    // Who stops it by force does.
    let (outcome, count) = restarted(Stop::Forced, 13);
    assert_eq!((lost(&outcome), count), (why, 7));
}
