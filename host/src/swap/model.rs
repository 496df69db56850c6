//! The stateful swap under loom: one swapper and two callers, in every order of a bounded number of preemptions.
//!
//! The gate, the tally and the receipt are the real code, compiled once more with loom's locks and atomics. The rest stands
//! for: `World::enter` for `Door::enter` (`kernel/lease.rs`, with fences on both sides, as `kernel/lease/model.rs` says why);
//! `World::carry` and `World::call` for `Slot::enter_now`, `Slot::enter`, `Slot::lease` (`kernel/slot.rs`) and `answer`
//! (`call.rs`), and the caller for the thread of the lane; `World::swap` for `stateful` (`swap.rs`) and for what `attempt`
//! (`kernel/op/swap.rs`) reads for the receipt.
//! A service's state is a number that each call adds one to. That the model can fail is shown by leaving a step out.

// Windows: loom ends a thread by a panic on a stack of its own making, over which the system's unwinder (wine's, and that of
// the gnu toolchain) does not go. What is searched here is the same on all systems.
#![cfg(not(windows))]

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
use receipt::{End, Window};
use tally::{Counts, Entered, Tally};

const CALLERS: usize = 2;

// What the slot publishes, one after the other. 0 is no name.
const RUNNING: usize = 1;
const TRYING: usize = 2;
const AGAIN: usize = 3;
const SWAPPING: usize = 4;
const AFTER: usize = 5;
const PUBLISHED: usize = 6;

/// Where lanes' threads count, who have no shard alone.
const LANE: lease::Thread = lease::Thread(CALLERS);

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
    /// Whether another swap comes before it, which is called off at once: who is inside stays there.
    twice: bool,
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
    /// The same, with a deadline that passes while it waits in the mailbox.
    Forgotten,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    Answered {
        by: usize,
        waited: bool,
    },
    Expired,
    /// In the mailbox of a generation.
    Forgotten {
        by: usize,
        waited: bool,
    },
}

struct World {
    plan: Plan,
    published: AtomicUsize,
    // By caller.
    names: [AtomicUsize; CALLERS],
    // By what was published: the counts of its `Arc` that were carried away.
    carried: [AtomicUsize; PUBLISHED],
    // The one of the swap that is called off, then the one of the swap.
    gates: [Gate; 2],
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
            gates: Default::default(),
            tallies: Default::default(),
            states: Default::default(),
            finished: AtomicU64::new(0),
        }
    }

    fn generation(&self, published: usize) -> Option<usize> {
        match published {
            RUNNING | AGAIN => Some(0),
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
            let now = self.enter(caller, |value| {
                let by = self.generation(value)?;
                Some(self.answer(by, self.tallies[by].enter(lease::Thread(caller), false), false))
            });
            if let Some(answered) = now {
                return answered;
            }
        }
        let mut waited = false;
        loop {
            let value = self.carry(caller);
            let answered = self.generation(value).map(|by| self.within(by, caller, how, waited));
            self.carried[value].fetch_sub(1, Ordering::Release);
            if let Some(answered) = answered {
                return answered;
            }
            // loom's clock stands still: a deadline is one that has passed, or none.
            let deadline = (how == How::LateRequest).then(Instant::now);
            match self.gates[usize::from(value == SWAPPING)].wait(deadline, None, waited) {
                Pass::Expired => return Outcome::Expired,
                pass => waited |= pass == Pass::Waited,
            }
        }
    }

    /// What becomes of a call that has a lease.
    fn within(&self, by: usize, caller: usize, how: How, waited: bool) -> Outcome {
        let (tally, caller) = (&self.tallies[by], lease::Thread(caller));
        match how {
            How::Inline => self.answer(by, tally.enter(caller, waited), waited),
            How::Request | How::LateRequest => {
                tally.accept(caller, waited);
                self.answer(by, tally.accepted(LANE, waited), waited)
            }
            How::Forgotten => {
                tally.accept(caller, waited);
                tally.expire(caller, waited);
                Outcome::Forgotten { by, waited }
            }
        }
    }

    fn answer(&self, by: usize, entered: Entered<'_>, waited: bool) -> Outcome {
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

    /// The swaps, what their receipts say together, and how many callers had their outcome before the last was written.
    fn swap(&self) -> (Requests, u64) {
        let Plan { without, fails, twice, .. } = self.plan;
        let before = if twice { Some(self.call_off()) } else { None };
        if without != Without::Gate {
            self.replace(SWAPPING);
        }
        let left = |value| without == Without::Drain || self.is_drained(value);
        while !left(RUNNING) || !left(AGAIN) {
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
        self.gates[1].open();
        let passage = self.gates[1].passage();
        let finished = self.finished.load(Ordering::Acquire);
        let window = Window {
            old_before: before.map(|window: Window| window.old_after).unwrap_or_default(),
            old_after: self.tallies[0].counts(),
            end: if fails { End::GoesOn } else { End::Drained },
            new: if fails { Counts::default() } else { self.tallies[1].counts() },
            passage,
        };
        let (first, second) = (before.map(|window| window.requests()).unwrap_or_default(), window.requests());
        let both = Requests {
            old: first.old + second.old,
            waited: first.waited + second.waited,
            new: first.new + second.new,
            lost: first.lost + second.lost,
            duplicated: first.duplicated + second.duplicated,
        };
        (both, finished)
    }

    /// A swap whose drain deadline passes at once. Its window ends where that of the next one begins, so that between the two
    /// no call is in none.
    fn call_off(&self) -> Window {
        self.replace(TRYING);
        self.replace(AGAIN);
        self.gates[0].open();
        let passage = self.gates[0].passage();
        Window { old_after: self.tallies[0].counts(), passage, ..Window::default() }
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
            let forgotten = count(&|o| matches!(o, Outcome::Forgotten { by: who, .. } if *who == by));
            let counted = (counts.entered, counts.answered, counts.expired);
            assert_eq!(counted, (here + forgotten, here, forgotten));
        }
        assert_eq!((receipt.lost, receipt.duplicated), (0, 0));
        let waited = count(&|o| match o {
            Outcome::Expired => true,
            Outcome::Answered { waited, .. } | Outcome::Forgotten { waited, .. } => *waited,
        });
        assert_eq!(receipt.waited, waited, "who waited is told by the gate: {outcomes:?}");
        let counted = receipt.old + receipt.waited + receipt.new + receipt.lost;
        let all = outcomes.len() as u64;
        assert!(counted <= all, "a call is counted twice: {receipt:?}, {outcomes:?}");
        assert!(counted >= finished, "a call is not counted: {receipt:?}, {outcomes:?}");
    }
}

mod tests;
