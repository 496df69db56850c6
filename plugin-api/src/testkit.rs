//! A host for unit tests: runs a plugin in-process, through the very functions that a real host calls.
//!
//! ```
//! # use hotbay_plugin_api::prelude::*; struct Hello;
//! # impl Plugin for Hello {
//! #     fn create(_: Context) -> Result<Self> { Ok(Hello) }
//! #     fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> { reply.write(request.bytes()) }
//! # } export_plugin!(Hello { name: "hello", methods: &["hello"] });
//! use hotbay_plugin_api::testkit::TestHost;
//!
//! let hello = TestHost::new().start::<Hello>()?;
//! assert_eq!(hello.call("hello", b"world")?, b"world");
//! # Ok::<(), hotbay_plugin_api::Error>(())
//! ```

#![allow(unsafe_code, reason = "plays the host's side of the ABI layer, in-process")]

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::{Mutex, PoisonError};

use crate::abi::{
    HostHandle, HostLink, In, Instance, Lent, LentBytes, Out, Pieces, PluginModuleRef, RawBuffer,
    STATE_EXTENSION, STATE_EXTENSION_1, StateExtension, StateExtension1, Status, Window, module,
};
use crate::{Error, Export, Result};

mod config;
mod given;
mod lines;
mod messages;
mod requests;
mod streams;
mod table;

pub use lines::Logged;
pub use messages::Sent;
pub use streams::TestStream;
use table::{CALLS, host, table};

type Service = Box<dyn Fn(&str, &[u8]) -> Result<Vec<u8>> + Send + Sync>;

/// A host for one plugin: its configuration, the services that it finds, and its log.
#[derive(Default)]
pub struct TestHost {
    config: Mutex<Option<serde_json::Value>>,
    services: BTreeMap<String, Service>,
    log: Mutex<Vec<String>>,
    lines: Mutex<Vec<Logged>>,
    published: Mutex<Vec<Sent>>,
    requests: requests::Requests,
    given: given::Given,
    streams: streams::Streams,
    is_of_1_0: bool,
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
        self.config = Mutex::new(Some(config));
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

    /// A host of contract 1.0: it knows the first revision of the state extension only, and has no extension of its own.
    #[must_use]
    pub fn of_contract_1_0(mut self) -> Self {
        self.is_of_1_0 = true;
        self
    }

    /// Creates and starts the plugin.
    ///
    /// # Errors
    /// The plugin's `create` or `start` fails or panics.
    pub fn start<P: Export>(self) -> Result<Running<P>> {
        self.create()?.started()
    }

    /// Creates the plugin, imports state of this schema version, and starts it: a swap, or a restart.
    ///
    /// # Errors
    /// The plugin's `create`, import or `start` fails or panics.
    pub fn resume<P: Export>(self, schema: u32, state: &[u8]) -> Result<Running<P>> {
        let created = self.create()?;
        let mut lent = LentBytes::new(state);
        match created.state_table()? {
            StateTable::Current(table) => created.import(table, schema, lent.source())?,
            StateTable::First(table) => {
                answer(|error| (table.import)(created.instance, schema, state.into(), error))?;
            }
        }
        created.started()
    }

    /// The same, with state that comes piece by piece, as a host opens it from a large file. `source` writes the next piece
    /// into the empty vector that it is given; one that it leaves empty is the end, and false is a failure.
    ///
    /// # Errors
    /// As [`TestHost::resume`]; or the host is of contract 1.0.
    pub fn resume_from<P: Export>(
        self,
        schema: u32,
        mut source: impl FnMut(&mut Vec<u8>) -> bool,
    ) -> Result<Running<P>> {
        let created = self.create()?;
        let table = created.current_table()?;
        let mut pieces = Pieces::new(None, &mut source);
        let imported = created.import(table, schema, pieces.lend().source());
        // A panic of the source is the test's.
        let _ = pieces.finish();
        imported?;
        created.started()
    }

    fn create<P: Export>(self) -> Result<Running<P>> {
        let mut running = Running {
            module: module::<P>(),
            instance: Instance::NONE,
            host: ManuallyDrop::new(Box::new(self)),
            started: false,
            plugin: PhantomData,
        };
        let link = running.link();
        let (module, mut instance) = (running.module, Instance::NONE);
        answer(|error| (module.create())(link, &mut instance, error))?;
        running.instance = instance;
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
    // Boxed: the plugin holds its address; and never freed, since what it left behind, a thread or a static, may do so for ever.
    host: ManuallyDrop<Box<TestHost>>,
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
        match self.state_table()? {
            StateTable::Current(_) => self.export_as(self.schema()?),
            StateTable::First(table) => {
                let mut state = Vec::new();
                {
                    let mut out = Lent::new(&mut state);
                    // SAFETY: A2; it stays where it is.
                    let out = unsafe { out.out().into_raw() };
                    answer(|error| (table.export)(self.instance, out, error))?;
                }
                Ok(state)
            }
        }
    }

