//! The gate: what new calls wait at while a swap has it closed.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::view::Pause;

/// One closing of a slot. Opened once; whoever arrives later passes.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    inside: Mutex<Queue>,
    moved: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    open: bool,
    waiting: u64,
    expired: u64,
    waits: Vec<Duration>,
}

/// How a wait at a gate ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// It was open already.
    Open,
    /// It opened.
    Opened,
    /// The deadline passed first.
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
    /// Waits until the gate opens. A call that `waited` at an earlier gate is counted there.
    pub(crate) fn wait(&self, deadline: Option<Instant>, waited: bool) -> Wait {
        let arrived = Instant::now();
        let mut queue = self.lock();
        if queue.open {
            return Wait::Open;
        }
        queue.waiting += 1;
        while !queue.open {
            queue = match deadline {
                None => self.moved.wait(queue).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let Some(left) =
                        deadline.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
                    else {
                        break;
                    };
                    self.moved.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        queue.waiting -= 1;
        let opened = queue.open;
        match (waited, opened) {
            (true, _) => {}
            (false, true) => queue.waits.push(arrived.elapsed()),
            (false, false) => queue.expired += 1,
        }
        drop(queue);
        self.moved.notify_all();
        if opened { Wait::Opened } else { Wait::Expired }
    }

    /// Lets everybody pass.
    pub(crate) fn open(&self) {
        self.lock().open = true;
        self.moved.notify_all();
    }

    /// Opens the gate when it is dropped, on whatever way.
    pub(crate) fn opening(self: &Arc<Self>) -> Opening {
        Opening(Arc::clone(self))
    }

    /// What the gate saw, once the last that waited has left. Call it after `open`.
    pub(crate) fn passage(&self) -> Passage {
        let mut queue = self.lock();
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts three that wait, and opens once they do.
    fn opened_over(gate: &Gate, waited: bool) -> Vec<Wait> {
        std::thread::scope(|scope| {
            let waiters: Vec<_> = (0..3).map(|_| scope.spawn(|| gate.wait(None, waited))).collect();
            while gate.lock().waiting < 3 {
                std::thread::yield_now();
            }
            gate.open();
            waiters.into_iter().map(|waiter| waiter.join().unwrap()).collect()
        })
    }

    #[test]
    fn whoever_waits_passes_when_the_gate_opens_and_is_counted() {
        let gate = Gate::default();
        assert_eq!(opened_over(&gate, false), [Wait::Opened; 3]);
        assert_eq!((gate.passage().waited, gate.passage().expired), (3, 0));
    }

    #[test]
    fn who_comes_when_the_gate_is_open_waits_for_nothing_and_is_not_counted() {
        let gate = Gate::default();
        gate.open();
        assert_eq!(gate.wait(None, false), Wait::Open);
        assert_eq!(gate.passage().waited, 0);
    }

    #[test]
    fn a_call_that_waits_at_one_gate_after_another_is_counted_at_the_first() {
        let gate = Gate::default();
        assert_eq!(opened_over(&gate, true), [Wait::Opened; 3]);
        assert_eq!((gate.passage().waited, gate.passage().pause), (0, Pause::default()));
    }

    #[test]
    fn a_deadline_ends_the_wait_at_a_closed_gate() {
        let gate = Gate::default();
        assert_eq!(gate.wait(Some(Instant::now()), false), Wait::Expired);
        gate.open();
        assert_eq!((gate.passage().waited, gate.passage().expired), (0, 1));
    }

    #[test]
    fn a_gate_that_nobody_waited_at_has_a_pause_of_zero() {
        let gate = Gate::default();
        gate.open();
        assert_eq!(gate.passage().pause, Pause::default());
    }
}
