//! Unload: drop the plugin, end its threads, close its library, and look whether it is gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::ffi::Closed;
use crate::kernel::generation::Generation;
use crate::kernel::lane::Lane;
use crate::kernel::view::Pinned;

/// What became of a generation's library.
#[derive(Debug)]
pub(crate) enum Unloaded {
    /// Its mapping is gone: this was looked at.
    Gone,
    /// It is still there, or nobody can tell.
    Pinned(Remains),
}

/// A library that is still mapped.
#[derive(Debug)]
pub(crate) struct Remains {
    pub(crate) pinned: Pinned,
    /// Where to look whether it has gone since.
    pub(crate) path: PathBuf,
}

impl Unloaded {
    pub(crate) fn reason(&self) -> Option<String> {
        match self {
            Self::Gone => None,
            Self::Pinned(remains) => Some(remains.pinned.reason.clone()),
        }
    }
}

/// Ends a drained generation. `lanes` are those of the others: such as called it are renewed, since what it keeps per
/// thread lives on theirs.
pub(crate) fn unload(generation: Arc<Generation>, lanes: &[Arc<Lane>], deadline: Duration) -> Unloaded {
    let pinned = Pinned {
        generation: generation.number,
        version: generation.manifest().version.clone(),
        reason: String::new(),
        bytes: generation.staged.bytes,
    };
    let path = generation.staged.path.clone();
    let called_inline = generation.called_inline.load(Ordering::Relaxed);
    match close(generation, lanes, deadline) {
        Ok(Closed::Unmapped) => Unloaded::Gone,
        Ok(Closed::Mapped) => {
            let reason = if called_inline {
                "a thread of the host that called it inline still holds a thread-local of it; it goes when that thread ends"
            } else {
                "it left a thread running, or a thread-local on one: join its threads in `stop`"
            };
            Unloaded::Pinned(Remains { pinned: Pinned { reason: reason.to_owned(), ..pinned }, path })
        }
        Ok(Closed::Unknown(e)) => {
            let reason = format!("it was closed, and whether it is gone cannot be seen: {e}");
            Unloaded::Pinned(Remains { pinned: Pinned { reason, ..pinned }, path })
        }
        Err(reason) => Unloaded::Pinned(Remains { pinned: Pinned { reason, ..pinned }, path }),
    }
}

fn close(generation: Arc<Generation>, lanes: &[Arc<Lane>], deadline: Duration) -> Result<Closed, String> {
    let Some(generation) = sole(generation, deadline) else {
        return Err("one of its callbacks has not returned".to_owned());
    };
    let Generation { load, lane, mut plugin, staged, .. } = generation;
    let dropped = lane.run(deadline, move || {
        let answer = plugin.destroy();
        (plugin, answer)
    });
    let Ok((plugin, answer)) = dropped else {
        return Err("dropping its value did not end".to_owned());
    };
    if let Err((_, text)) = answer {
        tracing::warn!(plugin = staged.manifest.name, error = text, "dropping the plugin's value failed");
    }
    let stuck = lane.close(deadline);
    if stuck > 0 {
        // Its library must stay: code of it runs.
        std::mem::forget(plugin);
        return Err(format!("{stuck} of its threads is still inside: a callback or call hangs"));
    }
    for other in lanes.iter().filter(|lane| lane.has_entered(load)) {
        // Where that fails, what is seen below says so.
        other.renew(deadline);
    }
    Ok(plugin.close())
}

/// The generation, once nobody else holds it: callbacks that were given up may still do.
fn sole(mut generation: Arc<Generation>, deadline: Duration) -> Option<Generation> {
    let begun = Instant::now();
    let mut step = Duration::from_micros(10);
    loop {
        match Arc::try_unwrap(generation) {
            Ok(generation) => return Some(generation),
            Err(shared) => generation = shared,
        }
        if begun.elapsed() >= deadline {
            // Not dropped when the last callback returns: its thread would be inside the library that it closes.
            std::mem::forget(generation);
            return None;
        }
        std::thread::park_timeout(step);
        step = (step * 2).min(Duration::from_millis(1));
    }
}
