//! The slot: the place in the kernel that a name owns. It tells a caller who serves, to wait, or that nobody is there.

use std::sync::Arc;
use std::time::Instant;

use super::gate::Gate;
use super::generation::Generation;
use super::lane;
use super::lease::{self, Door, Replaced, TooDeep};
use super::view::Phase;

/// The place that a name owns.
#[derive(Debug)]
pub(crate) struct Slot {
    name: Arc<str>,
    door: Door,
}

/// What a slot tells its callers.
#[derive(Debug)]
pub(crate) enum SlotState {
    /// Go in.
    Running(Arc<Generation>),
    /// Wait.
    Swapping(Arc<Gate>),
    /// Nobody is there.
    Down { phase: Phase, reason: Option<String> },
}

/// Why a caller did not get in.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NoEntry {
    Down {
        phase: Phase,
        reason: Option<String>,
    },
    /// The deadline passed at the gate.
    Expired,
    /// The chain of calls is too long.
    TooManyHops,
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
    /// Whether it was waited for at a gate.
    pub(crate) waited: bool,
}

impl Slot {
    pub(crate) fn new(name: Arc<str>) -> Self {
        Self { name, door: Door::new(SlotState::Down { phase: Phase::Starting, reason: None }) }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Goes in on this thread. A call that comes out of this very service passes a closed gate (A → B → A would wait for
    /// itself).
    #[inline]
    pub(crate) fn enter<R>(&self, body: impl FnOnce(&Generation, bool) -> R) -> Result<R, NoEntry> {
        let mut body = Some(body);
        let entered = self.door.enter(|state| match state {
            SlotState::Running(generation) => {
                lane::note_entry(generation.load);
                Ok(body.take().map(|body| body(generation, false)))
            }
            SlotState::Swapping(gate) => Err(Ok(Arc::clone(gate))),
            SlotState::Down { phase, reason } => {
                Err(Err(NoEntry::Down { phase: *phase, reason: reason.clone() }))
            }
        })?;
        match (entered, body) {
            (Ok(Some(done)), _) => Ok(done),
            (Err(Ok(gate)), Some(body)) => self.enter_later(&gate, body),
            (Err(Err(refused)), _) => Err(refused),
            (Ok(None), _) | (Err(Ok(_)), None) => unreachable!("the body is taken where it is run"),
        }
    }

    /// Behind a closed gate. No lease is held while waiting for the one who drains.
    #[cold]
    fn enter_later<R>(&self, gate: &Gate, body: impl FnOnce(&Generation, bool) -> R) -> Result<R, NoEntry> {
        let own = |state: &SlotState| match state {
            SlotState::Running(generation) => Arc::ptr_eq(&generation.name, &self.name),
            _ => false,
        };
        let mut body = Some(body);
        let mut run = |state: &SlotState, waited| match state {
            SlotState::Running(generation) => body.take().map(|body| body(generation, waited)),
            _ => None,
        };
        if let Some(done) = lease::reenter(own, |state| run(state, false)).transpose()?.flatten() {
            return Ok(done);
        }
        gate.wait(None);
        loop {
            let lease = match self.carry()? {
                Ok(lease) => lease,
                Err(gate) => {
                    gate.wait(None);
                    continue;
                }
            };
            lane::note_entry(lease.generation().load);
            match lease::enter_carried(&lease.state, |state| run(state, true))? {
                Some(done) => return Ok(done),
                None => unreachable!("a lease is made of a running state, and the body is run once"),
            }
        }
    }

    /// A counted lease, or the gate to wait at.
    fn carry(&self) -> Result<Result<Lease, Arc<Gate>>, NoEntry> {
        let state = self.door.carry()?;
        match &*state {
            SlotState::Running(_) => Ok(Ok(Lease { state, waited: false })),
            SlotState::Swapping(gate) => Ok(Err(Arc::clone(gate))),
            SlotState::Down { phase, reason } => Err(NoEntry::Down { phase: *phase, reason: reason.clone() }),
        }
    }

    /// Takes a lease to carry elsewhere, waiting at the gate until `deadline`.
    pub(crate) fn lease(&self, deadline: Instant) -> Result<Lease, NoEntry> {
        let mut waited = false;
        loop {
            match self.carry()? {
                Ok(lease) => return Ok(Lease { waited, ..lease }),
                Err(gate) if gate.wait(Some(deadline)) => waited = true,
                Err(_) => return Err(NoEntry::Expired),
            }
        }
    }

    /// Publishes a generation.
    pub(crate) fn publish(&self, generation: Arc<Generation>) -> Replaced {
        self.door.replace(SlotState::Running(generation))
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
    /// Runs `body` inside, on the thread that the lease was carried to.
    pub(crate) fn enter<T>(&self, body: impl FnOnce(&Generation) -> T) -> Result<T, NoEntry> {
        lane::note_entry(self.generation().load);
        Ok(lease::enter_carried(&self.state, |_| body(self.generation()))?)
    }

    pub(crate) fn generation(&self) -> &Arc<Generation> {
        match &*self.state {
            SlotState::Running(generation) => generation,
            _ => unreachable!("a lease is made of a running state only"),
        }
    }
}

#[cfg(test)]
mod tests;
