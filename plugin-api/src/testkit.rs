//! A host for unit tests: runs a plugin in-process, through the very functions that a real host calls.
//!
//! ```
//! # use hotbay_plugin_api::prelude::*;
//! # struct Hello;
//! # impl Plugin for Hello {
//! #     fn create(_: Context) -> Result<Self> { Ok(Hello) }
//! #     fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> { reply.write(request.bytes()) }
//! # }
//! # export_plugin!(Hello { name: "hello", methods: &["hello"] });
//! use hotbay_plugin_api::testkit::TestHost;
//!
//! let hello = TestHost::new().start::<Hello>()?;
//! assert_eq!(hello.call("hello", b"world")?, b"world");
//! # Ok::<(), hotbay_plugin_api::Error>(())
//! ```

#![allow(unsafe_code, reason = "plays the host's side of the ABI layer, in-process")]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::{Mutex, PoisonError};

use abi_stable::prefix_type::WithMetadata;
use abi_stable::std_types::{RSlice, RStr};

use crate::abi::{
    HostHandle, HostLink, HostTable, HostTableRef, Instance, Lent, PluginModuleRef, RawBuffer, Status, module,
};
use crate::{Error, Export, Result};

type Service = Box<dyn Fn(&str, &[u8]) -> Result<Vec<u8>> + Send + Sync>;

/// A host for one plugin: its configuration, the services that it finds, and its log.
#[derive(Default)]
pub struct TestHost {
    config: Option<serde_json::Value>,
    services: BTreeMap<String, Service>,
    log: Mutex<Vec<String>>,
}

impl TestHost {
    /// A host with no configuration and no services.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What the plugin's table of `hotbay.toml` holds.
    #[must_use]
    pub fn with_config(mut self, config: serde_json::Value) -> Self {
        self.config = Some(config);
        self
    }

    /// Adds a service that the plugin can call.
    #[must_use]
    pub fn with_service(
        mut self,
        name: &str,
        answer: impl Fn(&str, &[u8]) -> Result<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        self.services.insert(name.to_owned(), Box::new(answer));
        self
    }

    /// Creates and starts the plugin.
    ///
    /// # Errors
    /// The plugin's `create` or `start` fails or panics.
    pub fn start<P: Export>(self) -> Result<Running<P>> {
        self.start_with::<P>(None)
    }

    /// Creates the plugin, imports state of this schema version, and starts it: a swap, or a restart.
    ///
    /// # Errors
    /// The plugin's `create`, import or `start` fails or panics.
    pub fn resume<P: Export>(self, schema: u32, state: &[u8]) -> Result<Running<P>> {
        self.start_with::<P>(Some((schema, state)))
    }

    fn start_with<P: Export>(self, state: Option<(u32, &[u8])>) -> Result<Running<P>> {
        let mut running = Running {
            module: module::<P>(),
            instance: Instance::NONE,
            host: Box::new(self),
            started: false,
            plugin: PhantomData,
        };
        let link = running.link();
        let (module, mut instance) = (running.module, Instance::NONE);
        answer(|error| (module.create())(link, &mut instance, error))?;
        running.instance = instance;
        if let Some((schema, bytes)) = state {
            let table = running.state_table()?;
            answer(|error| (table.import)(instance, schema, bytes.into(), error))?;
        }
        answer(|error| (module.start())(instance, error))?;
        running.started = true;
        Ok(running)
    }
}

impl std::fmt::Debug for TestHost {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestHost").field("services", &self.services.keys()).finish_non_exhaustive()
    }
}

/// A plugin that runs in a test. Dropping it stops it.
pub struct Running<P> {
    module: PluginModuleRef,
    instance: Instance,
    // Boxed: the plugin holds its address.
    host: Box<TestHost>,
    started: bool,
    plugin: PhantomData<P>,
}

