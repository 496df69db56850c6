//! The timers of one generation: what is called or published later. They tick on its lane, with a lease of it like a message, and
//! all end when it stops.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Status;

use super::Ends;
use super::clock::{At, Clock};
use super::tick::Tick;
use crate::bus::{Headers, Manner, Outgoing, Pattern};
use crate::ffi::{Answer, Services, TickBody};
use crate::kernel::alarm::Alarm;
use crate::kernel::lane::{Job, Lane};

/// A plugin that sets timers without end must not eat the host's memory.
const MOST: usize = 1024;
/// Shorter ones would keep the lane from all else.
const SHORTEST: Duration = Duration::from_millis(1);
/// Until a tick is tried again whose generation does not serve just now: a gate is closed for less.
pub(super) const SOON: Duration = Duration::from_millis(5);

/// The timers of one generation.
pub(crate) struct Timers {
    plugin: Arc<str>,
    generation: u64,
    services: Arc<dyn Services>,
    // Where they tick: a probe has none, and they never do.
    place: OnceLock<Place>,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Place {
    load: u64,
    lane: Weak<Lane>,
    alarm: Arc<Alarm>,
}

#[derive(Default)]
struct Inside {
    open: bool,
    count: u64,
    timers: BTreeMap<u64, Timer>,
    ends: Ends,
}

struct Timer {
    // None while it ticks.
    what: Option<What>,
    due: Instant,
    every: Option<Duration>,
    // What the clock knows it by while it waits.
    key: Option<At>,
}

/// What is done at a tick.
pub(crate) enum What {
    /// The plugin's own.
    Call(TickBody),
    /// A message is published.
    Publish { topic: Box<str>, headers: Headers, payload: Box<[u8]>, manner: Manner },
}

/// A timer that cannot be had.
type Refused = (Status, String);

impl Timers {
    pub(crate) fn new(plugin: &Arc<str>, generation: u64, services: &Arc<dyn Services>) -> Arc<Self> {
        Arc::new(Self {
            plugin: Arc::clone(plugin),
            generation,
            services: Arc::clone(services),
            place: OnceLock::new(),
            inside: Mutex::default(),
        })
    }

    /// They tick on this lane, while the generation of this load serves, and tell this alarm what goes wrong.
    pub(crate) fn tick_on(&self, lane: &Arc<Lane>, load: u64, alarm: &Arc<Alarm>) {
        let _ = self.place.set(Place { load, lane: Arc::downgrade(lane), alarm: Arc::clone(alarm) });
    }

    /// From here on timers may be set.
    pub(crate) fn open(&self) {
        self.inside().open = true;
    }

    /// No more are set, and those there are end. On a lane: what they have of the plugin is given back here.
    pub(crate) fn close(&self) {
        let mut inside = self.inside();
        inside.open = false;
        let timers = std::mem::take(&mut inside.timers);
        drop(inside);
        timers.into_values().for_each(|timer| self.end(timer));
    }

    /// Sets a timer. Where this fails, `what` is given back to nobody. It does not panic once the timer is set.
    pub(crate) fn set(
        self: &Arc<Self>,
        after: Duration,
        every: Option<Duration>,
        what: What,
    ) -> Result<u64, Refused> {
        let refused = |why: &str| Err((Status::REFUSED, format!("set a timer: {why}")));
        if every.is_some_and(|every| every < SHORTEST) {
            return refused("1 ms is the shortest period");
        }
        if let What::Publish { topic, .. } = &what {
            match Pattern::parse(topic) {
                Ok(pattern) if pattern.is_topic() => {}
                Ok(_) => return refused(&format!("`{topic}` is a pattern, and messages go to topics")),
                Err(error) => return Err((Status::FAILED, error.to_string())),
            }
        }
        let Some(due) = Instant::now().checked_add(after) else { return refused("that is never") };
        let mut inside = self.inside();
        if !inside.open {
            return refused("the plugin is not started, or is being stopped");
        }
        if inside.timers.len() >= MOST {
            return refused(&format!("the plugin has {MOST} timers, which is the most; cancel some"));
        }
        inside.count += 1;
        let number = inside.count;
        let key = self.wait(number, due).map_err(|e| (Status::FAILED, format!("set a timer: {e}")))?;
        inside.timers.insert(number, Timer { what: Some(what), due, every, key });
        Ok(number)
    }

    /// Ends a timer; whether there was one. On a thread of the plugin's: what it has of the plugin is given back here, unless it ticks
    /// just now; then that is done behind the tick.
    pub(crate) fn cancel(&self, number: u64) -> bool {
        let timer = self.inside().timers.remove(&number);
        let was_there = timer.is_some();
        timer.into_iter().for_each(|timer| self.end(timer));
        was_there
    }

