//! The registry: which slot a name owns. A name owns one slot, a slot has one name.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hashbrown::HashMap;
use hotbay_plugin_api::abi::{HostHandle, Out};

use super::levels::{Cell, Levels};
use super::slot::{self, Slot};
use crate::CallError;
use crate::bus::Bus;
use crate::call::{Called, named};
use crate::config;
use crate::context::Clock;
use crate::error::nearest_first;
use crate::ffi::Services;

/// Slots by name. Each thread that calls keeps a copy of the map as it last saw it, and takes it anew when it changed: reading
/// shares nothing that is written to.
#[derive(Debug)]
pub(crate) struct Registry {
    // Of all registries of the process, and of all maps that one of them had, no two have the same.
    version: AtomicU64,
    names: Mutex<Names>,
    bus: Arc<Bus>,
    clock: Clock,
    levels: Levels,
}

#[derive(Debug, Default)]
struct Names {
    slots: Slots,
    // Names that are not registered now, whose slots somebody still has a handle of.
    forgotten: BTreeMap<Arc<str>, Weak<Slot>>,
}

type Slots = HashMap<Arc<str>, Arc<Slot>>;

struct Seen {
    version: u64,
    slots: Rc<Slots>,
}

thread_local! {
    static SEEN: RefCell<Option<Seen>> = const { RefCell::new(None) };
}

fn next_version() -> u64 {
    static VERSIONS: AtomicU64 = AtomicU64::new(1);
    VERSIONS.fetch_add(1, Ordering::Relaxed)
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            version: AtomicU64::new(next_version()),
            names: Mutex::default(),
            bus: Arc::default(),
            clock: Clock::default(),
            levels: Levels::default(),
        }
    }
}

impl Registry {
    /// The slot of a name, made if it is new. One that had a slot before has the same again while there are handles of it.
    pub(crate) fn register(&self, name: &str) -> Arc<Slot> {
        let mut names = self.names();
        if let Some(slot) = names.slots.get(name) {
            return Arc::clone(slot);
        }
        let known = names.forgotten.remove(name).and_then(|slot| slot.upgrade());
        let slot = known.unwrap_or_else(|| Arc::new(Slot::new(name.into())));
        self.change(&mut names, |slots| drop(slots.insert(Arc::clone(slot.name()), Arc::clone(&slot))));
        slot
    }

    /// Forgets a name.
    pub(crate) fn remove(&self, name: &str) {
        let mut names = self.names();
        let Some(slot) = names.slots.get(name).cloned() else { return };
        self.change(&mut names, |slots| drop(slots.remove(name)));
        names.forgotten.retain(|_, slot| slot.strong_count() > 0);
        names.forgotten.insert(Arc::clone(slot.name()), Arc::downgrade(&slot));
    }

    /// Calls a registered service on this thread.
    #[inline]
    pub(crate) fn call(&self, service: &str, method: &str, request: &[u8], reply: Out<'_>) -> Called {
        let version = self.version.load(Ordering::Acquire);
        named::call(version, (service, method), request, reply, || self.slot(service))
    }

    /// The slot of a registered name.
    pub(crate) fn slot(&self, service: &str) -> Result<Arc<Slot>, CallError> {
        self.slots().get(service).cloned().ok_or_else(|| self.unknown(service))
    }

    /// The slots of all registered names.
    pub(crate) fn all(&self) -> Vec<Arc<Slot>> {
        self.names().slots.values().cloned().collect()
    }

    /// What messages go by.
    pub(crate) fn bus(&self) -> &Arc<Bus> {
        &self.bus
    }

    /// What timers tick by.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// How much of each plugin is logged.
    pub(crate) fn levels(&self) -> &Levels {
        &self.levels
    }

    fn change(&self, names: &mut Names, change: impl FnOnce(&mut Slots)) {
        change(&mut names.slots);
        self.version.store(next_version(), Ordering::Release);
    }

    /// The map as it is now.
    #[inline]
    fn slots(&self) -> Rc<Slots> {
        let version = self.version.load(Ordering::Acquire);
        let seen = SEEN.try_with(|seen| match &*seen.borrow() {
            Some(seen) if seen.version == version => Some(Rc::clone(&seen.slots)),
            _ => None,
        });
        match seen {
            Ok(Some(slots)) => slots,
            _ => self.look_up(),
        }
    }

    #[cold]
    fn look_up(&self) -> Rc<Slots> {
        let (version, slots) = {
            let names = self.names();
            (self.version.load(Ordering::Relaxed), Rc::new(names.slots.clone()))
        };
        // Where the thread's destructors run already, it looks each time.
        let _ = SEEN.try_with(|seen| seen.replace(Some(Seen { version, slots: Rc::clone(&slots) })));
        slots
    }

    #[cold]
    fn unknown(&self, service: &str) -> CallError {
        let known = nearest_first(service, self.slots().keys().map(ToString::to_string).collect());
        CallError::NoSuchService { service: service.to_owned(), known }
    }

    fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Services for Registry {
    fn slot(&self, service: &str) -> Result<Arc<Slot>, Box<CallError>> {
        Ok(Registry::slot(self, service)?)
    }

    fn bus(&self) -> Option<&Bus> {
        Some(&self.bus)
    }

    fn clock(&self) -> Option<&Clock> {
        Some(&self.clock)
    }

    fn level(&self, service: &str) -> Cell {
        self.levels.cell(service)
    }

    fn settings(&self, service: &str) -> Arc<config::Service> {
        Registry::slot(self, service).map(|slot| slot.guard().rules()).unwrap_or_default()
    }

    fn is_inside(&self, handle: HostHandle) -> bool {
        slot::is_inside(|generation| generation.plugin.is_reached_by(handle))
    }
}
