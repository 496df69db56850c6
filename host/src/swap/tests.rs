//! The transaction, with plugins that are linked in: whatever fails before publish, the old generation serves on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hotbay_plugin_api::prelude::*;

use super::{Committed, GivenUp, Handover, Stages, Swap, swap};
use crate::call;
use crate::config::Rehearse;
use crate::kernel::generation::Generation;
use crate::kernel::slot::Slot;
use crate::linked::{Bay, LONG, SHORT};
use crate::unload::{Unloaded, unload};

/// What the plugins below do; each test has types of its own, so that they do not meet.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    PanicInPause,
    PanicInExport,
    RefuseImport,
    FailStop,
    FailStart,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Count {
    count: u64,
}

struct Counter<const FAULT: usize> {
    state: State<Count>,
    starts: AtomicUsize,
}

const FAULTS: [Fault; 6] = [
    Fault::None,
    Fault::PanicInPause,
    Fault::PanicInExport,
    Fault::RefuseImport,
    Fault::FailStop,
    Fault::FailStart,
];

impl<const FAULT: usize> Plugin for Counter<FAULT> {
    fn create(_: Context) -> Result<Self> {
        Ok(Self { state: State::default(), starts: AtomicUsize::new(0) })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "add" => {
                let mut state = self.state.write();
                state.count += 1;
                reply.json(&state.count)
            }
            "starts" => reply.json(&self.starts.load(Ordering::SeqCst)),
            _ => Err(request.unknown_method()),
        }
    }

    fn start(&self) -> Result<()> {
        if FAULTS[FAULT] == Fault::FailStart {
            return Err(Error::msg("take the port: it is in use"));
        }
        self.starts.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn stop(&self) -> Result<()> {
        if FAULTS[FAULT] == Fault::FailStop { Err(Error::msg("give the port back")) } else { Ok(()) }
    }

    fn pause(&self) -> Result<()> {
        assert!(FAULTS[FAULT] != Fault::PanicInPause, "no pause");
        Ok(())
    }
}

impl<const FAULT: usize> Stateful for Counter<FAULT> {
    type State = Count;
    const SCHEMA: u32 = if FAULT == 3 { 2 } else { 1 };
    const STEPS: &'static [Step] = if FAULT == 3 { &[Step::new::<NoCount, Count>(1, 2)] } else { &[] };

    fn state(&self) -> &State<Count> {
        assert!(FAULTS[FAULT] != Fault::PanicInExport, "no export");
        &self.state
    }
}

/// What it finds no place for.
#[derive(Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct NoCount {}

impl TryFrom<NoCount> for Count {
    type Error = Error;

    fn try_from(_: NoCount) -> Result<Self> {
        Err(Error::msg("the count has no place here"))
    }
}

export_plugin!(Counter<0>: Stateful { name: "counter", methods: &["add", "starts"] });
export_plugin!(Counter<1>: Stateful { name: "counter" });
export_plugin!(Counter<2>: Stateful { name: "counter" });
export_plugin!(Counter<3>: Stateful { name: "counter" });
export_plugin!(Counter<4>: Stateful { name: "counter" });
export_plugin!(Counter<5>: Stateful { name: "counter" });

pub(super) fn of<'a>(
    bay: &'a Bay,
    slot: &'a Slot,
    old: &'a Arc<Generation>,
    one_gate: &'a Mutex<()>,
) -> Swap<'a> {
    Swap {
        handover: Handover::Carried,
        slot,
        old,
        snapshots: &bay.snapshots,
        one_gate,
        callback: LONG,
        drain: SHORT,
        rehearse: Rehearse::Never,
        max_state: 1 << 20,
        force: false,
        is_way_back: false,
    }
}

fn run(
    bay: &Bay,
    slot: &Slot,
    old: &Arc<Generation>,
    candidate: crate::load::Loaded,
) -> Result<Committed, Box<GivenUp>> {
    let one_gate = &Mutex::new(());
    let swap_of = of(bay, slot, old, one_gate);
    swap(&swap_of, candidate, &mut Stages::default(), &mut |_| {})
}

pub(super) fn ask(slot: &Arc<Slot>, method: &str) -> String {
    let mut reply = Vec::new();
    call::request(slot, method, b"", &mut reply, LONG).unwrap();
    String::from_utf8(reply).unwrap()
}

/// The old generation answers, with its state, and what was made of the candidate goes.
fn serves_on(slot: &Arc<Slot>, given_up: GivenUp, why: &str, starts: &str) {
    assert!(given_up.reason.contains(why), "{}", given_up.reason);
    assert_eq!(given_up.old_is_down, None);
    assert_eq!(ask(slot, "add"), "2");
    assert_eq!(ask(slot, "starts"), starts);
    assert!(matches!(unload(given_up.candidate, &[], LONG), Unloaded::Gone));
}

#[test]
fn the_state_goes_over_and_the_old_generation_unloads() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<0>>();
    assert_eq!(ask(&slot, "add"), "1");
    let committed = run(&bay, &slot, &old, bay.load::<Counter<0>>(2)).unwrap();
    assert_eq!(ask(&slot, "add"), "2");
    assert_eq!(committed.capsule.unwrap().plain_len, br#"{"count":1}"#.len() as u64);
    assert!(matches!(unload(old, &[], LONG), Unloaded::Gone));
}

#[test]
fn a_failed_import_keeps_the_old_generation_serving() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<0>>();
    ask(&slot, "add");
    let given_up = run(&bay, &slot, &old, bay.load::<Counter<3>>(2)).unwrap_err();
    serves_on(&slot, *given_up, "the count has no place here", "1");
}

