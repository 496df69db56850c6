//! Methods that a thread called by name lately, kept in hand: who calls the same few by their names finds none of them twice.

use std::cell::RefCell;
use std::sync::Arc;

use hotbay_plugin_api::abi::Out;

use super::known::Own;
use super::{Called, inline};
use crate::CallError;
use crate::kernel::slot::Slot;

/// As many are kept, each at the one place that its names lead to.
const PLACES: usize = 16;

/// One that leads to a place that is in use takes it over at so many calls that found it so: two that are called in turn do not
/// take it from each other each time.
const PATIENCE: u32 = 64;

/// Longer names are looked up each time, so that what a thread keeps is small.
const LONGEST: usize = 64;

#[derive(Debug)]
struct Place {
    kept: Option<Kept>,
    missed: u32,
}

/// One method, as the registry was when it had this version.
#[derive(Debug)]
struct Kept {
    version: u64,
    own: Own,
}

thread_local! {
    static LATELY: [RefCell<Place>; PLACES] =
        const { [const { RefCell::new(Place { kept: None, missed: 0 }) }; PLACES] };
}

/// Calls a method of a service, as the registry of this version knows them; `find` asks it.
#[inline]
pub(crate) fn call(
    version: u64,
    names: (&str, &str),
    request: &[u8],
    mut reply: Out<'_>,
    find: impl Fn() -> Result<Arc<Slot>, CallError>,
) -> Called {
    // Where the thread's destructors run already, nothing is kept. The place stays borrowed during the call: one that comes out of it may look, and keeps
    // nothing.
    let known = LATELY.try_with(|lately| {
        let place = lately[place_of(names)].try_borrow().ok()?;
        let kept = place.kept.as_ref().filter(|kept| kept.version == version && kept.is_of(names))?;
        Some(kept.own.call(request, reply.again()))
    });
    match known {
        Ok(Some(called)) => called,
        _ => look_up(version, names, request, reply, &find),
    }
}

#[cold]
#[inline(never)]
fn look_up(
    version: u64,
    names: (&str, &str),
    request: &[u8],
    reply: Out<'_>,
    find: &dyn Fn() -> Result<Arc<Slot>, CallError>,
) -> Called {
    let slot = find()?;
    let _ = LATELY.try_with(|lately| {
        if let Ok(mut place) = lately[place_of(names)].try_borrow_mut() {
            place.keep(version, &slot, names);
        }
    });
    inline(&slot, names.1, request, reply)
}

/// By what tells names apart most cheaply; the same letters lead to the same place, wherever they lie.
#[inline]
fn place_of((service, method): (&str, &str)) -> usize {
    let ends = |name: &str| match name.as_bytes() {
        [first, .., last] => usize::from(*first) + 3 * usize::from(*last),
        short => short.len(),
    };
    (ends(service) + 5 * service.len() + 7 * ends(method) + 11 * method.len()) % PLACES
}

impl Kept {
    #[inline]
    fn is_of(&self, (service, method): (&str, &str)) -> bool {
        self.own.method() == method && **self.own.slot().name() == *service
    }
}

impl Place {
    fn keep(&mut self, version: u64, slot: &Arc<Slot>, names: (&str, &str)) {
        self.missed = self.missed.wrapping_add(1);
        let is_taken = self.kept.as_ref().is_some_and(|kept| !kept.is_of(names));
        if (is_taken && !self.missed.is_multiple_of(PATIENCE)) || names.0.len().max(names.1.len()) > LONGEST {
            return;
        }
        *self = Self { kept: Some(Kept { version, own: Own::new(Arc::clone(slot), names.1) }), missed: 0 };
    }
}

#[cfg(test)]
mod tests;
