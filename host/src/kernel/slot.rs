//! The slot: the place in the kernel that a name owns. It tells a caller who serves, to wait, or that nobody is there.

use std::sync::Arc;
use std::time::Instant;

use super::chain;
use super::counting::Counted;
use super::gate::{Gate, Pass};
use super::generation::Generation;
use super::guard::{Guard, Permit, Refusal, Wants};
use super::lease::{self, Door, Inside, Kept, Replaced, Shortcut, Thread, TooDeep};
use super::tally::Own;
use super::view::Phase;
use crate::bus::{self, Cancel, Limit};

/// The place that a name owns.
#[derive(Debug)]
pub(crate) struct Slot {
    name: Arc<str>,
    door: Door,
    guard: Arc<Guard>,
}

/// What a slot tells its callers.
#[derive(Debug)]
pub(crate) enum SlotState {
    /// Go in. Its load is here as well: on the way of most calls it is asked for first. So is whether anything that is not answered
    /// is asked again: who calls has to keep the request then.
    Running { load: u64, retries: bool, generation: Arc<Generation> },
    /// Ask the guard, then go in.
    Guarded(Arc<Generation>),
    /// Wait.
    Swapping(Arc<Gate>),
    /// Nobody is there.
    Down { phase: Phase, reason: Option<String> },
}

/// How somebody came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) thread: Thread,
    /// Whether after waiting at a gate, the last one of several: that gate counted it.
    pub(crate) waited: bool,
}

impl SlotState {
    /// The generation, of a state that has one.
    pub(crate) fn generation(&self) -> Option<&Generation> {
        match self {
            Self::Running { generation, .. } | Self::Guarded(generation) => Some(generation),
            Self::Swapping(_) | Self::Down { .. } => None,
        }
    }

    fn serves(&self, name: &Arc<str>) -> bool {
        self.generation().is_some_and(|generation| Arc::ptr_eq(&generation.name, name))
    }

    /// Runs `body` in the generation of a state that was seen to have one.
    fn run<R>(&self, entry: Entry, body: &mut dyn FnMut(&Generation, Entry) -> R) -> R {
        let Some(generation) = self.generation() else { unreachable!("it was seen to serve") };
        generation.note_entry(entry.thread);
        body(generation, entry)
    }
}

/// Whether this thread is inside of a generation that `wanted` wants.
pub(crate) fn is_inside(wanted: impl Fn(&Generation) -> bool) -> bool {
    lease::is_inside(|state| state.generation().is_some_and(&wanted))
}

/// Why a caller did not get in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoEntry {
    Down {
        phase: Phase,
        reason: Option<String>,
    },
    /// The deadline passed at the gate, or somebody gave up.
    Expired,
    /// The chain of calls is too long.
    TooManyHops,
    /// The guard does not let it in.
    Refused(Refusal),
}

impl From<TooDeep> for NoEntry {
    fn from(_: TooDeep) -> Self {
        Self::TooManyHops
    }
}

/// The right to be inside a generation, to be carried to a lane. Draining waits for it.
#[derive(Debug)]
pub(crate) struct Lease {
    state: Arc<SlotState>,
    // Whether it was waited for at a gate.
    waited: bool,
    // The method that it is for, where the manifest names it.
    number: Option<usize>,
    // What the guard gave it, where there is one.
    _permit: Option<Permit>,
}

