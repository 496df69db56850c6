//! One plugin value with the library that it lives in: the safe face of the contract's functions.

use std::marker::PhantomData;
use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::time::Duration;

use hotbay_plugin_api::abi::{
    HostHandle, HostLink, Instance, Lent, METHODS_EXTENSION, MethodFn, MethodsExtension, Out,
    PluginModuleRef, RawBuffer, Status,
};
use zeroize::Zeroizing;

use super::library::Closed;
use super::state::{Lending, Source, StateTable, Written};
use super::tables::Tables;
use super::{HostSide, Library, LoadError, messages, streams};
use crate::bus::{Handler, Message};
use crate::context::Streams;
use crate::fault;
use crate::kernel::alarm::Alarm;
use crate::kernel::lane::Lane;
use crate::kernel::view::Given;
use crate::os::Thread;
use crate::stage::Object;

/// What a plugin answers: done, or how it ended and its words.
pub(crate) type Answer = Result<(), (Status, String)>;

/// A created plugin.
pub(crate) struct Plugin {
    module: PluginModuleRef,
    instance: Instance,
    state: Option<StateTable>,
    tables: Tables,
    // Of the methods of its manifest, in that order; where it has none of its own for one, that is called by name.
    functions: Vec<Option<MethodFn>>,
    // Both are given up by `close` alone. A plugin that is dropped on another way, such as one whose `create` came back
    // after its deadline, is leaked: threads that it started may still run its code and call its host (F5, F6).
    host: ManuallyDrop<Box<HostSide>>,
    // The same for twins, which call nobody. As long-lived: the library logs through the link that it got last.
    deaf: ManuallyDrop<Box<HostSide>>,
    // Last (F4): the fields above point into it.
    library: ManuallyDrop<Library>,
}

/// One method of a plugin, without its name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MethodCall<'p> {
    function: MethodFn,
    instance: Instance,
    // As long as this the library stays (F4).
    plugin: PhantomData<&'p Plugin>,
}

impl MethodCall<'_> {
    /// As [`Plugin::call`].
    #[inline]
    pub(crate) fn call(self, request: &[u8], reply: Out<'_>) -> Status {
        // SAFETY: A2 of the contract; it stays where it is.
        let reply = unsafe { reply.into_raw() };
        (self.function)(self.instance, request.into(), reply)
    }
}

/// Why a plugin was not created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CreateError {
    /// Its library could not be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Its `create` says no.
    #[error("failed to create the plugin: {0}")]
    Failed(String),
    /// Its `create` panicked.
    #[error("failed to create the plugin: it panicked: {0}")]
    Panicked(String),
}

/// A library whose functions are those of the contract, and no plugin of it yet.
pub(crate) struct Opened {
    module: PluginModuleRef,
    // Last (F4).
    library: Library,
}

impl Opened {
    /// Opens the library, and checks its layout.
    pub(crate) fn open(object: &Object, name: &str) -> Result<Self, CreateError> {
        fault::point("load", name).map_err(|_| LoadError::Open(libloading::Error::DlOpenUnknown))?;
        let (library, module) = Library::open(object)?;
        fault::point("layout", name).map_err(|e| LoadError::layout(e.to_string()))?;
        Ok(Self { module, library })
    }

    /// Creates the plugin.
    pub(crate) fn create(self, host: Box<HostSide>) -> Result<Plugin, CreateError> {
        Plugin::create_in(self.library, self.module, host)
    }
}

impl Plugin {
    /// Opens the library and creates the plugin. On a lane of its generation, never on a caller's thread.
    pub(crate) fn create(object: &Object, host: Box<HostSide>) -> Result<Self, CreateError> {
        Opened::open(object, host.name())?.create(host)
    }

    /// Creates a plugin that is linked in.
    #[cfg(test)]
    pub(crate) fn create_linked<P: hotbay_plugin_api::Export>(
        host: Box<HostSide>,
    ) -> Result<Self, CreateError> {
        Self::create_in(Library::linked(), hotbay_plugin_api::abi::module::<P>(), host)
    }

    fn create_in(
        library: Library,
        module: PluginModuleRef,
        host: Box<HostSide>,
    ) -> Result<Self, CreateError> {
        let mut instance = Instance::NONE;
        let link: HostLink = host.link();
        let created = fault::point("create", host.name())
            .map_err(|e| (Status::FAILED, e.to_string()))
            .and_then(|()| answer(|error| (module.create())(link, &mut instance, error)));
        if let Err((status, text)) = created {
            if !matches!(library.close(), Closed::Unmapped) {
                // F5: threads that `create` left behind may still log.
                Box::leak(host);
            }
            return Err(match status {
                Status::PANICKED => CreateError::Panicked(text),
                _ => CreateError::Failed(text),
            });
        }
        Ok(Self {
            module,
            instance,
            // F4: kept beside the library.
            state: StateTable::of(module),
            tables: Tables::of(module),
            functions: Vec::new(),
            deaf: ManuallyDrop::new(host.deaf()),
            host: ManuallyDrop::new(host),
            library: ManuallyDrop::new(library),
        })
    }

