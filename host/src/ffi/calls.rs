//! The calls extension: methods of other services that a plugin has found.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use abi_stable::std_types::{RSlice, RStr};
use hotbay_plugin_api::abi::{CallsExtension, ExtensionPtr, HostHandle, Out, RawBuffer, RawMethod, Status};

use super::host_side::{HostSide, Services, failed, guarded, outside, side};
use crate::CallError;
use crate::call::known::Shared;

/// What one plugin has found. It keeps all of it for as long as the plugin may ask (F5).
#[derive(Default)]
pub(super) struct Found {
    methods: Mutex<Vec<Arc<Method>>>,
}

/// One method, with what a call of it needs of the plugin's side.
struct Method {
    method: Shared,
    accepting: Arc<AtomicBool>,
    services: Arc<dyn Services>,
}

/// What is found is kept until the plugin goes: nobody finds methods by names that callers bring, without end.
const MOST: usize = 4096;

static TABLE: CallsExtension = CallsExtension { find, call };

/// What the host's `extension` answers for it.
pub(super) fn table() -> ExtensionPtr {
    ExtensionPtr::of_calls(&TABLE)
}

extern "C" fn find(
    handle: HostHandle,
    service: RStr<'_>,
    method: RStr<'_>,
    place: &mut RawMethod,
    error: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        let side = side(handle);
        match side.found().find(side, service.as_str(), method.as_str()) {
            Ok(found) => {
                *place = found;
                Status::OK
            }
            Err(failure) => failed(&**side.services(), *failure, service.as_str(), error),
        }
    })
}

impl Found {
    fn find(&self, side: &HostSide, service: &str, method: &str) -> Result<RawMethod, Box<CallError>> {
        let slot = side.services().slot(service)?;
        let mut methods = self.methods.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever looks twice gets the same.
        let known = methods
            .iter()
            .find(|known| Arc::ptr_eq(known.method.slot(), &slot) && known.method.method() == method);
        if let Some(known) = known {
            return Ok(RawMethod(Arc::as_ptr(known).cast()));
        }
        if methods.len() >= MOST {
            let text =
                format!("a plugin keeps {MOST} methods of others at most; keep those that it calls often");
            return Err(Box::new(CallError::Refused { service: service.to_owned(), text }));
        }
        let (accepting, services) = (Arc::clone(side.accepting()), Arc::clone(side.services()));
        let found = Arc::new(Method { method: Shared::new(slot, method), accepting, services });
        let raw = RawMethod(Arc::as_ptr(&found).cast());
        methods.push(found);
        Ok(raw)
    }
}

extern "C" fn call(method: RawMethod, request: RSlice<'_, u8>, reply: &mut RawBuffer) -> Status {
    guarded(Status::FAILED, || {
        // SAFETY: F5; `find` gave it out, and it is kept for as long as the plugin's link.
        let Method { method, accepting, services } = unsafe { &*method.0.cast::<Method>() };
        let service = method.slot().name();
        if !accepting.load(Ordering::Acquire) {
            return outside(service, reply);
        }
        match method.call(request.as_slice(), Out::of(&mut *reply)) {
            Ok(()) => Status::OK,
            Err(failure) => failed(&**services, *failure, service, reply),
        }
    })
}