#[test]
fn a_schema_that_the_candidate_does_not_read_keeps_the_old_generation_serving() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<3>>();
    let given_up = run(&bay, &slot, &old, bay.load::<Counter<0>>(2)).unwrap_err();
    assert!(given_up.reason.contains("it has schema 2, version"), "{}", given_up.reason);
    assert_eq!(ask(&slot, "add"), "1");
}

#[test]
fn a_failed_start_starts_the_old_generation_again() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<0>>();
    ask(&slot, "add");
    let given_up = run(&bay, &slot, &old, bay.load::<Counter<5>>(2)).unwrap_err();
    serves_on(&slot, *given_up, "the port: it is in use", "2");
}

#[test]
fn a_stop_that_fails_does_not_hold_up_the_swap() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<4>>();
    ask(&slot, "add");
    run(&bay, &slot, &old, bay.load::<Counter<0>>(2)).unwrap();
    assert_eq!(ask(&slot, "add"), "2");
}

#[test]
fn a_panic_in_pause_keeps_the_old_generation_serving() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<1>>();
    ask(&slot, "add");
    let given_up = run(&bay, &slot, &old, bay.load::<Counter<0>>(2)).unwrap_err();
    serves_on(&slot, *given_up, "pause panicked: no pause", "1");
}

#[test]
fn a_panic_in_export_keeps_the_old_generation_serving() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<2>>();
    ask(&slot, "add");
    let given_up = run(&bay, &slot, &old, bay.load::<Counter<0>>(2)).unwrap_err();
    serves_on(&slot, *given_up, "export panicked: no export", "1");
}

#[test]
fn calls_that_do_not_end_in_time_keep_the_old_generation_serving() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<0>>();
    ask(&slot, "add");
    let given_up =
        slot.enter_now(|_, _| run(&bay, &slot, &old, bay.load::<Counter<0>>(2)).unwrap_err()).unwrap();
    serves_on(&slot, *given_up, "calls inside it did not end within 50 ms", "1");
}

#[test]
fn a_call_that_outlived_one_swap_is_waited_for_by_the_next() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<0>>();
    let inside = slot.lease(std::time::Instant::now() + LONG, None).unwrap();
    for _ in 0..2 {
        let given_up = run(&bay, &slot, &old, bay.load::<Counter<0>>(2)).unwrap_err();
        assert!(given_up.reason.contains("calls inside it did not end"), "{}", given_up.reason);
    }
    drop(inside);
    run(&bay, &slot, &old, bay.load::<Counter<0>>(2)).unwrap();
    assert!(matches!(unload(old, &[], LONG), Unloaded::Gone));
}

#[test]
fn who_is_told_that_the_new_generation_serves_is_told_before_anybody_is_waited_for() {
    for handover in [Handover::Beside, Handover::Carried] {
        let bay = Bay::new();
        let (slot, old) = bay.serve::<Counter<0>>();
        let one_gate = &Mutex::new(());
        let swap_of = Swap { handover, drain: LONG, ..of(&bay, &slot, &old, one_gate) };
        // Beside the old one: the swap waits for this caller, who ends when he is told.
        let mut inside = (handover == Handover::Beside)
            .then(|| slot.lease(std::time::Instant::now() + LONG, None).unwrap());
        let mut told = Vec::new();
        let mut serves = |new: &Generation| {
            drop(inside.take());
            told.push(new.number);
            assert_eq!(ask(&slot, "starts"), "1", "nobody is held up at the gate");
        };
        let candidate = bay.load::<Counter<0>>(2);
        let committed = swap(&swap_of, candidate, &mut Stages::default(), &mut serves).unwrap();
        assert_eq!((committed.drained, told), (true, vec![2]), "{handover:?}");
    }
}

#[test]
fn callers_that_arrive_behind_the_gate_are_answered_by_the_new_generation() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<0>>();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    for _ in 0..200 {
                        ask(&slot, "add");
                    }
                })
            })
            .collect();
        let one_gate = &Mutex::new(());
        let mut generation = old;
        for number in 2..12 {
            let swap_of = Swap { drain: LONG, ..of(&bay, &slot, &generation, one_gate) };
            let committed =
                swap(&swap_of, bay.load::<Counter<0>>(number), &mut Stages::default(), &mut |_| {}).unwrap();
            let counts = generation.tally.counts();
            assert_eq!(counts.entered, counts.answered);
            assert!(matches!(unload(generation, &[], LONG), Unloaded::Gone));
            generation = committed.new;
        }
        clients.into_iter().for_each(|client| client.join().unwrap());
    });
    assert_eq!(ask(&slot, "add"), "1601");
}

#[test]
fn a_forced_swap_that_is_given_up_claims_no_loss() {
    let bay = Bay::new();
    let (slot, old) = bay.serve::<Counter<2>>();
    ask(&slot, "add");
    let state = crate::start::Exported::Held(crate::start::Plain::new(br#"{"count":0}"#.to_vec()));
    bay.snapshots.save(&old, bay.snapshots.keys(), state).unwrap();
    let (one_gate, mut stages) = (&Mutex::new(()), Stages::default());
    let swap_of = Swap { force: true, ..of(&bay, &slot, &old, one_gate) };
    let given_up = swap(&swap_of, bay.load::<Counter<5>>(2), &mut stages, &mut |_| {}).unwrap_err();
    assert_eq!(stages.forced, None);
    serves_on(&slot, *given_up, "the port: it is in use", "2");
    swap(&swap_of, bay.load::<Counter<0>>(2), &mut stages, &mut |_| {}).unwrap();
    assert!(stages.forced.is_some_and(|cost| cost.contains("what changed since is lost")));
}
