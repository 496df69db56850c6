//! The alarm: what a generation did wrong tells the loop: calls, messages, ticks, threads. Raising it costs what failed a look at a flag, and
//! what did not nothing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::lane::Job;

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
    late_good: AtomicU64,
    late_faults: AtomicU64,
    // What nobody waits for any more and a thread of the lane is still in.
    hung: Mutex<Vec<Hung>>,
}

#[derive(Debug)]
struct Hung {
    since: Instant,
    job: Weak<dyn Job>,
    // No fresh thread took its place: so many hang.
    is_last: bool,
}

impl Alarm {
    pub(crate) fn new(wake: &Arc<Wake>) -> Self {
        Self { wake: Arc::clone(wake), ..Self::default() }
    }

    /// Something failed by the plugin's doing, by a panic or not.
    pub(crate) fn fault(&self, panicked: bool) {
        if panicked {
            self.panicked.fetch_add(1, Ordering::Relaxed);
        }
        self.raise();
    }

    /// The deadline of a call passed before it had its turn.
    pub(crate) fn expire(&self) {
        self.overdue.fetch_add(1, Ordering::Relaxed);
        self.raise();
    }

    /// A call that was given up brought its answer after all.
    pub(crate) fn come_late(&self, is_good: bool) {
        let late = if is_good { &self.late_good } else { &self.late_faults };
        late.fetch_add(1, Ordering::Relaxed);
    }

    /// The deadline of a call passed, and a thread is in it.
    pub(crate) fn give_up(&self, job: &Arc<dyn Job>) {
        self.overdue.fetch_add(1, Ordering::Relaxed);
        self.hang(job, false);
    }

    /// A thread of the lane is left behind in a job; `is_last` where no fresh one took its place.
    pub(crate) fn hang(&self, job: &Arc<dyn Job>, is_last: bool) {
        self.hung().push(Hung { since: Instant::now(), job: Arc::downgrade(job), is_last });
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

    /// How often it panicked.
    pub(crate) fn panicked(&self) -> u64 {
        self.panicked.load(Ordering::Relaxed)
    }

    /// Calls whose deadline passed, in the mailbox or in a thread.
    pub(crate) fn overdue(&self) -> u64 {
        self.overdue.load(Ordering::Relaxed)
    }

    /// Those of them that were answered behind it, and those that failed then.
    pub(crate) fn late(&self) -> (u64, u64) {
        (self.late_good.load(Ordering::Relaxed), self.late_faults.load(Ordering::Relaxed))
    }

    /// Since when the oldest of the jobs hangs that were given up and have not come back.
    pub(crate) fn hangs_since(&self) -> Option<Instant> {
        self.hung().iter().map(|hung| hung.since).min()
    }

    /// How many jobs have hung for longer than this.
    pub(crate) fn hung_for(&self, long: Duration) -> usize {
        self.hung().iter().filter(|hung| hung.since.elapsed() >= long).count()
    }

    /// Whether so many hang that none is left to bring what comes.
    pub(crate) fn is_stuck(&self) -> bool {
        self.hung().iter().any(|hung| hung.is_last)
    }

    /// Those that have not come back: no more than a lane has threads.
    fn hung(&self) -> MutexGuard<'_, Vec<Hung>> {
        let mut hung = self.hung.lock().unwrap_or_else(PoisonError::into_inner);
        hung.retain(|hung| hung.job.strong_count() > 0);
        hung
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