impl Slot {
    pub(crate) fn new(name: Arc<str>) -> Self {
        let door = Door::new(SlotState::Down { phase: Phase::Starting, reason: None });
        Self { name, door, guard: Arc::default() }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Who is asked where calls are limited.
    pub(crate) fn guard(&self) -> &Arc<Guard> {
        &self.guard
    }

    /// Goes in on this thread in the way of most calls: somebody serves right now, the thread was there lately, is inside of
    /// one other call at most, and counts alone. Else [`Slot::enter_now`].
    #[inline(always)]
    pub(crate) fn enter_at_once<R>(&self, body: impl FnOnce(&Generation, Own<'_>) -> R) -> Option<R> {
        let entered = self.door.enter_at_once(|state, thread| match state {
            SlotState::Running { load, generation, .. } if thread.was_in(*load) => {
                let own = generation.tally.own(thread)?;
                own.enter();
                Some(body(generation, own))
            }
            _ => None,
        });
        entered.flatten()
    }

    /// Goes in on this thread by what `shortcut` knows, which is to be learnt here. `None` where it does not know who serves, or
    /// this thread is inside of something.
    #[inline(always)]
    pub(crate) fn enter_again<R>(
        &self,
        shortcut: &Shortcut,
        body: impl FnOnce(Inside<'_>) -> R,
    ) -> Option<R> {
        shortcut.enter(&self.door, body)
    }

    /// Has `shortcut` learn who serves, where that one has a function of its own for the method, which is never asked twice, and this
    /// thread counts alone.
    pub(crate) fn learn(&self, shortcut: &Shortcut, method: &str) {
        self.door.learn(shortcut, |state, thread| {
            let SlotState::Running { retries, generation, .. } = state else { return None };
            if *retries && generation.manifest().idempotent.iter().any(|own| own == method) {
                return None;
            }
            let number = generation.number_of(method)?;
            let own = generation.tally.method(Some(number)).tally.own(thread)?;
            let method = generation.plugin.method(number)?;
            generation.note_entry(thread);
            Some(Kept { method, own })
        });
    }

    /// Goes in on this thread, when somebody serves right now; else, [`Slot::enter`] tells why not, or waits.
    #[inline]
    pub(crate) fn enter_now<R>(&self, body: impl FnOnce(&Generation, Entry) -> R) -> Option<R> {
        let entered = self.door.enter(|state, thread| match state {
            SlotState::Running { generation, .. } => {
                generation.note_entry(thread);
                Some(body(generation, Entry { thread, waited: false }))
            }
            SlotState::Guarded(_) | SlotState::Swapping(_) | SlotState::Down { .. } => None,
        });
        entered.ok().flatten()
    }

    /// Goes in on this thread with a message or a tick, when somebody serves right now: limits are for calls, and a breaker, too.
    pub(crate) fn enter_unasked<R>(&self, body: impl FnOnce(&Generation) -> R) -> Option<R> {
        let entered = self.door.enter(|state, thread| {
            let generation = state.generation()?;
            generation.note_entry(thread);
            Some(body(generation))
        });
        entered.ok().flatten()
    }

    /// Goes in on this thread, waiting at a closed gate, no longer than who asked this thread waits; no lease is held meanwhile, for the one who
    /// drains. A call that comes out of this very service, also by a request by topic, passes the gate (A → B → A would wait for itself). `body` is
    /// run once at most.
    #[cold]
    pub(crate) fn enter<R>(&self, body: &mut dyn FnMut(&Generation, Entry) -> R) -> Result<R, Box<NoEntry>> {
        let mut waited = false;
        loop {
            let gate = match self.carry()? {
                Ok(lease) => return Lease { waited, ..lease }.enter(body),
                Err(gate) => gate,
            };
            let again = lease::reenter(
                |state| state.serves(&self.name),
                |state, thread| state.run(Entry { thread, waited }, body),
            );
            let again = again.or_else(|| {
                let state = chain::find(|state| state.serves(&self.name))?;
                Some(lease::enter_carried(&state, |state, thread| state.run(Entry { thread, waited }, body)))
            });
            match again {
                Some(done) => return Ok(done.map_err(NoEntry::from)?),
                None => {
                    let Limit { until, cancel, .. } = bus::limit();
                    match gate.wait(until, cancel.as_ref(), waited) {
                        Pass::Expired => return Err(Box::new(NoEntry::Expired)),
                        pass => waited |= pass == Pass::Waited,
                    }
                }
            }
        }
    }

    /// Whether what this thread does comes out of this very service, by calls or by requests by topic.
    fn is_waited_in(&self) -> bool {
        let is_own = |state: &SlotState| state.serves(&self.name);
        lease::is_inside(is_own) || chain::find(is_own).is_some()
    }

    /// A counted lease, or the gate to wait at.
    fn carry(&self) -> Result<Result<Lease, Arc<Gate>>, NoEntry> {
        let state = self.door.carry()?;
        match &*state {
            SlotState::Running { .. } => Ok(Ok(Lease { state, waited: false, number: None, _permit: None })),
            SlotState::Guarded(generation) => {
                // What comes out of a call that was let in is part of it.
                let permit = (!self.is_waited_in()).then(|| self.guard.admit(generation)).transpose();
                let permit = permit.map_err(NoEntry::Refused)?;
                Ok(Ok(Lease { state, waited: false, number: None, _permit: permit }))
            }
            SlotState::Swapping(gate) => Ok(Err(Arc::clone(gate))),
            SlotState::Down { phase, reason } => Err(NoEntry::Down { phase: *phase, reason: reason.clone() }),
        }
    }

    /// Takes a lease to carry elsewhere, waiting at the gate until `deadline`, or until somebody gives up.
    pub(crate) fn lease(&self, deadline: Instant, cancel: Option<&Cancel>) -> Result<Lease, NoEntry> {
        let mut waited = false;
        loop {
            match self.carry()? {
                Ok(lease) => return Ok(Lease { waited, ..lease }),
                Err(gate) => match gate.wait(Some(deadline), cancel, waited) {
                    Pass::Expired => return Err(NoEntry::Expired),
                    pass => waited |= pass == Pass::Waited,
                },
            }
        }
    }

    /// Takes a lease for who handles a stream, as [`Slot::lease`] does, counted nowhere: a stream is no call. Its guard is asked whether it may
    /// come in, and limits calls alone from then on. A thread that is inside of this very service, or that somebody waits for there, waits for
    /// nobody: who drains would wait for it.
    pub(crate) fn lease_of_stream(&self, deadline: Instant) -> Result<Lease, NoEntry> {
        let deadline = if self.is_waited_in() { Instant::now() } else { deadline };
        let cancel = bus::limit().cancel;
        loop {
            match self.carry()? {
                Ok(lease) => return Ok(Lease { _permit: None, ..lease }),
                Err(gate) => {
                    if gate.wait(Some(deadline), cancel.as_ref(), true) == Pass::Expired {
                        return Err(NoEntry::Expired);
                    }
                }
            }
        }
    }

    /// Looks at who serves right now, from outside: that is no call, and the thread does not go in.
    pub(crate) fn serving<R>(&self, look: impl FnOnce(&Generation) -> R) -> Option<R> {
        self.door.carry().ok()?.generation().map(look)
    }

    /// Publishes a generation.
    pub(crate) fn publish(&self, generation: Arc<Generation>) -> Replaced {
        self.guard.renew(&generation);
        generation.plugin.streams().let_in();
        self.door.replace(match self.guard.wants() {
            Wants::ToBeAsked => SlotState::Guarded(generation),
            Wants::Nothing { retries } => SlotState::Running { load: generation.load, retries, generation },
        })
    }

    /// Whether who serves is published in another way than the guard wants by now.
    pub(crate) fn is_outdated(&self) -> bool {
        let wants = self.guard.wants();
        let is_other = |state: &SlotState, _| match state {
            SlotState::Running { retries, .. } => wants != Wants::Nothing { retries: *retries },
            SlotState::Guarded(_) => wants != Wants::ToBeAsked,
            SlotState::Swapping(_) | SlotState::Down { .. } => false,
        };
        self.door.enter(is_other).unwrap_or(false)
    }

    /// Whether calls have to ask the guard now.
    #[cfg(test)]
    pub(crate) fn is_guarded(&self) -> bool {
        self.door.enter(|state, _| matches!(state, SlotState::Guarded(_))).unwrap_or(false)
    }

    /// Closes the gate: new calls wait until it opens.
    pub(crate) fn close(&self, gate: &Arc<Gate>) -> Replaced {
        self.door.replace(SlotState::Swapping(Arc::clone(gate)))
    }

    /// Tells callers that nobody is there.
    pub(crate) fn take_down(&self, phase: Phase, reason: Option<String>) -> Replaced {
        self.door.replace(SlotState::Down { phase, reason })
    }
}

impl Lease {
    /// The same for a method, by whose name it is counted from here on.
    pub(crate) fn of(self, method: &str) -> Self {
        Self { number: self.generation().number_of(method), ..self }
    }

    /// The number of that method, where the manifest names it.
    pub(crate) fn number(&self) -> Option<usize> {
        self.number
    }

    /// Where its method is counted.
    pub(crate) fn counted(&self) -> &Counted {
        self.generation().tally.method(self.number)
    }

    /// Runs `body` inside, on the thread that the lease was carried to.
    pub(crate) fn enter<R>(&self, body: &mut dyn FnMut(&Generation, Entry) -> R) -> Result<R, Box<NoEntry>> {
        let run = |state: &SlotState, thread| state.run(Entry { thread, waited: self.waited }, body);
        Ok(lease::enter_carried(&self.state, run).map_err(NoEntry::from)?)
    }

    /// It is taken into the mailbox: counted here, at the door, so that a request that gets lost behind it is missed.
    pub(crate) fn accept(&self) {
        self.counted().tally.accept(Thread::this(), self.waited);
    }

    /// Its deadline passed before its turn came.
    pub(crate) fn expire(self) {
        self.counted().tally.expire(Thread::this(), self.waited);
    }

    pub(crate) fn generation(&self) -> &Arc<Generation> {
        match &*self.state {
            SlotState::Running { generation, .. } | SlotState::Guarded(generation) => generation,
            _ => unreachable!("a lease is made of a running state only"),
        }
    }
}

#[cfg(test)]
mod tests;
