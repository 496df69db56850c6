//! A tick of a timer: a job of a lane. It goes in as a message does; one that does not end is left behind with its thread.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::clock::{At, Clock};
use super::timers::Timers;
use crate::kernel::alarm::Alarm;
use crate::kernel::lane::{GivenUp, Job, Lane, Life};
use crate::kernel::slot::Slot;

pub(super) struct Tick {
    life: Life,
    timers: Arc<Timers>,
    slot: Arc<Slot>,
    load: u64,
    number: u64,
    // The clock's look whether it has ended.
    watch: Mutex<Option<At>>,
}

impl Tick {
    pub(super) fn new(timers: Arc<Timers>, slot: Arc<Slot>, load: u64, number: u64) -> Arc<Self> {
        Arc::new(Self { life: Life::default(), timers, slot, load, number, watch: Mutex::default() })
    }

    /// Has the clock look after it, before it is posted.
    pub(super) fn watch(self: &Arc<Self>, clock: &Clock, lane: &Arc<Lane>, alarm: &Arc<Alarm>) {
        let (tick, lane, deadline) = (Arc::downgrade(self), Arc::downgrade(lane), clock.deadline());
        let alarm = Arc::clone(alarm);
        let look = move || look(&tick, &lane, &alarm, deadline);
        let watch = Instant::now().checked_add(deadline).and_then(|at| clock.set(at, Box::new(look)).ok());
        *self.watch.lock().unwrap_or_else(PoisonError::into_inner) = watch;
    }
}

/// It should have ended by now. One that waits is behind calls that take long, which have deadlines of their own.
fn look(tick: &Weak<Tick>, lane: &Weak<Lane>, alarm: &Alarm, deadline: Duration) {
    let (Some(tick), Some(lane)) = (tick.upgrade(), lane.upgrade()) else { return };
    let job: Arc<dyn Job> = Arc::clone(&tick) as _;
    match tick.life.give_up() {
        GivenUp::Begun { seat } => {
            tracing::warn!(
                plugin = %tick.timers.plugin(),
                "a tick of a timer did not end within {} ms; its thread is left behind",
                deadline.as_millis()
            );
            let is_last = !lane.take_over(seat);
            alarm.hang(&job, is_last);
        }
        GivenUp::Waiting => {
            lane.withdraw(&job);
            tick.timers.put_off(tick.number);
        }
        GivenUp::Done => {}
    }
}

impl Job for Tick {
    fn life(&self) -> &Life {
        &self.life
    }

    fn work(&self) {
        let inside = self.slot.enter_unasked(|generation| {
            let serves = generation.load == self.load;
            if serves {
                self.timers.tick(self.number);
            }
            serves
        });
        // A gate is closed, or it does not serve yet, or no more: when it stops, the timer ends.
        if inside != Some(true) {
            self.timers.put_off(self.number);
        }
    }

    fn deliver(&self) {
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(clock), Some(watch)) = (self.timers.clock(), watch) {
            clock.unset(watch);
        }
        let _ = self.life.end();
    }
}