    /// Its time has come: its tick gets a turn on the lane. On the clock's thread.
    fn due(self: &Arc<Self>, number: u64) {
        match self.inside().timers.get_mut(&number) {
            Some(timer) => timer.key = None,
            None => return,
        }
        let Some((place, lane)) = self.lane() else { return };
        let Ok(slot) = self.services.slot(&self.plugin) else { return };
        let tick = Tick::new(Arc::clone(self), slot, place.load, number);
        let Some(clock) = self.services.clock() else { return };
        tick.watch(clock, &lane, &place.alarm);
        // A lane that is closed belongs to a generation that is gone, and its timers with it.
        let _ = lane.post(tick as Arc<dyn Job>);
    }

    /// It cannot tick just now.
    pub(super) fn put_off(self: &Arc<Self>, number: u64) {
        self.again(number, Instant::now() + SOON);
    }

    fn again(self: &Arc<Self>, number: u64, due: Instant) {
        let mut inside = self.inside();
        let Some(timer) = inside.timers.get_mut(&number) else { return };
        timer.due = due;
        // The clock has begun: with the first timer.
        timer.key = self.wait(number, due).ok().flatten();
    }

    /// Ticks, on the lane and inside of the generation.
    pub(super) fn tick(self: &Arc<Self>, number: u64) {
        let what = self.inside().timers.get_mut(&number).and_then(|timer| timer.what.take());
        let Some(what) = what else { return };
        let answer = self.done(&what);
        let failed = self.inside().ends.note(&answer);
        let panicked = matches!(answer, Err((Status::PANICKED, _)));
        if let Some(place) = self.place.get().filter(|_| panicked) {
            place.alarm.fault(true);
        }
        // One that fails each time must not flood the log.
        if let Err((_, error)) = answer
            && failed.is_power_of_two()
        {
            let (plugin, generation) = (&self.plugin, self.generation);
            tracing::warn!(%plugin, generation, error, panicked, failed, "a timer of the plugin failed");
        }
        let mut inside = self.inside();
        let next = inside.timers.get_mut(&number).and_then(|timer| Some((timer.every?, timer)));
        let over = match next {
            Some((every, timer)) => {
                timer.what = Some(what);
                // Ticks that were missed are not made up for.
                let late = timer.due.elapsed().as_nanos() / every.as_nanos().max(1);
                let steps = u32::try_from(late).unwrap_or(u32::MAX).saturating_add(1);
                let due = every.checked_mul(steps).and_then(|step| timer.due.checked_add(step));
                let due = due.unwrap_or_else(|| Instant::now() + every);
                drop(inside);
                self.again(number, due);
                return;
            }
            None => {
                inside.timers.remove(&number);
                what
            }
        };
        drop(inside);
        over.free();
    }

    fn done(&self, what: &What) -> Answer {
        match what {
            What::Call(body) => body.tick(),
            What::Publish { topic, headers, payload, manner } => {
                let Some(bus) = self.services.bus() else { return Ok(()) };
                let outgoing = Outgoing { payload, headers: headers.clone(), cause: None };
                let published = bus.publish(&self.plugin, topic, outgoing, *manner);
                published.map(drop).map_err(|error| (Status::FAILED, error.to_string()))
            }
        }
    }

    /// How many there are, and how many ticks did not end well.
    pub(crate) fn view(&self) -> (u64, Ends) {
        let inside = self.inside();
        (inside.timers.len() as u64, inside.ends)
    }

    pub(super) fn plugin(&self) -> &Arc<str> {
        &self.plugin
    }

    pub(super) fn clock(&self) -> Option<&Clock> {
        self.services.clock()
    }

    /// Has the clock wait for it; nothing where there is none.
    fn wait(self: &Arc<Self>, number: u64, due: Instant) -> std::io::Result<Option<At>> {
        let Some(clock) = self.services.clock() else { return Ok(None) };
        let timers = Arc::downgrade(self);
        let due_now = move || {
            if let Some(timers) = timers.upgrade() {
                timers.due(number);
            }
        };
        clock.set(due, Box::new(due_now)).map(Some)
    }

    fn end(&self, timer: Timer) {
        if let (Some(clock), Some(key)) = (self.services.clock(), timer.key) {
            clock.unset(key);
        }
        // None: it ticks, and who ticks sees to it.
        timer.what.into_iter().for_each(What::free);
    }

    fn lane(&self) -> Option<(&Place, Arc<Lane>)> {
        let place = self.place.get()?;
        Some((place, place.lane.upgrade()?))
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl What {
    /// Gives back what it has of the plugin. While that is mapped: on its lane, or on a thread of its own.
    fn free(self) {
        if let Self::Call(body) = self {
            body.free();
        }
    }
}

impl std::fmt::Debug for Timers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Timers").field("plugin", &self.plugin).finish_non_exhaustive()
    }
}
