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

impl Done {
    /// What is left of a callback's deadline for what belongs to it.
    pub(super) fn left_of(&self, deadline: Duration, callback: &str) -> Duration {
        let took = self.times.iter().filter(|(name, _)| *name == callback).map(|(_, took)| *took);
        deadline.saturating_sub(took.sum())
    }
}

/// A callback of a plugin's.
#[derive(Debug, Clone, Copy)]
enum Callback {
    Pause,
    Export,
    Import,
    Stop,
    Start,
}

impl Callback {
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
    at: Option<(Callback, Instant)>,
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
    // The new one's.
    load: u64,
}

/// Runs the steps as far as they go well; all of `ready`'s memory is used for it.
pub(super) fn run(swap: &Swap<'_>, new: &Arc<Generation>, ready: &mut Ready, stages: &mut Stages) -> Done {
    let first = Some((Callback::Pause, Instant::now()));
    let relay = Arc::new(Relay(Mutex::new(Inside { at: first, given_up: false, done: Done::default() })));
    let baton = Baton {
        old: Arc::downgrade(swap.old),
        new: Arc::downgrade(new),
        snapshots: Arc::clone(swap.snapshots),
        keys: swap.snapshots.keys(),
        room: std::mem::take(&mut ready.room),
        schema: ready.schema,
        max: swap.max_state,
        load: new.load,
    };
    let runs = Arc::clone(&relay);
    let job = move || _ = runs.run(baton);
    // Where it cannot be run, the first callback will say so.
    let Ok(begun) = swap.old.lane.begin(job, drop) else { return Done::default() };
    let mut patience = swap.callback;
    loop {
        match begun.ends_within(patience) {
            Ok(()) => break,
            Err(RecvTimeoutError::Timeout) => match relay.patience(swap.callback) {
                Ok(left) => patience = left,
                Err(Callback::Import | Callback::Start) => break begun.give_up_to(&new.lane),
                Err(Callback::Pause | Callback::Export | Callback::Stop) => {
                    let _ = begun.done(Duration::ZERO);
                    break;
                }
            },
            Err(RecvTimeoutError::Disconnected) => {
                relay.lock().end_with(&LaneError::Closed, swap.callback);
                break;
            }
        }
    }
    let done = std::mem::take(&mut relay.lock().done);
    done.times.iter().for_each(|(stage, time)| stages.add(stage, *time));
    done
}

impl Inside {
    /// Nobody waits any more; this is what came of the callback that a plugin is in.
    fn end_with(&mut self, error: &LaneError, deadline: Duration) {
        let Some((callback, since)) = self.at else { return };
        self.given_up = true;
        self.done.times.push((callback.name(), since.elapsed()));
        let (done, error) = (&mut self.done, lane_error(callback.name(), deadline, error));
        match callback {
            Callback::Pause => done.paused = Some(Err(error)),
            Callback::Export => done.sealed = Some(Err(error.into())),
            Callback::Import => done.imported = Some(Err(error.into())),
            Callback::Stop => done.stopped = Some(Err(error)),
            Callback::Start => done.started = Some(Err(error)),
        }
    }
}

impl Relay {
    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much longer to wait; or the callback that took too long, which is given up.
    fn patience(&self, deadline: Duration) -> Result<Duration, Callback> {
        let mut inside = self.lock();
        let Some((callback, since)) = inside.at else { return Ok(deadline) };
        let left = deadline.saturating_sub(since.elapsed());
        if left.is_zero() {
            inside.end_with(&LaneError::TimedOut, deadline);
            return Err(callback);
        }
        Ok(left)
    }

    /// On the lane. `None` where a step was the last one.
    fn run(&self, baton: Baton) -> Option<()> {
        let Baton { old, new, snapshots, keys, mut room, schema, max, load } = baton;
        let pause = |old: &Generation| old.plugin.pause().map_err(|failure| words("pause", failure));
        // It serves on.
        let resume = |old: &Plugin, _| drop(old.resume());
        let paused = self.callback(Callback::Pause, &old, pause, resume)?;
        let is_paused = paused.is_ok();
        self.lock().done.paused = Some(paused);
        is_paused.then_some(())?;

        let plain = std::mem::take(&mut room.plain);
        let export = |old: &Generation| export_here(old, schema, plain, max);
        // What is longer than it was goes another way.
        let exported = self.callback(Callback::Export, &old, export, |_, _| {})?.transpose()?;
        let from = old.upgrade()?;
        let seal = |plain| Capsule::seal(&snapshots, keys, &from, schema, Exported::Held(plain), room);
        let sealed = exported.map_err(Trouble::from).and_then(|plain| self.own("seal", || seal(plain)));
        let service = Arc::clone(&from.name);
        drop((from, snapshots));
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
                // What the new one keeps per thread is on this lane from here on.
                lane::note_entry(load);
                let imported = self.callback(Callback::Import, &new, |new| import(new, &plain), |_, _| {})?;
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
        let stopped = self.callback(Callback::Stop, &old, stop, |_, _| {})?;
        let (stopped, has_threads) = stopped.unwrap_or_else(|error| (Err(error), true));
        self.lock().done.stopped = Some(stopped);
        // Who swaps waits for them.
        (!has_threads).then_some(())?;

        let start = |new: &Generation| new.plugin.start().map_err(|failure| words("start", failure));
        let end = |new: &Plugin, started: Result<(), CallbackError>| {
            if started.is_ok() {
                let _ = new.stop();
            }
        };
        let started = self.callback(Callback::Start, &new, start, end)?;
        self.lock().done.started = Some(started);
        Some(())
    }

    /// Runs a callback of a generation's plugin; `late` mends what came after it was given up, and `None` says so.
    fn callback<T>(
        &self,
        callback: Callback,
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
            inside.at = Some((callback, begun));
        }
        let of = of.upgrade()?;
        let fault = fault::point(callback.name(), &of.name).map_err(|e| (Status::FAILED, e.to_string()));
        let answer = fault.map_err(|failure| words(callback.name(), failure)).and_then(|()| body(&of));
        let mut inside = self.lock();
        if inside.given_up {
            drop(inside);
            late(&of.plugin, answer);
            return None;
        }
        inside.at = None;
        inside.done.times.push((callback.name(), begun.elapsed()));
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
