//! The stateful swap under loom: one swapper and two callers, in every order of a bounded number of preemptions.
//!
//! The gate, the tally and the receipt are the real code, compiled once more with loom's locks and atomics. The rest stands
//! for: `World::enter` for `Door::enter` (`kernel/lease.rs`, with fences on both sides, as `kernel/lease/model.rs` says why);
//! `World::carry` and `World::call` for `Slot::enter_now`, `Slot::enter`, `Slot::lease` (`kernel/slot.rs`) and `answer`
//! (`call.rs`); `World::swap` for `stateful` (`swap.rs`) and for what `attempt` (`kernel/op/swap.rs`) reads for the receipt.
//! A service's state is a number that each call adds one to. That the model can fail is shown by leaving a step out.

use std::sync::Arc;
use std::time::Instant;

use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use loom::thread;

use crate::kernel::view::{self, Requests};

mod sync {
    pub(super) use loom::sync::{Condvar, Mutex, MutexGuard, atomic};

    /// Nobody looks in a loop: loom would search it for ever.
    pub(super) fn spare_processors() -> usize {
        0
    }
}

mod lease {
    /// Stands for a thread's record: callers are numbered.
    #[derive(Debug, Clone, Copy)]
    pub(super) struct Thread(pub(super) usize);

    impl Thread {
        pub(super) fn number(self) -> usize {
            self.0
        }
    }
}

#[path = "../kernel/gate.rs"]
#[allow(clippy::duplicate_mod, reason = "with loom's locks")]
#[allow(dead_code, reason = "what the model does not need")]
mod gate;
#[path = "../kernel/receipt.rs"]
#[allow(clippy::duplicate_mod, reason = "of the gate and the tally beside it")]
mod receipt;
#[path = "../kernel/tally.rs"]
#[allow(clippy::duplicate_mod, reason = "with loom's atomics")]
#[allow(dead_code, reason = "what the model does not need")]
mod tally;

use gate::{Gate, Pass};
use receipt::Window;
use tally::{Counts, Tally};

const CALLERS: usize = 2;

// What the slot publishes, one after the other. 0 is no name.
const RUNNING: usize = 1;
const SWAPPING: usize = 2;
const AFTER: usize = 3;

/// What is left out, to see that it is missed.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Without {
    Nothing,
    Gate,
    Drain,
    /// Published first, and fed then.
    ImportBeforePublish,
    SecondLook,
}

/// How a swap goes, and who calls meanwhile.
#[derive(Debug, Clone, Copy)]
struct Plan {
    without: Without,
    /// Whether the import fails: the old generation is published again.
    fails: bool,
    callers: [How; CALLERS],
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum How {
    /// On the caller's thread: no deadline.
    Inline,
    /// With a lease that is carried, and time enough.
    Request,
    /// The same, with a deadline that has passed when the gate is closed.
    LateRequest,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Answered { by: usize, waited: bool },
    Expired,
}

struct World {
    plan: Plan,
    published: AtomicUsize,
    // By caller.
    names: [AtomicUsize; CALLERS],
    // By what was published: the counts of its `Arc` that were carried away.
    carried: [AtomicUsize; 4],
    gate: Gate,
    // By generation, the old one and the new one.
    // One caller has a shard alone, the other one the shared one.
    tallies: [Tally<CALLERS>; 2],
    states: [AtomicU64; 2],
    // Callers that have their outcome.
    finished: AtomicU64,
}

impl World {
    fn new(plan: Plan) -> Self {
        Self {
            plan,
            published: AtomicUsize::new(RUNNING),
            names: Default::default(),
            carried: Default::default(),
            gate: Gate::default(),
            tallies: Default::default(),
            states: Default::default(),
            finished: AtomicU64::new(0),
        }
    }

    fn generation(&self, published: usize) -> Option<usize> {
        match published {
            RUNNING => Some(0),
            AFTER => Some(self.last()),
            _ => None,
        }
    }

    /// Who serves in the end.
    fn last(&self) -> usize {
        usize::from(!self.plan.fails)
    }

    fn enter<R>(&self, caller: usize, body: impl FnOnce(usize) -> R) -> R {
        let mut value = self.published.load(Ordering::Acquire);
        loop {
            self.names[caller].store(value, Ordering::Relaxed);
            fence(Ordering::SeqCst);
            let again = self.published.load(Ordering::Acquire);
            if again == value || self.plan.without == Without::SecondLook {
                break;
            }
            value = again;
        }
        let done = body(value);
        self.names[caller].store(0, Ordering::Release);
        done
    }

    fn carry(&self, caller: usize) -> usize {
        self.enter(caller, |value| {
            self.carried[value].fetch_add(1, Ordering::Relaxed);
            value
        })
    }

    fn call(&self, caller: usize, how: How) -> Outcome {
        if how == How::Inline {
            let now = self.enter(caller, |value| Some(self.answer(self.generation(value)?, caller, false)));
            if let Some(answered) = now {
                return answered;
            }
        }
        let mut waited = false;
        loop {
            let value = self.carry(caller);
            let answered = self.generation(value).map(|by| self.answer(by, caller, waited));
            self.carried[value].fetch_sub(1, Ordering::Release);
            if let Some(answered) = answered {
                return answered;
            }
            // loom's clock stands still: a deadline is one that has passed, or none.
            let deadline = (how == How::LateRequest).then(Instant::now);
            match self.gate.wait(deadline, false) {
                Pass::Expired => return Outcome::Expired,
                pass => waited = pass == Pass::Waited,
            }
        }
    }