    /// The plugin's state in an older schema, as the version before would get it when it takes over again.
    ///
    /// # Errors
    /// As [`Running::export`]; or the plugin has no steps to that schema, or the host is of contract 1.0.
    pub fn export_as(&self, schema: u32) -> Result<Vec<u8>> {
        let mut state = Vec::new();
        self.export_into(schema, Lent::new(&mut state).out())?;
        Ok(state)
    }

    /// The plugin's state through a buffer of so many bytes, which `sink` gets whenever it is full, as a host seals a large
    /// state. It answers false when it takes no more.
    ///
    /// # Errors
    /// As [`Running::export`]; or the host is of contract 1.0.
    pub fn export_through(&self, window: usize, mut sink: impl FnMut(&[u8]) -> bool) -> Result<()> {
        let mut window = Window::new(window, &mut sink);
        let exported = self.export_into(self.schema()?, window.lend().out());
        let taken = window.finish();
        exported?;
        if taken { Ok(()) } else { Err(Error::msg("export the state: the sink takes no more")) }
    }

    /// What the host asks before a periodic snapshot: as long as this number is the same, there is nothing to write.
    ///
    /// # Errors
    /// The plugin has no state, or the host is of contract 1.0.
    pub fn changes(&self) -> Result<u64> {
        let (table, mut count) = (self.current_table()?, 0);
        answer(|error| (table.changes)(self.instance, &mut count, error))?;
        Ok(count)
    }

    /// The lines that the plugin logged through its context, oldest first.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.host.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn started(mut self) -> Result<Self> {
        answer(|error| (self.module.start())(self.instance, error))?;
        self.started = true;
        Ok(self)
    }

    fn import(&self, table: &StateExtension, schema: u32, source: In<'_>) -> Result<()> {
        // SAFETY: A4; it stays where it is.
        let source = unsafe { source.into_raw() };
        answer(|error| (table.import)(self.instance, schema, source, error))
    }

    fn export_into(&self, schema: u32, out: Out<'_>) -> Result<()> {
        let table = self.current_table()?;
        // SAFETY: A2; it stays where it is.
        let out = unsafe { out.into_raw() };
        answer(|error| (table.export)(self.instance, schema, out, error))
    }

    fn schema(&self) -> Result<u32> {
        P::SHAPE.map(|shape| shape.schema()).ok_or_else(stateless)
    }

    /// Found as a host finds it.
    fn state_table(&self) -> Result<StateTable> {
        let ask = |(id, revision): (&str, u32)| (self.module.extension())(id.into(), revision);
        if !self.host.is_of_1_0 {
            // SAFETY: it was asked for in these words, and the tables are this program's own.
            if let Some(table) = unsafe { ask(STATE_EXTENSION).as_state() } {
                return Ok(StateTable::Current(table));
            }
        }
        // SAFETY: as above.
        unsafe { ask(STATE_EXTENSION_1).as_state_1() }.map(StateTable::First).ok_or_else(stateless)
    }

    fn current_table(&self) -> Result<&'static StateExtension> {
        match self.state_table()? {
            StateTable::Current(table) => Ok(table),
            StateTable::First(_) => Err(Error::msg("do this with state: the host is of contract 1.0")),
        }
    }

    fn link(&self) -> HostLink {
        HostLink {
            table: table(self.host.is_of_1_0),
            handle: HostHandle(std::ptr::from_ref(&**self.host).cast()),
        }
    }
}

/// What the plugin offers and the host knows.
enum StateTable {
    Current(&'static StateExtension),
    First(&'static StateExtension1),
}

fn stateless() -> Error {
    Error::msg("export or import: the plugin is not exported as `Stateful`")
}

impl<P> Drop for Running<P> {
    fn drop(&mut self) {
        if self.instance == Instance::NONE {
            return;
        }
        self.host.streams.end();
        self.host.given.tell_to_end();
        if self.started {
            let _ = answer(|error| (self.module.stop())(self.instance, error));
        }
        self.host.given.join();
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
