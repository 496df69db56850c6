//! The gate: what new calls wait at while a swap has it closed.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use super::sync::{Condvar, Mutex, MutexGuard, spare_processors};
use super::view::Pause;
use crate::bus::{self, Cancel};

/// For so long somebody who waits looks for the opening before going to sleep. A small state is carried over in this time; to
/// be woken would take as long again.
const LOOK: Duration = Duration::from_micros(250);

/// One closing of a slot. Opened once; whoever arrives later passes.
#[derive(Debug)]
pub(crate) struct Gate {
    inside: Mutex<Queue>,
    moved: Condvar,
    // For those who look and do not sleep.
    is_open: AtomicBool,
    looking: AtomicUsize,
    // So many may.
    spare: usize,
}

impl Default for Gate {
    /// A closed gate. Made by whoever opens it: a caller may be bound to one processor, and see no other.
    fn default() -> Self {
        Self {
            inside: Mutex::default(),
            moved: Condvar::default(),
            is_open: AtomicBool::default(),
            looking: AtomicUsize::default(),
            spare: spare_processors(),
        }
    }
}

#[derive(Debug, Default)]
struct Queue {
    open: bool,
    waiting: u64,
    expired: u64,
    waits: Vec<Duration>,
    // Somebody waits for the last to leave.
    is_counted: bool,
}

/// How somebody got by a gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pass {
    /// It was open: what it saw may have been counted by then, so that this call is nobody who waited.
    AtOnce,
    Waited,
    /// The deadline passed first, or somebody gave up.
    Expired,
}

/// The duty to open a gate.
#[derive(Debug)]
pub(crate) struct Opening(Arc<Gate>);

impl Drop for Opening {
    fn drop(&mut self) {
        self.0.open();
    }
}

/// What a gate saw.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Passage {
    /// Calls that waited and went on.
    pub(crate) waited: u64,
    /// Calls whose deadline passed while they waited: they were told so.
    pub(crate) expired: u64,
    pub(crate) pause: Pause,
}

impl Gate {
    /// Waits until the gate opens, until the deadline, or until somebody gives up. A call that `waited` at an earlier gate is counted there.
    pub(crate) fn wait(&self, deadline: Option<Instant>, cancel: Option<&Cancel>, waited: bool) -> Pass {
        let arrived = Instant::now();
        let mut queue = self.lock();
        if queue.open {
            return Pass::AtOnce;
        }
        queue.waiting += 1;
        drop(queue);
        self.look(arrived, deadline);
        let mut queue = self.lock();
        while !queue.open {
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) || cancel.is_some_and(Cancel::is_cancelled) {
                break;
            }
            queue = match bus::step(left, cancel) {
                None => self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(left) => self.moved.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        queue.waiting -= 1;
        let (opened, wakes) = (queue.open, queue.waiting == 0 && queue.is_counted);
        match (waited, opened) {
            (true, _) => {}
            (false, true) => queue.waits.push(arrived.elapsed()),
            (false, false) => queue.expired += 1,
        }
        drop(queue);
        // To wake nobody costs a call of the system, too, and who waited long enough pays for it.
        if wakes {
            self.moved.notify_all();
        }
        if opened { Pass::Waited } else { Pass::Expired }
    }

    /// Waits for a moment without sleeping, unless as many do so as there are processors to spare: whoever is to open the
    /// gate needs one.
    fn look(&self, arrived: Instant, deadline: Option<Instant>) {
        if self.spare == 0 {
            return;
        }
        if self.looking.fetch_add(1, Ordering::Relaxed) < self.spare {
            let end = deadline.map_or(arrived + LOOK, |deadline| deadline.min(arrived + LOOK));
            while !self.is_open.load(Ordering::Relaxed) && Instant::now() < end {
                std::hint::spin_loop();
            }
        }
        self.looking.fetch_sub(1, Ordering::Relaxed);
    }

    /// Lets everybody pass.
    pub(crate) fn open(&self) {
        self.lock().open = true;
        self.is_open.store(true, Ordering::Relaxed);
        self.moved.notify_all();
    }

    /// Opens the gate when it is dropped, on whatever way.
    pub(crate) fn opening(self: &Arc<Self>) -> Opening {
        Opening(Arc::clone(self))
    }

    /// What the gate saw, once the last that waited has left. Call it after `open`.
    pub(crate) fn passage(&self) -> Passage {
        let mut queue = self.lock();
        queue.is_counted = true;
        while queue.waiting > 0 {
            queue = self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let mut micros: Vec<u64> =
            queue.waits.iter().map(|wait| u64::try_from(wait.as_micros()).unwrap_or(u64::MAX)).collect();
        micros.sort_unstable();
        let at = |per_cent: usize| {
            micros.get((micros.len() * per_cent).div_ceil(100).max(1) - 1).copied().unwrap_or(0)
        };
        Passage {
            waited: micros.len() as u64,
            expired: queue.expired,
            pause: Pause { p50: at(50), p99: at(99), max: at(100) },
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