    /// Asks it for the functions of its methods.
    pub(crate) fn with_functions(mut self, methods: &[String]) -> Self {
        let (id, revision) = METHODS_EXTENSION;
        // SAFETY: F4; it was asked for in these words, and what it gives is kept beside the library.
        let table = unsafe { (self.module.extension())(id.into(), revision).as_methods() };
        // By no more than their numbers are told by in one byte, see `call/known`.
        let find = |table: &MethodsExtension| {
            methods.iter().take(255).map(|name| (table.find)(name.as_str().into())).collect()
        };
        self.functions = table.map(find).unwrap_or_default();
        self
    }

    pub(crate) fn start(&self) -> Answer {
        self.host.begin();
        let started = answer(|error| (self.module.start())(self.instance, error));
        if started.is_err() {
            self.host.end();
        }
        started
    }

    /// Its timers tick on this lane, while the generation of this load serves; what goes wrong in them, and in its threads, is told to
    /// this alarm.
    pub(crate) fn tick_on(&self, lane: &Arc<Lane>, load: u64, alarm: &Arc<Alarm>) {
        self.host.timers().tick_on(lane, load, alarm);
        self.host.threads().tell(alarm);
    }

    /// Stops it. Before that its timers end, and its threads are told to: who joins them waits for no more than that.
    pub(crate) fn stop(&self) -> Answer {
        self.host.begin_to_stop();
        let stopped = answer(|error| (self.module.stop())(self.instance, error));
        self.host.end();
        stopped
    }

    /// What it is given right now.
    pub(crate) fn given(&self) -> Given {
        let (threads, ends) = self.host.threads().view();
        let (timers, ticks) = self.host.timers().view();
        let (failures, panics) = (ends.failed + ticks.failed, ends.panicked + ticks.panicked);
        let (streams, opened) = self.host.streams().counts();
        Given { threads, timers, failures, panics, streams, opened }
    }

    /// Whether there are threads that the host started for it, or something of them is left.
    pub(crate) fn has_threads(&self) -> bool {
        self.host.threads().are_any()
    }

    /// Waits for the threads that the host started for it; those that have not ended by then. After `stop`, or a `start` that failed.
    pub(crate) fn join_threads(&self, deadline: Duration) -> Vec<Thread> {
        self.host.threads().join_all(deadline)
    }

    pub(crate) fn pause(&self) -> Answer {
        answer(|error| (self.module.pause())(self.instance, error))
    }

    pub(crate) fn resume(&self) -> Answer {
        answer(|error| (self.module.resume())(self.instance, error))
    }

    /// Calls a method; the answer, or the words of an error, go into the buffer that the caller lends.
    #[inline]
    pub(crate) fn call(&self, method: &str, request: &[u8], reply: Out<'_>) -> Status {
        // SAFETY: A2 of the contract; it stays where it is.
        let reply = unsafe { reply.into_raw() };
        (self.module.call())(self.instance, method.into(), request.into(), reply)
    }

