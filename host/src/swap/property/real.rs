//! The real thing: what the kernel's operations do with a service, with plugins that are linked in.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Lent;

use super::callers::Clock;
use super::plugin::{Counter, Settings};
use super::{Became, Fault, Seen, Step, Version, Way};
use crate::config::Rehearse;
use crate::drain::drain;
use crate::error::{Code, Trouble};
use crate::kernel::generation::Generation;
use crate::kernel::receipt::{End, Window};
use crate::kernel::slot::Slot;
use crate::kernel::view::{Phase, Requests};
use crate::linked::{Bay, LONG, SHORT};
use crate::load::Loaded;
use crate::start::{Plain, Taking, export, pause, resume, start, stop};
use crate::swap::{Handover, Stages, Swap, give, swap};
use crate::unload::{Unloaded, unload};
use crate::{CallError, call};

/// A service.
pub(super) struct Real {
    bay: Bay,
    slot: Arc<Slot>,
    serving: Option<Arc<Generation>>,
    one_gate: Mutex<()>,
    loads: u64,
    clock: Arc<Clock>,
    pub(super) receipts: Vec<Receipt>,
}

/// What a swap's receipt says, and the moments around both looks at the counters.
#[derive(Debug)]
pub(super) struct Receipt {
    pub(super) requests: Requests,
    pub(super) began: (u64, u64),
    pub(super) ended: (u64, u64),
}

impl Real {
    pub(super) fn new(clock: &Arc<Clock>) -> Self {
        let bay = Bay::new();
        let (slot, clock) = (bay.slot("counter"), Arc::clone(clock));
        Self { bay, slot, serving: None, one_gate: Mutex::default(), loads: 0, clock, receipts: Vec::new() }
    }

    pub(super) fn slot(&self) -> Arc<Slot> {
        Arc::clone(&self.slot)
    }

