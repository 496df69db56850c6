//! The relay: from pause to start in one go, on one thread of the lane that the old generation leaves. From lane to lane and back for
//! each step takes longer than a small state takes to go over, and callers wait for all of it.
//!
//! Who swaps waits meanwhile, for each callback no longer than its deadline, and goes on by itself from where the relay came to.

use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Status;
use hotbay_state::KeyRing;

use super::carry::{Capsule, Room};
use super::ready::Ready;
use super::{Stages, Swap, guarded};
use crate::error::Trouble;
use crate::fault;
use crate::ffi::{Plugin, Source};
use crate::kernel::generation::Generation;
use crate::kernel::lane::{self, LaneError};
use crate::kernel::snapshots::Snapshots;
use crate::start::{CallbackError, Exported, Incoming, Plain, export_here, lane_error, words};

/// What came of the steps that were taken. `None` of one that was not.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) paused: Option<Result<(), CallbackError>>,
    /// Exported as well.
    pub(super) sealed: Option<Result<Capsule, Trouble>>,
    /// The memory that the state was in comes back.
    pub(super) imported: Option<Result<Plain, Trouble>>,
    pub(super) stopped: Option<Result<(), CallbackError>>,
    pub(super) started: Option<Result<(), CallbackError>>,
    times: Vec<(&'static str, Duration)>,
}

/// A callback of a plugin's.
#[derive(Debug, Clone, Copy)]
enum Step {
    Pause,
    Export,
    Import,
    Stop,
    Start,
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Export => "export",
            Self::Import => "import",
            Self::Stop => "stop",
            Self::Start => "start",
        }
    }
}

#[derive(Debug)]
struct Relay(Mutex<Inside>);

#[derive(Debug)]
struct Inside {
    /// The callback that a plugin is in, or is to be in first, and since when. None is while the host does something of its own.
    at: Option<(Step, Instant)>,
    /// Nobody waits any more.
    given_up: bool,
    done: Done,
}

/// What is carried along. A generation is held while a callback of its own runs, and not beside another's: one that hangs there keeps
/// nobody else from being unloaded.
struct Baton {
    old: Weak<Generation>,
    new: Weak<Generation>,
    snapshots: Arc<Snapshots>,
    keys: Arc<KeyRing>,
    room: Room,
    schema: u32,
    max: u64,
}

/// Runs the steps as far as they go well; all of `ready`'s memory is used for it.
pub(super) fn run(swap: &Swap<'_>, new: &Arc<Generation>, ready: &mut Ready, stages: &mut Stages) -> Done {
    let first = Some((Step::Pause, Instant::now()));
    let relay = Arc::new(Relay(Mutex::new(Inside { at: first, given_up: false, done: Done::default() })));
    let baton = Baton {
        old: Arc::downgrade(swap.old),
        new: Arc::downgrade(new),
        snapshots: Arc::clone(swap.snapshots),
        keys: swap.snapshots.keys(),
        room: std::mem::take(&mut ready.room),
        schema: ready.schema,
        max: swap.max_state,
    };
    let (runs, load) = (Arc::clone(&relay), new.load);
    let job = move || {
        // What the new one keeps per thread is on this lane's from here on.
        lane::note_entry(load);
        runs.run(baton);
    };
    // Where it cannot be run, the first callback will say so.
    let Ok(begun) = swap.old.lane.begin(job, drop) else { return Done::default() };
    let mut patience = swap.callback;
    loop {
        match begun.ends_within(patience) {
            Ok(()) => break,
            Err(RecvTimeoutError::Timeout) => match relay.patience(swap.callback) {
                Ok(left) => patience = left,
                // A thread that is inside the new one is the new one's.
                Err(Step::Import | Step::Start) => break begun.give_up(&new.lane),
                Err(Step::Pause | Step::Export | Step::Stop) => break begun.give_up(&swap.old.lane),
            },
            Err(RecvTimeoutError::Disconnected) => {
                relay.lock().end_with(&LaneError::Closed, swap.callback);
                break;
            }
        }
    }
    let mut done = std::mem::take(&mut relay.lock().done);
    done.times.drain(..).for_each(|(stage, time)| stages.add(stage, time));
    done
}

impl Inside {
    /// Nobody waits any more; this is what came of the callback that a plugin is in.
    fn end_with(&mut self, error: &LaneError, deadline: Duration) {
        let Some((step, _)) = self.at else { return };
        self.given_up = true;
        let (done, error) = (&mut self.done, lane_error(step.name(), deadline, error));
        match step {
            Step::Pause => done.paused = Some(Err(error)),
            Step::Export => done.sealed = Some(Err(error.into())),
            Step::Import => done.imported = Some(Err(error.into())),
            Step::Stop => done.stopped = Some(Err(error)),
            Step::Start => done.started = Some(Err(error)),
        }
    }
}

