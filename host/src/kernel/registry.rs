//! The registry: which slot a name owns. A name owns one slot, a slot has one name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hotbay_plugin_api::abi::Out;

use super::slot::Slot;
use crate::ffi::Services;
use crate::{CallError, call};

/// Slots by name. Reading is wait-free; the kernel's one loop writes.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    slots: ArcSwap<BTreeMap<Arc<str>, Arc<Slot>>>,
}

impl Registry {
    /// The slot of a name, made if it is new.
    pub(crate) fn register(&self, name: &str) -> Arc<Slot> {
        let slots = self.slots.load();
        if let Some(slot) = slots.get(name) {
            return Arc::clone(slot);
        }
        let name: Arc<str> = name.into();
        let slot = Arc::new(Slot::new(Arc::clone(&name)));
        let mut more = BTreeMap::clone(&slots);
        more.insert(name, Arc::clone(&slot));
        self.slots.store(Arc::new(more));
        slot
    }

    /// Forgets a name.
    pub(crate) fn remove(&self, name: &str) {
        let mut fewer = BTreeMap::clone(&self.slots.load());
        fewer.remove(name);
        self.slots.store(Arc::new(fewer));
    }

    /// Calls through the lane, within `deadline`.
    pub(crate) fn request(
        &self,
        service: &str,
        method: &str,
        request: Vec<u8>,
        deadline: Duration,
    ) -> Result<Vec<u8>, CallError> {
        let slot = self.slots.load().get(service).cloned();
        let slot = slot.ok_or_else(|| self.unknown(service))?;
        call::request(&slot, method, request, deadline)
    }

    #[cold]
    fn unknown(&self, service: &str) -> CallError {
        let known = self.slots.load().keys().map(ToString::to_string).collect();
        CallError::NoSuchService { service: service.to_owned(), known }
    }
}

impl Services for Registry {
    fn call(&self, service: &str, method: &str, request: &[u8], reply: Out<'_>) -> Result<(), CallError> {
        let slots = self.slots.load();
        let Some(slot) = slots.get(service) else { return Err(self.unknown(service)) };
        call::inline(slot, method, request, reply)
    }
}