    /// The method of this number in the manifest, to be called without its name.
    #[inline]
    pub(crate) fn method(&self, number: usize) -> Option<MethodCall<'_>> {
        let function = (*self.functions.get(number)?)?;
        Some(MethodCall { function, instance: self.instance, plugin: PhantomData })
    }

    /// Whether messages can be brought to it.
    pub(crate) fn takes_messages(&self) -> bool {
        self.tables.messages.is_some()
    }

    /// Brings it a message.
    pub(crate) fn deliver(&self, message: &Message) -> Answer {
        match self.tables.messages {
            Some(table) => messages::deliver(table, self.instance, message),
            None => Err((Status::FAILED, "it takes no messages".to_owned())),
        }
    }

    /// Whether it answers requests by topic.
    pub(crate) fn answers_requests(&self) -> bool {
        self.tables.answers.is_some()
    }

    /// Has it answer a request.
    pub(crate) fn answer(&self, request: &Message, reply: &mut Vec<u8>) -> Answer {
        match self.tables.answers {
            Some(table) => messages::answer_request(table, self.instance, request, reply),
            None => Err((Status::FAILED, "it answers no requests by topic".to_owned())),
        }
    }

    /// Whether it handles streams.
    pub(crate) fn handles_streams(&self) -> bool {
        self.tables.streams.is_some()
    }

    /// The ends of streams that it has in hand.
    pub(crate) fn streams(&self) -> &Arc<Streams> {
        self.host.streams()
    }

    /// Begins a thread for a stream. It is waited for as those are that the plugin asks for.
    pub(crate) fn begin_stream(
        &self,
        name: &str,
        body: impl FnOnce(u64) -> Answer + Send + 'static,
    ) -> Result<u64, (Status, String)> {
        self.host.threads().spawn_for_stream(name, body)
    }

    /// Has it handle a stream, to its end.
    pub(crate) fn handle(&self, number: u64, method: &str, request: &[u8], handler: &Handler) -> Answer {
        match self.tables.streams {
            Some(table) => {
                let at = (self.instance, self.host.link());
                streams::handle(table, at, number, (method, request), handler)
            }
            None => Err((Status::FAILED, "it handles no streams".to_owned())),
        }
    }

    /// Brings it its table of the configuration as JSON, in place of the one before. False where it takes none while it runs.
    pub(crate) fn configure(&self, table: &Arc<str>) -> Result<bool, (Status, String)> {
        let Some(extension) = self.tables.config else { return Ok(false) };
        match answer(|error| (extension.changed)(self.instance, table.as_bytes().into(), error)) {
            Ok(()) => {
                self.host.set_config(table);
                self.deaf.set_config(table);
                Ok(true)
            }
            Err((Status::NO_SUCH_METHOD, _)) => Ok(false),
            Err(refused) => Err(refused),
        }
    }

    /// Tells it how much of it is logged, so that it leaves the rest out. Where it cannot be told, it asks for each line. What it was told.
    pub(crate) fn tell_level(&self) -> u32 {
        let level = self.host.level();
        if let Some(extension) = self.tables.log {
            (extension.set_level)(level);
        }
        level
    }

    /// The table that it has, as JSON.
    pub(crate) fn config(&self) -> Arc<str> {
        self.host.config()
    }

    /// Whether this is what the plugin reaches its host by.
    pub(crate) fn is_reached_by(&self, handle: HostHandle) -> bool {
        [&self.host, &self.deaf].into_iter().any(|side| side.link().handle.0 == handle.0)
    }

    /// Whether the plugin has state to hand on.
    pub(crate) fn is_stateful(&self) -> bool {
        self.state.is_some()
    }

    /// Whether it writes its state in an older schema where it is asked to.
    pub(crate) fn steps_down(&self) -> bool {
        matches!(self.state, Some(StateTable::Current(_)))
    }

    /// A number that is another one after each change of the state; `None` of a plugin that does not tell.
    pub(crate) fn changes(&self) -> Result<Option<u64>, (Status, String)> {
        self.state.map_or(Ok(None), |state| state.changes(self.instance))
    }

    /// Writes the state in this schema: the one that the manifest says, or an older one, of who steps down.
    pub(crate) fn export(&self, schema: u32, lending: Lending<'_>) -> Written {
        match self.state {
            Some(state) => state.export(self.instance, schema, lending),
            None => Written { answer: Ok(()), rest: Zeroizing::default(), exceeded: false },
        }
    }

    pub(crate) fn import(&self, schema: u32, source: Source<'_>) -> Answer {
        self.state.map_or(Ok(()), |state| state.import(self.instance, schema, source))
    }

    /// What a twin is made with (F4: it keeps this plugin where it is).
    pub(super) fn model(&self) -> (PluginModuleRef, HostLink, Option<StateTable>) {
        (self.module, self.deaf.link(), self.state)
    }

    /// Drops the plugin's value. Its library stays until [`Plugin::close`].
    pub(crate) fn destroy(&mut self) -> Answer {
        let instance = std::mem::replace(&mut self.instance, Instance::NONE);
        if instance == Instance::NONE {
            return Ok(());
        }
        answer(|error| (self.module.destroy())(instance, error))
    }

    /// Closes the library and looks whether it is gone. After `destroy`, when no thread is inside any more.
    pub(crate) fn close(self, deadline: Duration) -> Closed {
        let Self { host, deaf, library, .. } = self;
        let sides = (ManuallyDrop::into_inner(host), ManuallyDrop::into_inner(deaf));
        let library = ManuallyDrop::into_inner(library);
        let closed = library.close_within(deadline);
        if !matches!(closed, Closed::Unmapped) {
            // F5: what is still mapped may still call.
            Box::leak(sides.0);
            Box::leak(sides.1);
        }
        closed
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plugin").field("library", &self.library).finish_non_exhaustive()
    }
}

pub(super) fn answer(call: impl FnOnce(&mut RawBuffer) -> Status) -> Answer {
    let mut text = Vec::new();
    let status = {
        let mut text = Lent::new(&mut text);
        // SAFETY: A2 of the contract; it stays where it is.
        call(unsafe { text.out().into_raw() })
    };
    if status == Status::OK { Ok(()) } else { Err((status, String::from_utf8_lossy(&text).into_owned())) }
}
