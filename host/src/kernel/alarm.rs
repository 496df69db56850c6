//! The alarm: what calls that went wrong tell the loop. Raising it costs a call that failed a look at a flag, and one that did not
//! nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::lane::Job;

/// More calls that hang are not remembered one by one: a lane has fewer threads.
const MOST: usize = 64;

/// Wakes the loop. One per host; without one, as in tests of other things, nobody is woken.
#[derive(Default)]
pub(crate) struct Wake(OnceLock<Box<dyn Fn() + Send + Sync>>);

impl Wake {
    /// Says once who is woken, and how.
    pub(crate) fn by(&self, wake: impl Fn() + Send + Sync + 'static) {
        let _ = self.0.set(Box::new(wake));
    }

    fn wake(&self) {
        if let Some(wake) = self.0.get() {
            wake();
        }
    }
}

impl std::fmt::Debug for Wake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Wake")
    }
}

/// What went wrong in one generation, beside what its tally counts.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    wake: Arc<Wake>,
    raised: AtomicBool,
    panicked: AtomicU64,
    overdue: AtomicU64,
    // Calls that nobody waits for any more and that a thread is still in; since when.
    hung: Mutex<Vec<(Instant, Weak<dyn Job>)>>,
}

impl Alarm {
    pub(crate) fn new(wake: &Arc<Wake>) -> Self {
        Self { wake: Arc::clone(wake), ..Self::default() }
    }

    /// A call failed by the plugin's doing, by a panic or not.
    pub(crate) fn fault(&self, panicked: bool) {
        if panicked {
            self.panicked.fetch_add(1, Ordering::Relaxed);
        }
        self.raise();
    }

    /// The deadline of a call passed, and a thread is in it.
    pub(crate) fn give_up(&self, job: &Arc<dyn Job>) {
        self.overdue.fetch_add(1, Ordering::Relaxed);
        let mut hung = self.hung();
        hung.retain(|(_, job)| job.strong_count() > 0);
        if hung.len() < MOST {
            hung.push((Instant::now(), Arc::downgrade(job)));
        }
        drop(hung);
        self.raise();
    }

    /// Something happened that the loop should look at.
    pub(crate) fn raise(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            self.wake.wake();
        }
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// Looked at from here on.
    pub(crate) fn lower(&self) {
        self.raised.store(false, Ordering::Release);
    }

    /// Calls that panicked.
    pub(crate) fn panicked(&self) -> u64 {
        self.panicked.load(Ordering::Relaxed)
    }

    /// Calls whose deadline passed while a thread was in them.
    pub(crate) fn overdue(&self) -> u64 {
        self.overdue.load(Ordering::Relaxed)
    }

    /// Since when the oldest of the calls hangs that were given up and have not come back.
    pub(crate) fn hangs_since(&self) -> Option<Instant> {
        let mut hung = self.hung();
        hung.retain(|(_, job)| job.strong_count() > 0);
        hung.iter().map(|(since, _)| *since).min()
    }

    /// How many calls have hung for longer than this.
    pub(crate) fn hung_for(&self, long: Duration) -> usize {
        let hung = self.hung();
        hung.iter().filter(|(since, job)| job.strong_count() > 0 && since.elapsed() >= long).count()
    }

    fn hung(&self) -> MutexGuard<'_, Vec<(Instant, Weak<dyn Job>)>> {
        self.hung.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_is_woken_once_until_it_has_looked() {
        let woken = Arc::new(AtomicU64::new(0));
        let (wake, count) = (Arc::new(Wake::default()), Arc::clone(&woken));
        wake.by(move || _ = count.fetch_add(1, Ordering::Relaxed));
        let alarm = Alarm::new(&wake);
        alarm.fault(true);
        alarm.fault(false);
        assert_eq!((woken.load(Ordering::Relaxed), alarm.panicked()), (1, 1));
        alarm.lower();
        alarm.fault(false);
        assert_eq!(woken.load(Ordering::Relaxed), 2);
    }
}
