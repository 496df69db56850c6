//! Who is at the system's loader. It serves one at a time, and a plugin's initialiser or destructor that hangs keeps it for
//! ever: then it has to be said whose that is.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::stage::Object;

/// Held by whoever has the loader open or close a library, as the loader itself would have it: so it is known who is first.
static TURN: Mutex<()> = Mutex::new(());

static HOLDER: Mutex<Option<Holder>> = Mutex::new(None);

/// What somebody has the loader do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    Map,
    Unmap,
}

/// Who is at the loader.
#[derive(Debug, Clone)]
pub(crate) struct Holder {
    /// What is being mapped or unmapped.
    pub(crate) object: Object,
    pub(crate) doing: Doing,
    pub(crate) since: Instant,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (service, seconds) = (self.object.service(), self.since.elapsed().as_secs());
        let what = match self.doing {
            Doing::Map => "an initialiser of it hangs, since the library was mapped",
            Doing::Unmap => "a destructor of it hangs, since the library was closed",
        };
        write!(
            f,
            "plugin `{service}` keeps the system's loader for itself ({what} {seconds} s ago): no other can be loaded or \
             unloaded; what runs goes on; take its file away and restart the host"
        )
    }
}

/// A turn at the loader.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "it is held")] MutexGuard<'static, ()>);

/// Waits for a turn. It may never come: to be called by threads that nobody waits for without a deadline.
pub(super) fn turn(object: &Object, doing: Doing) -> Turn {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    *holder() = Some(Holder { object: object.clone(), doing, since: Instant::now() });
    Turn(turn)
}

impl Drop for Turn {
    fn drop(&mut self) {
        *holder() = None;
    }
}

/// Who has been at the loader for longer than that.
pub(crate) fn held_up(longer_than: Duration) -> Option<Holder> {
    holder().clone().filter(|holder| holder.since.elapsed() >= longer_than)
}

fn holder() -> MutexGuard<'static, Option<Holder>> {
    HOLDER.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_at_the_loader_is_known_until_the_turn_ends() {
        let object = Object::named("slow", std::path::Path::new("slow-0-1.so"));
        let is_it = |holder: Option<Holder>| holder.is_some_and(|holder| holder.object.is(&object));
        let turn = turn(&object, Doing::Map);
        assert!(is_it(held_up(Duration::ZERO)));
        assert!(!is_it(held_up(Duration::from_secs(3600))));
        drop(turn);
        assert!(!is_it(held_up(Duration::ZERO)));
    }
}
