//! The host as a plugin sees it: the functions behind its link.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RSlice, RStr};
use hotbay_plugin_api::abi::{HostHandle, HostLink, HostTable, HostTableRef, Out, RawBuffer, Status};

use super::calls::Found;
use super::extensions::extension;
use super::lines::{log, log_enabled};
use crate::bus::Bus;
use crate::call::{self, Called};
#[cfg(feature = "http-client")]
use crate::context::Http;
use crate::context::{Clock, Streams, Threads, Timers};
use crate::kernel::levels::Cell;
use crate::kernel::slot::Slot;
use crate::{CallError, config};

/// What a plugin can reach through its host: the kernel, as little of it as that takes.
pub(crate) trait Services: Send + Sync {
    /// The slot of a service.
    fn slot(&self, service: &str) -> Result<Arc<Slot>, Box<CallError>>;

    /// What messages go by; a probe has none.
    fn bus(&self) -> Option<&Bus>;

    /// What timers tick by; a probe has none.
    fn clock(&self) -> Option<&Clock>;
    /// How much of a plugin is logged.
    fn level(&self, service: &str) -> Cell;

    /// What the settings say of a service, as they are now.
    fn settings(&self, service: &str) -> Arc<config::Service>;

    /// Whether this thread is inside a call of the plugin that reaches its host by this handle.
    fn is_inside(&self, handle: HostHandle) -> bool;
}

/// The host's side of one generation. Its address is the handle of the plugin's link.
pub(crate) struct HostSide {
    name: Arc<str>,
    generation: u64,
    // The plugin's table of the configuration, as JSON: another one when the plugin took it.
    config: RwLock<Arc<str>>,
    level: Cell,
    services: Arc<dyn Services>,
    // What the plugin has called: a slot follows its service through all that happens to it, so it is looked for once.
    found: [OnceLock<Arc<Slot>>; FOUND],
    methods: Found,
    accepting: Arc<AtomicBool>,
    threads: Arc<Threads>,
    timers: Arc<Timers>,
    streams: Arc<Streams>,
    #[cfg(feature = "http-client")]
    http: Http,
}

/// A plugin that calls more services than these looks for the others each time.
const FOUND: usize = 8;

impl HostSide {
    pub(crate) fn new(
        name: &str,
        generation: u64,
        config: Arc<str>,
        services: Arc<dyn Services>,
    ) -> Box<Self> {
        let config = RwLock::new(config);
        let level = services.level(name);
        let name: Arc<str> = name.into();
        Box::new(Self {
            #[cfg(feature = "http-client")]
            http: Http::new(&name),
            threads: Threads::new(&name, generation),
            timers: Timers::new(&name, generation, &services),
            streams: Arc::default(),
            name,
            generation,
            config,
            level,
            services,
            found: Default::default(),
            methods: Found::default(),
            accepting: Arc::default(),
        })
    }

    /// The same for an instance that is never started: calls to other services are refused.
    pub(super) fn deaf(&self) -> Box<Self> {
        Box::new(Self {
            #[cfg(feature = "http-client")]
            http: Http::new(&self.name),
            threads: Threads::new(&self.name, self.generation),
            timers: Timers::new(&self.name, self.generation, &self.services),
            streams: Arc::default(),
            name: Arc::clone(&self.name),
            generation: self.generation,
            config: RwLock::new(self.config()),
            level: Arc::clone(&self.level),
            services: Arc::clone(&self.services),
            found: Default::default(),
            methods: Found::default(),
            accepting: Arc::default(),
        })
    }

    /// The plugin's table, as JSON.
    pub(super) fn config(&self) -> Arc<str> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The plugin took another table.
    pub(super) fn set_config(&self, config: &Arc<str>) {
        *self.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(config);
    }

    /// How much of it is logged: 1 error … 5 trace.
    pub(super) fn level(&self) -> u32 {
        self.level.load(Ordering::Relaxed)
    }

    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The link to give to `create`. The handle is this value's address: [`HostSide::new`] boxed it.
    pub(super) fn link(&self) -> HostLink {
        HostLink { table: table(), handle: HostHandle(std::ptr::from_ref(self).cast()) }
    }

    /// Calls a service on this thread.
    fn call(&self, service: &str, method: &str, request: &[u8], reply: Out<'_>) -> Called {
        for slot in self.found.iter().map_while(OnceLock::get) {
            if **slot.name() == *service {
                return call::inline(slot, method, request, reply);
            }
        }
        call::inline(&*self.find(service)?, method, request, reply)
    }

    #[cold]
    fn find(&self, service: &str) -> Result<Arc<Slot>, Box<CallError>> {
        let slot = self.services.slot(service)?;
        // When another thread was quicker it may be there twice, which does no harm.
        self.found.iter().any(|place| place.set(Arc::clone(&slot)).is_ok());
        Ok(slot)
    }

    pub(super) fn services(&self) -> &Arc<dyn Services> {
        &self.services
    }