impl Relay {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much longer to wait; or the callback that took too long, which is given up.
    fn patience(&self, deadline: Duration) -> Result<Duration, Step> {
        let mut inside = self.lock();
        let Some((step, since)) = inside.at else { return Ok(deadline) };
        let left = deadline.saturating_sub(since.elapsed());
        if left.is_zero() {
            inside.end_with(&LaneError::TimedOut, deadline);
            return Err(step);
        }
        Ok(left)
    }

    /// On the lane. `None` where a step was the last one.
    fn run(&self, baton: Baton) -> Option<()> {
        let Baton { old, new, snapshots, keys, mut room, schema, max } = baton;
        let pause = |old: &Generation| old.plugin.pause().map_err(|failure| words("pause", failure));
        // It serves on.
        let resume = |old: &Plugin, _| drop(old.resume());
        let paused = self.callback(Step::Pause, &old, pause, resume)?;
        let is_paused = paused.is_ok();
        self.lock().done.paused = Some(paused);
        is_paused.then_some(())?;

        let plain = std::mem::take(&mut room.plain);
        let export = |old: &Generation| export_here(old, schema, plain, max);
        // What is longer than it was goes another way.
        let exported = self.callback(Step::Export, &old, export, |_, _| {})?.transpose()?;
        let from = old.upgrade()?;
        let seal = |plain| Capsule::seal(&snapshots, keys, &from, schema, Exported::Held(plain), room);
        let sealed = exported.map_err(Trouble::from).and_then(|plain| self.own("seal", || seal(plain)));
        let service = Arc::clone(&from.name);
        drop(from);
        let (capsule, again) = match sealed {
            Ok(sealed) => sealed,
            Err(why) => {
                self.lock().done.sealed = Some(Err(why));
                return None;
            }
        };
        let state = self.own("import", || Ok(capsule.open(&service, again)?));
        self.lock().done.sealed = Some(Ok(capsule));

        let import = |new: &Generation, plain: &Plain| {
            let imported = new.plugin.import(schema, Source::Bytes(plain));
            imported.map_err(|failure| words("import", failure))
        };
        let imported = match state {
            Ok(Incoming::Held(plain)) => {
                let imported = self.callback(Step::Import, &new, |new| import(new, &plain), |_, _| {})?;
                imported.map(|()| plain).map_err(Trouble::from)
            }
            Ok(Incoming::Opened(..)) => return None,
            Err(why) => Err(why),
        };
        let is_imported = imported.is_ok();
        self.lock().done.imported = Some(imported);
        is_imported.then_some(())?;

        let stop = |old: &Generation| {
            let stopped = old.plugin.stop().map_err(|failure| words("stop", failure));
            Ok((stopped, old.plugin.has_threads()))
        };
        let (stopped, has_threads) = match self.callback(Step::Stop, &old, stop, |_, _| {})? {
            Ok((stopped, has_threads)) => (stopped, has_threads),
            Err(error) => (Err(error), true),
        };
        self.lock().done.stopped = Some(stopped);
        // Who swaps waits for them.
        (!has_threads).then_some(())?;

        let start = |new: &Generation| new.plugin.start().map_err(|failure| words("start", failure));
        let end = |new: &Plugin, started: Result<(), CallbackError>| {
            if started.is_ok() {
                let _ = new.stop();
            }
        };
        let started = self.callback(Step::Start, &new, start, end)?;
        self.lock().done.started = Some(started);
        Some(())
    }

    /// Runs a callback of a generation's plugin; `late` mends what came after it was given up, and `None` says so.
    fn callback<T>(
        &self,
        step: Step,
        of: &Weak<Generation>,
        body: impl FnOnce(&Generation) -> Result<T, CallbackError>,
        late: impl FnOnce(&Plugin, Result<T, CallbackError>),
    ) -> Option<Result<T, CallbackError>> {
        let begun = Instant::now();
        {
            let mut inside = self.lock();
            if inside.given_up {
                return None;
            }
            inside.at = Some((step, begun));
        }
        let of = of.upgrade()?;
        let fault = fault::point(step.name(), &of.name).map_err(|e| (Status::FAILED, e.to_string()));
        let answer = fault.map_err(|failure| words(step.name(), failure)).and_then(|()| body(&of));
        let mut inside = self.lock();
        if inside.given_up {
            drop(inside);
            late(&of.plugin, answer);
            return None;
        }
        inside.at = None;
        inside.done.times.push((step.name(), begun.elapsed()));
        Some(answer)
    }

    /// Runs a step of the host's own.
    fn own<T>(&self, stage: &'static str, body: impl FnOnce() -> Result<T, Trouble>) -> Result<T, Trouble> {
        let begun = Instant::now();
        let done = guarded(stage, body);
        self.lock().done.times.push((stage, begun.elapsed()));
        done
    }
}

#[cfg(test)]
mod tests;