    pub(super) fn seen(&self) -> Seen {
        match ask(&self.slot, Way::Request, "count") {
            Became::Answered(load, count) => Some((load, count)),
            Became::NotRunning => None,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn take(&mut self, step: Step) -> Became {
        match (step, self.serving.clone()) {
            (Step::Start(_), Some(_)) | (Step::Swap { .. } | Step::Stop { .. }, None) => Became::Nothing,
            (Step::Start(version), None) => self.start(version),
            (Step::Swap { to, fault, rehearse, inside }, Some(old)) => {
                self.arm(fault);
                let became =
                    self.swap(old, to, if rehearse { Rehearse::Always } else { Rehearse::Never }, inside);
                self.arm(Fault::None);
                became
            }
            (Step::Stop { fault }, Some(old)) => {
                self.arm(fault);
                let became = self.stop(old);
                self.arm(Fault::None);
                became
            }
            (Step::Call { way, method }, _) => ask(&self.slot, way, method),
        }
    }

    /// Tells who serves where to fail from now on.
    fn arm(&self, fault: Fault) {
        if self.serving.is_some() {
            let fault = serde_json::to_vec(&fault).unwrap();
            call::request(&self.slot, "arm", &fault, &mut Vec::new(), LONG).unwrap();
        }
    }

    fn load(&mut self, version: Version, number: u64) -> Loaded {
        self.loads += 1;
        let settings = serde_json::to_value(Settings { load: self.loads, fault: version.fault }).unwrap();
        let bay = &self.bay;
        match version.schema {
            0 => bay.load_with::<Counter<0>>(number, Some(&settings)),
            1 => bay.load_with::<Counter<1>>(number, Some(&settings)),
            2 => bay.load_with::<Counter<2>>(number, Some(&settings)),
            _ => bay.load_with::<Counter<3>>(number, Some(&settings)),
        }
    }

    /// Gives kept state to a version that nobody hands any.
    fn feed(&self, new: &Arc<Generation>) -> Result<(), Trouble> {
        if !new.plugin.is_stateful() {
            return Ok(());
        }
        match self.bay.snapshots.load(&new.name).unwrap() {
            Some(stored) => give(new, stored.header.schema, stored.state, LONG).map(drop),
            None => Ok(()),
        }
    }

    fn start(&mut self, version: Version) -> Became {
        let loaded = self.load(version, 1);
        let generation = Arc::clone(&loaded.generation);
        let fed = self.feed(&generation);
        let started = fed.and_then(|()| start(loaded, LONG).map_err(|(_, error)| error.into()));
        if started.map(drop).is_err() {
            gone(generation);
            return Became::GivenUp;
        }
        let _ = self.slot.publish(Arc::clone(&generation));
        self.serving = Some(generation);
        self.arm(Fault::None);
        Became::Done
    }

    fn stop(&mut self, old: Arc<Generation>) -> Became {
        old.left(self.slot.take_down(Phase::Stopped, None));
        drain(&old, LONG).unwrap();
        if old.plugin.is_stateful() {
            let paused = pause(&old, LONG).map_err(Trouble::from);
            let is_paused = paused.is_ok();
            let keys = self.bay.snapshots.keys();
            let draft = || Err(Trouble::new(Code::Defect, "it is not long"));
            let taking = Taking { room: Plain::default(), max: 1 << 20, draft: &draft };
            let state = paused.and_then(|()| export(&old, taking, LONG).map_err(Trouble::from));
            if let Err(_) | Ok(Err(_)) = state.map(|state| self.bay.snapshots.save(&old, keys, state)) {
                if is_paused {
                    resume(&old, LONG);
                }
                let _ = self.slot.publish(old);
                return Became::GivenUp;
            }
        }
        self.serving = None;
        let _ = stop(&old, LONG);
        gone(old);
        Became::Done
    }

    fn swap(&mut self, old: Arc<Generation>, to: Version, rehearse: Rehearse, inside: bool) -> Became {
        // The step holds one, `serving` another.
        self.serving = None;
        let began = self.clock.now();
        let mut window = Window { old_before: old.tally.counts(), ..Window::default() };
        let began = (began, self.clock.now());
        let candidate = self.load(to, old.number + 1);
        if !old.plugin.is_stateful() && self.feed(&candidate.generation).is_err() {
            gone(candidate.generation);
            self.serving = Some(old);
            return Became::GivenUp;
        }
        let lease = inside.then(|| self.slot.lease(Instant::now() + LONG, None).unwrap());
        let transaction = Swap {
            slot: &self.slot,
            old: &old,
            snapshots: &self.bay.snapshots,
            handover: Handover::Carried,
            one_gate: &self.one_gate,
            callback: LONG,
            drain: if inside { SHORT } else { LONG },
            rehearse,
            max_state: 1 << 20,
            force: false,
            is_way_back: false,
        };
        let done = swap(&transaction, candidate, &mut Stages::default(), &mut |_| {});
        let counted = self.clock.now();
        window.old_after = old.tally.counts();
        drop(lease);
        match done {
            Ok(committed) => {
                window.passage = committed.passage;
                window.end = if committed.drained { End::Drained } else { End::Left };
                window.new = committed.new.tally.counts();
                self.note(&window, began, counted);
                if let Some(capsule) = committed.capsule.filter(|_| committed.new.plugin.is_stateful()) {
                    self.bay.snapshots.save_capsule(&old.name, &capsule).unwrap();
                }
                if !committed.drained {
                    drain(&old, LONG).unwrap();
                    let _ = stop(&old, LONG);
                }
                gone(old);
                self.serving = Some(committed.new);
                Became::Done
            }
            Err(given_up) => {
                window.passage = given_up.passage;
                if given_up.old_is_down.is_some() {
                    window.end = End::Drained;
                }
                self.note(&window, began, counted);
                gone(given_up.candidate);
                if given_up.old_is_down.is_none() {
                    self.serving = Some(old);
                    return Became::GivenUp;
                }
                self.bay.snapshots.save_capsule(&old.name, &given_up.capsule.unwrap()).unwrap();
                gone(old);
                Became::Down
            }
        }
    }
}

impl Real {
    fn note(&mut self, window: &Window, began: (u64, u64), counted: u64) {
        let ended = (counted, self.clock.now());
        self.receipts.push(Receipt { requests: window.requests(), began, ended });
    }
}

fn gone(generation: Arc<Generation>) {
    assert!(matches!(unload(generation, &[], LONG), Unloaded::Gone));
}

/// Asks on one of the two ways.
pub(super) fn ask(slot: &Slot, way: Way, method: &str) -> Became {
    let mut reply = Vec::new();
    let outcome = match way {
        Way::Inline => call::inline(slot, method, b"", Lent::new(&mut reply).out()),
        Way::Request => call::request(slot, method, b"", &mut reply, LONG),
        Way::LateRequest => call::request(slot, method, b"", &mut reply, Duration::ZERO),
    };
    match outcome.map_err(|error| *error) {
        Ok(()) => {
            let (load, count) = serde_json::from_slice(&reply).unwrap();
            Became::Answered(load, count)
        }
        Err(CallError::Failed { .. }) => Became::Failed,
        Err(CallError::Panicked { .. }) => Became::Panicked,
        Err(CallError::NotRunning { .. }) => Became::NotRunning,
        Err(CallError::TimedOut { .. }) => Became::TimedOut,
        Err(other) => panic!("{other}"),
    }
}