    pub(super) fn accepting(&self) -> &Arc<AtomicBool> {
        &self.accepting
    }

    /// Whether it is between its `start` and the end of its `stop`.
    pub(super) fn accepts(&self) -> bool {
        self.accepting.load(Ordering::Acquire)
    }

    pub(super) fn found(&self) -> &Found {
        &self.methods
    }

    pub(super) fn threads(&self) -> &Arc<Threads> {
        &self.threads
    }

    pub(super) fn timers(&self) -> &Arc<Timers> {
        &self.timers
    }

    pub(super) fn streams(&self) -> &Arc<Streams> {
        &self.streams
    }

    #[cfg(feature = "http-client")]
    pub(super) fn http(&self) -> &Http {
        &self.http
    }

    /// What the settings say of its service, as they are now.
    pub(super) fn settings(&self) -> Arc<config::Service> {
        self.services.settings(&self.name)
    }

    /// The plugin is about to start: from here on it may call other services, open streams, and have threads and timers.
    pub(super) fn begin(&self) {
        self.accepting.store(true, Ordering::Release);
        self.threads.open();
        self.timers.open();
        self.streams.open();
    }

    /// It is about to stop: what the host gave it ends. It may still call. On a lane, as is the next.
    pub(super) fn begin_to_stop(&self) {
        self.timers.close();
        self.streams.close();
        self.threads.tell_to_end();
    }

    /// It has stopped, or did not start.
    pub(super) fn end(&self) {
        self.begin_to_stop();
        self.accepting.store(false, Ordering::Release);
    }
}

struct Functions;

impl Functions {
    abi_stable::staticref!(
        const TABLE: WithMetadata<HostTable> = WithMetadata::new(HostTable {
            log_enabled,
            log,
            config,
            call,
            is_inside,
            extension,
        })
    );
}

fn table() -> HostTableRef {
    HostTableRef(Functions::TABLE.as_prefix())
}

pub(super) fn side<'a>(handle: HostHandle) -> &'a HostSide {
    // SAFETY: F5; the handle is the address of a `HostSide` that outlives every mapping of the plugin it was given to.
    unsafe { &*handle.0.cast::<HostSide>() }
}

/// Runs `body`; a panic of ours must not unwind into the plugin.
pub(super) fn guarded<T>(otherwise: T, body: impl FnOnce() -> T) -> T {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        // It may panic when it is dropped.
        std::mem::forget(payload);
        otherwise
    })
}

extern "C" fn config(handle: HostHandle, out: &mut RawBuffer, error: &mut RawBuffer) -> Status {
    if out.write(side(handle).config().as_bytes()) {
        return Status::OK;
    }
    let _ = error.write(b"read the configuration: no more memory is lent");
    Status::FAILED
}

extern "C" fn call(
    handle: HostHandle,
    service: RStr<'_>,
    method: RStr<'_>,
    request: RSlice<'_, u8>,
    reply: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        let side = side(handle);
        if !side.accepting.load(Ordering::Acquire) {
            return outside(service.as_str(), reply);
        }
        match side.call(service.as_str(), method.as_str(), request.as_slice(), Out::of(&mut *reply)) {
            Ok(()) => Status::OK,
            Err(failure) => failed(&*side.services, *failure, service.as_str(), reply),
        }
    })
}

extern "C" fn is_inside(handle: HostHandle) -> bool {
    guarded(false, || side(handle).services.is_inside(handle))
}

#[cold]
pub(super) fn outside(service: &str, reply: &mut RawBuffer) -> Status {
    let _ = reply.write(format!("call service `{service}` outside of start … stop").as_bytes());
    Status::REFUSED
}

#[cold]
pub(super) fn failed(
    services: &dyn Services,
    mut failure: CallError,
    service: &str,
    words: &mut RawBuffer,
) -> Status {
    if let CallError::NotRunning { .. } = failure {
        // It may have been removed since it was found: then it is told what there is.
        failure = services.slot(service).err().map_or(failure, |gone| *gone);
    }
    let _ = words.write(failure.to_string().as_bytes());
    call_status(&failure)
}

pub(super) fn call_status(failure: &CallError) -> Status {
    match failure {
        CallError::NoSuchService { .. } | CallError::NotRunning { .. } => Status::NO_SUCH_SERVICE,
        CallError::NoSuchMethod { .. } | CallError::NoSuchStream { .. } => Status::NO_SUCH_METHOD,
        CallError::Panicked { .. } => Status::PANICKED,
        CallError::TimedOut { .. } | CallError::Cancelled { .. } => Status::TIMED_OUT,
        CallError::TooManyHops { .. }
        | CallError::Refused { .. }
        | CallError::BreakerOpen { .. }
        | CallError::TooManyInside { .. }
        | CallError::TooManyStreams { .. }
        | CallError::TooFast { .. } => Status::REFUSED,
        _ => Status::FAILED,
    }
}