impl<P: Export> Running<P> {
    /// Calls a method.
    ///
    /// # Errors
    /// The plugin's error, or its panic.
    pub fn call(&self, method: &str, request: &[u8]) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        let mut lent = Lent::new(&mut answer);
        // SAFETY: A2; it stays where it is.
        let reply = unsafe { lent.out().into_raw() };
        let calls = CALLS.get();
        CALLS.set(calls + 1);
        let status = (self.module.call())(self.instance, method.into(), request.into(), reply);
        CALLS.set(calls);
        if status != Status::OK {
            return Err(Error::with_status(status, lent.out().take_words(0)));
        }
        drop(lent);
        Ok(answer)
    }

    /// The plugin's state, as the next version would get it.
    ///
    /// # Errors
    /// The plugin has no state, or its export fails.
    pub fn export(&self) -> Result<Vec<u8>> {
        let table = self.state_table()?;
        let mut state = Vec::new();
        {
            let mut out = Lent::new(&mut state);
            // SAFETY: A2; it stays where it is.
            let out = unsafe { out.out().into_raw() };
            answer(|error| (table.export)(self.instance, out, error))?;
        }
        Ok(state)
    }

    /// The lines that the plugin logged through its context, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.host.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn state_table(&self) -> Result<&'static crate::abi::StateExtension> {
        P::STATE.ok_or_else(|| Error::msg("export or import: the plugin is not exported as `Stateful`"))
    }

    fn link(&self) -> HostLink {
        HostLink { table: table(), handle: HostHandle(std::ptr::from_ref(&*self.host).cast()) }
    }
}

impl<P> Drop for Running<P> {
    fn drop(&mut self) {
        if self.instance == Instance::NONE {
            return;
        }
        if self.started {
            let _ = answer(|error| (self.module.stop())(self.instance, error));
        }
        let _ = answer(|error| (self.module.destroy())(self.instance, error));
    }
}

impl<P> std::fmt::Debug for Running<P> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("host", &self.host).finish_non_exhaustive()
    }
}

fn answer(call: impl FnOnce(&mut RawBuffer) -> Status) -> Result<()> {
    let mut text = Vec::new();
    let status = {
        let mut text = Lent::new(&mut text);
        // SAFETY: A2; it stays where it is.
        call(unsafe { text.out().into_raw() })
    };
    if status == Status::OK {
        return Ok(());
    }
    Err(Error::with_status(status, String::from_utf8_lossy(&text)))
}

thread_local! {
    // Calls that are on this thread's stack.
    static CALLS: Cell<u32> = const { Cell::new(0) };
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
        })
    );
}

fn table() -> HostTableRef {
    HostTableRef(Functions::TABLE.as_prefix())
}

fn host<'a>(handle: HostHandle) -> &'a TestHost {
    // SAFETY: A3; `Running` drops the plugin before the host that it boxed.
    unsafe { &*handle.0.cast::<TestHost>() }
}

extern "C" fn log_enabled(_: HostHandle, _: u32) -> bool {
    true
}

extern "C" fn log(handle: HostHandle, _: u32, _: RStr<'_>, text: RStr<'_>, fields: RStr<'_>) {
    let line = format!("{text} {fields}").trim_end().to_owned();
    host(handle).log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

extern "C" fn config(handle: HostHandle, out: &mut RawBuffer, _: &mut RawBuffer) -> Status {
    let json = host(handle).config.as_ref().map_or_else(|| "{}".to_owned(), serde_json::Value::to_string);
    if out.write(json.as_bytes()) { Status::OK } else { Status::FAILED }
}

extern "C" fn call(
    handle: HostHandle,
    service: RStr<'_>,
    method: RStr<'_>,
    request: RSlice<'_, u8>,
    reply: &mut RawBuffer,
) -> Status {
    let Some(answer) = host(handle).services.get(service.as_str()) else {
        let _ = reply.write(format!("find service `{service}`: give it to the test host").as_bytes());
        return Status::NO_SUCH_SERVICE;
    };
    match answer(method.as_str(), request.as_slice()) {
        Ok(bytes) if reply.write(&bytes) => Status::OK,
        Ok(_) => Status::FAILED,
        Err(failure) => {
            let _ = reply.write(failure.message().as_bytes());
            failure.status()
        }
    }
}

extern "C" fn is_inside(_: HostHandle) -> bool {
    CALLS.get() > 0
}
