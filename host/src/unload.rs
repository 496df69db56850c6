//! Unload: drop the plugin, end its threads, close its library, and look whether it is gone.

mod reason;

use std::sync::{Arc, mpsc};
use std::time::Duration;

pub(crate) use reason::Reason;

use crate::error::{Code, Trouble, of_pinned};
use crate::ffi::{self, Closed};
use crate::kernel::generation::Generation;
use crate::kernel::lane::Lane;
use crate::kernel::patience::look_until;
use crate::kernel::view::{Cause, Pinned};
use crate::kernel::{callers, lease};
use crate::os::{self, Moment};
use crate::stage::{Object, Staged};
use crate::verify::Mark;

/// Between two looks for threads: one of the host's own that begins or ends just then is seen in one of them at most, and
/// who ran in the one may wait in the other.
const PAUSE: Duration = Duration::from_millis(5);
const LOOKS: usize = 3;

/// What became of a generation's library.
#[derive(Debug)]
pub(crate) enum Unloaded {
    /// Its mapping is gone: this was looked at.
    Gone,
    /// It is still there, or nobody can tell.
    Pinned(Box<Remains>),
}

/// A library that is still mapped.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) pinned: Pinned,
    /// What kind of trouble holds it.
    pub(crate) code: Code,
    /// What to look for, whether it has gone since. Held for as long: who debugs finds its code by it.
    pub(crate) object: Object,
    pub(crate) load: u64,
    /// Where it is told what became of it, as long as somebody waits to unload it.
    pub(crate) later: Option<mpsc::Receiver<Unloaded>>,
    /// Whether it is known to be there, and so counts: what nobody can see must not stop what goes on.
    pub(crate) is_seen: bool,
    /// Whether the system's loader is still at it: whoever asked for more would wait as well.
    pub(crate) is_loading: bool,
}

impl Unloaded {
    /// Why it stays.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::Gone => None,
            Self::Pinned(remains) => Some(Trouble::new(remains.code, remains.pinned.reason.clone())),
        }
    }
}

impl Remains {
    /// Of a library that may stay.
    pub(crate) fn of(staged: &Staged, generation: u64, load: u64) -> Self {
        let pinned = Pinned {
            generation,
            version: staged.manifest.version.clone(),
            reason: String::new(),
            code: None,
            bytes: staged.bytes,
            cause: Cause::Unknown,
            holders: Vec::new(),
        };
        let code = Code::StaysUnexplained;
        Self {
            pinned,
            code,
            object: staged.object.clone(),
            load,
            later: None,
            is_seen: false,
            is_loading: false,
        }
    }

    /// Whether it was closed, and nobody is at it any more: neither who waits to unload it nor the system's loader.
    pub(crate) fn is_closed(&self) -> bool {
        self.later.is_none() && !self.is_loading
    }

    /// It stays, and this is why.
    pub(crate) fn because(mut self, reason: &Reason) -> Unloaded {
        self.pinned.reason = reason.to_string();
        self.code = of_pinned(reason);
        self.pinned.code = Some(self.code.to_string());
        self.pinned.cause = reason.cause();
        self.pinned.holders = reason.holders();
        self.is_seen = !matches!(reason, Reason::Unseen(_));
        self.is_loading = matches!(reason, Reason::CreateHangs { .. } | Reason::Busy { .. });
        Unloaded::Pinned(Box::new(self))
    }
}

/// Ends a drained generation. `lanes` are those of the others: such as went into it are renewed, since what it keeps per
/// thread lives on theirs.
pub(crate) fn unload(generation: Arc<Generation>, lanes: &[Arc<Lane>], deadline: Duration) -> Unloaded {
    generation.staged.forget_read();
    let (load, began, mark) = (generation.load, generation.began, generation.staged.mark);
    let remains = Remains::of(&generation.staged, generation.number, load);
    let object = remains.object.clone();
    let reason = match close(generation, lanes, deadline) {
        Ok(Closed::Unmapped) => {
            callers::forget(load);
            return Unloaded::Gone;
        }
        Ok(Closed::Mapped) => mark.map_or_else(|| held_by(&object, load, began), Reason::Marked),
        Ok(Closed::Unknown(error)) => Reason::Unseen(error),
        Ok(Closed::Busy) => Reason::Busy { deadline },
        Err(reason) => reason,
    };
    remains.because(&reason)
}

