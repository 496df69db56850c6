//! Slot and lease: how a caller finds the generation that serves, and keeps it for the length of a call.
//!
//! Reading is wait-free: a slot publishes its state through an `ArcSwap`, and the guard of a read is the lease. A
//! writer that replaces the state gets the old one back; when it holds the last reference, every lease has ended.
//!
//! # Safety argument
//!
//! * **L1** A [`Frame`] holds the address of the generation that a call on this thread is inside of. It is pushed after
//!   the lease was taken and popped before the lease ends, on the same thread, in the reverse order: so each address in
//!   the chain belongs to a generation that is leased now.

#![allow(
    unsafe_code,
    reason = "the chain of calls keeps addresses instead of counting references per call (L1)"
)]

use std::cell::RefCell;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::gate::Gate;
use super::generation::Generation;
use super::view::Phase;

/// Services that call each other in a circle end here instead of at the end of the stack. Real chains have a handful of
/// hops; with 64 KiB of stack in each, 32 fit a thread's 2 MiB.
pub(crate) const HOP_LIMIT: usize = 32;

/// The place in the kernel that a name owns.
#[derive(Debug)]
pub(crate) struct Slot {
    name: Arc<str>,
    state: ArcSwap<SlotState>,
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

/// The right to be inside a generation, to be carried to a lane. Draining waits for it.
#[derive(Debug)]
pub(crate) struct Lease {
    state: Arc<SlotState>,
    /// Whether it was waited for at a gate.
    pub(crate) waited: bool,
}

impl Slot {
    pub(crate) fn new(name: Arc<str>) -> Self {
        let state = SlotState::Down { phase: Phase::Starting, reason: None };
        Self { name, state: ArcSwap::from_pointee(state) }
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Goes in on this thread: takes the lease, runs `body`, gives the lease back. A call that comes out of this very
    /// service passes a closed gate (A → B → A would wait for itself).
    pub(crate) fn enter<T>(&self, body: impl FnOnce(&Generation, bool) -> T) -> Result<T, NoEntry> {
        let mut waited = false;
        loop {
            let state = self.state.load();
            match &**state {
                SlotState::Running(generation) => {
                    let _frame = Frame::push(self, generation)?;
                    return Ok(body(generation, waited));
                }
                SlotState::Swapping(gate) => {
                    if let Some(generation) = Frame::find(self) {
                        // SAFETY: L1; the frame below on this thread holds the lease for longer than this call.
                        let generation = unsafe { &*generation };
                        let _frame = Frame::push(self, generation)?;
                        return Ok(body(generation, waited));
                    }
                    let gate = Arc::clone(gate);
                    // The lease must not be held while waiting for the one who drains.
                    drop(state);
                    gate.wait(None);
                    waited = true;
                }
                SlotState::Down { phase, reason } => {
                    return Err(NoEntry::Down { phase: *phase, reason: reason.clone() });
                }
            }
        }
    }

    /// Takes a lease to carry elsewhere, waiting at the gate until `deadline`.
    pub(crate) fn lease(&self, deadline: Instant) -> Result<Lease, NoEntry> {
        let mut waited = false;
        loop {
            let state = self.state.load_full();
            match &*state {
                SlotState::Running(_) => return Ok(Lease { state, waited }),
                SlotState::Swapping(gate) => {
                    let gate = Arc::clone(gate);
                    drop(state);
                    if !gate.wait(Some(deadline)) {
                        return Err(NoEntry::Expired);
                    }
                    waited = true;
                }
                SlotState::Down { phase, reason } => {
                    return Err(NoEntry::Down { phase: *phase, reason: reason.clone() });
                }
            }
        }
    }

    /// Publishes a generation.
    pub(crate) fn publish(&self, generation: Arc<Generation>) -> Replaced {
        self.replace(SlotState::Running(generation))
    }

    /// Closes the gate: new calls wait until it opens.
    pub(crate) fn close(&self, gate: &Arc<Gate>) -> Replaced {
        self.replace(SlotState::Swapping(Arc::clone(gate)))
    }

    /// Tells callers that nobody is there.
    pub(crate) fn take_down(&self, phase: Phase, reason: Option<String>) -> Replaced {
        self.replace(SlotState::Down { phase, reason })
    }

    fn replace(&self, state: SlotState) -> Replaced {
        Replaced { state: self.state.swap(Arc::new(state)) }
    }
}

impl Lease {
    /// Runs `body` inside, on the thread that the lease was carried to.
    pub(crate) fn enter<T>(&self, slot: &Slot, body: impl FnOnce(&Generation) -> T) -> Result<T, NoEntry> {
        let generation = self.generation();
        let _frame = Frame::push(slot, generation)?;
        Ok(body(generation))
    }

    pub(crate) fn generation(&self) -> &Arc<Generation> {
        match &*self.state {
            SlotState::Running(generation) => generation,
            _ => unreachable!("a lease is made of a running state only"),
        }
    }
}

/// A state that is no longer published. Whoever still has a lease of it is inside.
#[must_use = "leases of it may still be out: drain it"]
#[derive(Debug)]
pub(crate) struct Replaced {
    state: Arc<SlotState>,
}

impl Replaced {
    /// Whether every lease has ended.
    ///
    /// `ArcSwap::swap` turned the guards that were out into counted references before it returned, so the count is exact:
    /// nobody can take a new one.
    pub(crate) fn is_drained(&self) -> bool {
        let drained = Arc::strong_count(&self.state) == 1;
        // What those who left did inside happened before whatever comes now: the count alone is a relaxed read.
        std::sync::atomic::fence(std::sync::atomic::Ordering::Acquire);
        drained
    }

    /// Waits until every lease has ended; false when `deadline` passed first. Looking in growing steps costs callers
    /// nothing; a signal at the end of each lease would cost each call.
    pub(crate) fn drain(&self, deadline: Duration) -> bool {
        let begun = Instant::now();
        let mut step = Duration::from_micros(10);
        while !self.is_drained() {
            if begun.elapsed() >= deadline {
                return false;
            }
            std::thread::park_timeout(step);
            step = (step * 2).min(Duration::from_millis(1));
        }
        true
    }
}

thread_local! {
    static CHAIN: RefCell<Vec<(*const Slot, *const Generation)>> = const { RefCell::new(Vec::new()) };
}

/// One call of the chain on this thread; popped when it is dropped.
struct Frame {
    // Not `Send`: it is popped on the thread that it was pushed on (L1).
    here: PhantomData<*const ()>,
}

impl Frame {
    fn push(slot: &Slot, generation: &Generation) -> Result<Self, NoEntry> {
        CHAIN.with_borrow_mut(|chain| {
            if chain.len() >= HOP_LIMIT {
                return Err(NoEntry::TooManyHops);
            }
            super::lane::note_entry(generation.load);
            chain.push((slot, generation));
            Ok(Self { here: PhantomData })
        })
    }

    /// The generation of `slot` that this thread is inside of, innermost first.
    fn find(slot: &Slot) -> Option<*const Generation> {
        CHAIN.with_borrow(|chain| {
            chain
                .iter()
                .rev()
                .find(|(inside, _)| std::ptr::eq(*inside, slot))
                .map(|(_, generation)| *generation)
        })
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        CHAIN.with_borrow_mut(|chain| chain.pop());
    }
}

#[cfg(test)]
mod tests;
