//! Unload: drop the plugin, end its threads, close its library, and look whether it is gone.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::ffi::Closed;
use crate::kernel::generation::Generation;
use crate::kernel::lane::Lane;
use crate::kernel::lease;
use crate::kernel::patience::look_until;
use crate::kernel::view::Pinned;
use crate::os;

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
    /// Where to look whether it has gone since.
    pub(crate) path: PathBuf,
    /// Whether somebody waits to unload it, and will say so.
    pub(crate) retires_later: bool,
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
    let reason = match close(generation, lanes, deadline) {
        Ok(Closed::Unmapped) => return Unloaded::Gone,
        Ok(Closed::Mapped) if called_inline => {
            "a thread of the host that called it inline still holds a thread-local of it; it goes when that thread ends"
                .to_owned()
        }
        Ok(Closed::Mapped) => {
            "it left a thread running, or a thread-local on one: join its threads in `stop`".to_owned()
        }
        Ok(Closed::Unknown(e)) => format!("it was closed, and whether it is gone cannot be seen: {e}"),
        Err(reason) => reason,
    };
    let pinned = Pinned { reason, ..pinned };
    Unloaded::Pinned(Box::new(Remains { pinned, path, retires_later: false }))
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
        // The plugin is leaked: code of its library runs.
        return Err(format!("{stuck} of its threads is still inside: a callback or call hangs"));
    }
    if !os::threads_have_begun(deadline) {
        // The plugin is leaked: a thread that it just started may be about to wake up in its code.
        return Err("a thread that was just started has had no turn yet; it could be the plugin's".to_owned());
    }
    let others = lanes.iter().filter(|lane| lane.has_entered(load));
    let held = others.filter(|lane| !lane.renew(deadline)).count();
    match plugin.close() {
        Closed::Mapped if held > 0 => {
            Err("another service that called it is still inside a call; it goes when that ends".to_owned())
        }
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