    fn answer(&self, by: usize, caller: usize, waited: bool) -> Outcome {
        let entered = self.tallies[by].enter(lease::Thread(caller), waited);
        self.states[by].fetch_add(1, Ordering::Relaxed);
        entered.answer();
        Outcome::Answered { by, waited }
    }

    fn replace(&self, value: usize) {
        self.published.swap(value, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    fn is_drained(&self, value: usize) -> bool {
        let named = self.names.iter().any(|name| name.load(Ordering::Acquire) == value);
        let drained = !named && self.carried[value].load(Ordering::Relaxed) == 0;
        fence(Ordering::Acquire);
        drained
    }

    /// The swap, what its receipt says, and how many callers had their outcome before it was written.
    fn swap(&self) -> (Requests, u64) {
        let Plan { without, fails, .. } = self.plan;
        if without != Without::Gate {
            self.replace(SWAPPING);
        }
        while without != Without::Drain && !self.is_drained(RUNNING) {
            thread::yield_now();
        }
        let exported = self.states[0].load(Ordering::Relaxed);
        if without == Without::ImportBeforePublish {
            self.replace(AFTER);
        }
        if !fails {
            self.states[1].store(exported, Ordering::Relaxed);
        }
        if without != Without::ImportBeforePublish {
            self.replace(AFTER);
        }
        self.gate.open();
        let passage = self.gate.passage();
        let finished = self.finished.load(Ordering::Acquire);
        let window = Window {
            old_before: Counts::default(),
            old_after: self.tallies[0].counts(),
            drained: !fails,
            new: if fails { Counts::default() } else { self.tallies[1].counts() },
            passage,
        };
        (window.requests(), finished)
    }

    /// What holds when everybody is through.
    fn judge(&self, outcomes: &[Outcome], receipt: Requests, finished: u64) {
        let count = |wanted: &dyn Fn(&Outcome) -> bool| {
            outcomes.iter().filter(|outcome| wanted(outcome)).count() as u64
        };
        let answered = count(&|outcome| matches!(outcome, Outcome::Answered { .. }));
        let effects = self.states[self.last()].load(Ordering::Acquire);
        assert!(effects >= answered, "the effect of a call is lost: {outcomes:?}");
        assert!(effects <= answered, "the effect of a call is there twice: {outcomes:?}");
        for (by, tally) in self.tallies.iter().enumerate() {
            let (counts, here) =
                (tally.counts(), count(&|o| matches!(o, Outcome::Answered { by: who, .. } if *who == by)));
            assert_eq!((counts.entered, counts.answered), (here, here));
        }
        assert_eq!((receipt.lost, receipt.duplicated), (0, 0));
        let waited = count(&|o| matches!(o, Outcome::Expired | Outcome::Answered { waited: true, .. }));
        assert_eq!(receipt.waited, waited, "who waited is told by the gate: {outcomes:?}");
        let counted = receipt.old + receipt.waited + receipt.new + receipt.lost;
        let all = outcomes.len() as u64;
        assert!(counted <= all, "a call is counted twice: {receipt:?}, {outcomes:?}");
        assert!(counted >= finished, "a call is not counted: {receipt:?}, {outcomes:?}");
    }
}

/// One caller alone, in every order of four preemptions; then all of them, in every order of one, since two take minutes and
/// more take hours. `LOOM_MAX_PREEMPTIONS` sets another bound.
fn check(plan: Plan) {
    run(plan, 1, 4);
    run(plan, CALLERS, 1);
}

fn run(plan: Plan, callers: usize, preemptions: usize) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(preemptions));
    builder.check(move || {
        let world = Arc::new(World::new(plan));
        let callers: Vec<_> = (0..callers)
            .map(|caller| {
                let world = Arc::clone(&world);
                thread::spawn(move || {
                    let outcome = world.call(caller, plan.callers[caller]);
                    world.finished.fetch_add(1, Ordering::Release);
                    outcome
                })
            })
            .collect();
        let (receipt, finished) = world.swap();
        let outcomes: Vec<_> = callers.into_iter().map(|caller| caller.join().unwrap()).collect();
        world.judge(&outcomes, receipt, finished);
    });
}

fn plan(without: Without) -> Plan {
    Plan { without, fails: false, callers: [How::Inline, How::Request] }
}

#[test]
fn every_call_takes_effect_once_and_is_counted_once() {
    check(plan(Without::Nothing));
    check(Plan { callers: [How::Request, How::Request], ..plan(Without::Nothing) });
}

#[test]
fn a_deadline_that_passes_at_the_gate_is_counted_once() {
    check(Plan { callers: [How::LateRequest, How::Inline], ..plan(Without::Nothing) });
}

#[test]
fn a_swap_that_is_called_off_loses_no_call_and_counts_each_once() {
    check(Plan { fails: true, ..plan(Without::Nothing) });
    check(Plan { fails: true, callers: [How::LateRequest, How::Inline], ..plan(Without::Nothing) });
}

#[test]
#[should_panic(expected = "the effect of a call is lost")]
fn without_the_gate_a_call_is_lost() {
    check(plan(Without::Gate));
}

#[test]
#[should_panic(expected = "the effect of a call is lost")]
fn without_the_drain_a_call_is_lost() {
    check(plan(Without::Drain));
}

#[test]
#[should_panic(expected = "the effect of a call is lost")]
fn published_before_the_import_a_call_is_lost() {
    check(plan(Without::ImportBeforePublish));
}

#[test]
#[should_panic(expected = "the effect of a call is lost")]
fn without_the_second_look_of_the_lease_a_call_is_lost() {
    check(plan(Without::SecondLook));
}