/// What became of a library that was closed because its plugin was not created. Thread-locals of it on its lane may have held
/// it until the lane ended.
pub(crate) fn uncreated(remains: Remains, mark: Option<Mark>, began: Moment, deadline: Duration) -> Unloaded {
    let (object, load) = (remains.object.clone(), remains.load);
    let reason = match ffi::release_within(&object, deadline) {
        Closed::Unmapped => {
            callers::forget(load);
            return Unloaded::Gone;
        }
        Closed::Mapped => mark.map_or_else(|| held_by(&object, load, began), Reason::Marked),
        Closed::Unknown(error) => Reason::Unseen(error),
        Closed::Busy => Reason::Busy { deadline },
    };
    remains.because(&reason)
}

/// The threads that hold a library which was closed and is still there, as far as that can be told.
fn held_by(object: &Object, load: u64, began: Moment) -> Reason {
    let called = callers::of(load);
    let mut strangers = os::strangers_since(began).unwrap_or_default();
    // Who called it is named as such.
    strangers.retain(|thread| !called.iter().any(|caller| caller.id == thread.id));
    let (mut runs, mut unknown) = (Vec::new(), strangers);
    for _ in 0..LOOKS {
        if unknown.is_empty() {
            break;
        }
        std::thread::park_timeout(PAUSE);
        let there = os::strangers_since(began).unwrap_or_default();
        unknown.retain(|thread| {
            let inside = os::is_inside(thread.id, object.name()).filter(|_| there.contains(thread));
            if inside == Some(true) {
                runs.push(thread.clone());
            }
            // One that is outside began while this one was loaded, and is another's.
            inside.is_none() && there.contains(thread)
        });
    }
    let began = if runs.is_empty() { unknown } else { Vec::new() };
    if runs.is_empty() && began.is_empty() && called.is_empty() {
        return Reason::Unexplained;
    }
    Reason::Threads { runs, began, called }
}

fn close(generation: Arc<Generation>, lanes: &[Arc<Lane>], deadline: Duration) -> Result<Closed, Reason> {
    let generation = sole(generation, deadline).ok_or(Reason::Callback)?;
    let Generation { load, lane, mut plugin, staged, .. } = generation;
    let dropped = lane.run(deadline, move || {
        let answer = plugin.destroy();
        (plugin, answer)
    });
    let Ok((plugin, answer)) = dropped else { return Err(Reason::Destroy) };
    if let Err((_, text)) = answer {
        tracing::warn!(plugin = staged.manifest.name, error = text, "dropping the plugin's value failed");
    }
    if ffi::held_up(deadline).is_some() {
        // The plugin is leaked: no thread that would close anything begins or ends now, and it is not this one's doing.
        return Ok(Closed::Busy);
    }
    let threads = lane.close(deadline);
    if threads > 0 {
        // The plugin is leaked: code of its library runs.
        return Err(Reason::Lane { threads });
    }
    if !os::threads_have_begun(deadline) {
        // The plugin is leaked: a thread that it just started may be about to wake up in its code.
        return Err(Reason::Unborn);
    }
    let others = lanes.iter().filter(|lane| lane.has_entered(load));
    let held = others.filter(|lane| !lane.renew(deadline)).count();
    match plugin.close(deadline) {
        Closed::Mapped if held > 0 => Err(Reason::OtherService),
        closed => Ok(closed),
    }
}

/// The generation, once nobody else holds it: callbacks that were given up may still do.
fn sole(generation: Arc<Generation>, deadline: Duration) -> Option<Generation> {
    let mut shared = Some(generation);
    let (first, longest) = (Duration::from_micros(10), Duration::from_millis(1));
    let sole = look_until(deadline, first, longest, || match Arc::try_unwrap(shared.take()?) {
        Ok(generation) => Some(generation),
        Err(still) => {
            shared = Some(still);
            // A state that was replaced while calls were inside holds it, too.
            lease::sweep();
            None
        }
    });
    // Not dropped when the last callback returns: its thread would be inside the library that it closes.
    std::mem::forget(shared);
    sole
}
