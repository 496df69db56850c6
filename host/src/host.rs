//! The host: what an embedding program, the command line and the control plane hold in their hands.

mod add;
pub(crate) mod folders;
mod govern;
mod handle;
pub(crate) mod keys;
mod messages;
mod settings;
mod state;

use folders::{lock, readable_folder, unexposed};
pub use govern::{Answered, Which};
pub use handle::{Handle, Method};
pub use messages::Publisher;
pub use state::{PlainState, Rotated};

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use hotbay_plugin_api::abi::Lent;
use hotbay_state::Store;
use serde::{Deserialize, Serialize};

use crate::config::ProbeMode;
use crate::error::{Code, Trouble};
use crate::kernel::good::{Good, GoodError};
use crate::kernel::held::Held;
use crate::kernel::history::History;
use crate::kernel::metrics::Metrics;
use crate::kernel::probation::Marks;
use crate::kernel::rates;
use crate::kernel::rolled_back::RolledBackDigests;
use crate::kernel::served::Served;
use crate::kernel::shared::Shared;
use crate::kernel::snapshots::Snapshots;
use crate::kernel::view::{Action, Event, Phase, Planned, Receipt, Row, Status};
use crate::kernel::wish::Reply;
use crate::stage::Stage;
use crate::supervise::{Kernel, Message};
use crate::{CallError, Config, ControlError, HostError, call, os, probe};

/// Room for the answers of most methods.
const SHORT_REPLY: usize = 64;

/// A running host; cheap to clone. The last clone that is dropped stops it.
#[derive(Debug, Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

/// What a command changed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "http", derive(schemars::JsonSchema))]
pub struct Changed {
    /// The service as it is now.
    #[serde(flatten)]
    pub row: Row,
    /// The receipt, when the command led to a swap.
    pub receipt: Option<Receipt>,
    /// What a forced stop cost: which state is lost, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<String>,
    /// What was done to other services that hang on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Planned>,
}

impl Changed {
    /// By a command that did nothing but to this service.
    pub(crate) fn of(row: Row, receipt: Option<Receipt>) -> Self {
        Self { row, receipt, cost: None, also: Vec::new() }
    }
}

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    kernel: mpsc::Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
    // Held by whoever writes the key file.
    rotating: Mutex<()>,
    // Held by whoever puts a file into the plugins folder.
    adding: Mutex<()>,
    // Held for as long as the host lives: one host per home.
    _lock: File,
}

impl Host {
    /// Starts a host: locks the home, reads the key, and begins to load what lies in the plugins folder. Returns at once;
    /// [`Host::events`] tells what comes of it.
    ///
    /// # Errors
    /// The folders, the key or the lock cannot be had, or this program does not run the probe.
    pub fn start(mut config: Config) -> Result<Host, HostError> {
        if config.probe.mode != ProbeMode::Off && config.probe.program.is_none() && !probe::is_entered() {
            return Err(HostError::Probe);
        }
        config.plugins = readable_folder(&config.plugins)?;
        let home = |source| HostError::Home { path: config.home.clone(), source };
        os::private_folder(&config.home).map_err(home)?;
        config.home = std::fs::canonicalize(&config.home).map_err(home)?;
        unexposed(&config)?;
        let lock = lock(&config.home)?;
        let home = |source| HostError::Home { path: config.home.clone(), source };
        let stage = Stage::open(&config.home).map_err(home)?;
        let history = History::open(&config.home).map_err(home)?;
        let held = Held::open(&config.home).map_err(home)?;
        let store = Store::open(config.home.join("state"))?.keeping(config.state.keep);
        let snapshots = Snapshots::new(keys::ring(&config)?, store);
        let good = Good::open(&config.home).map_err(|error| match error {
            GoodError::Io(source) => home(source),
            GoodError::Store(error) => error.into(),
        })?;
        good.reseal(&snapshots.keys());
        let served = Served::open(&config.home).map_err(home)?;
        let rolled_back = RolledBackDigests::open(&config.home).map_err(home)?;
        let (marks, deadly) = Marks::open(&config.home).map_err(home)?;

        crate::kernel::lease::prepare();
        let shared = Arc::new(Shared::new(config, stage, snapshots, history, good, served, marks));
        rates::begin(&shared.registry)
            .map_err(|source| HostError::Thread { name: "hotbay-clock".to_owned(), source })?;
        let (sender, inbox) = mpsc::channel();
        let kernel = Kernel::new(Arc::clone(&shared), held, rolled_back, deadly, inbox, sender.clone());
        let name = "hotbay-kernel".to_owned();
        let thread = os::spawn(&name, move || kernel.run());
        let thread = thread.map_err(|source| HostError::Thread { name, source })?;
        let thread = Mutex::new(Some(thread));
        let inner = Inner {
            shared,
            kernel: sender,
            thread,
            rotating: Mutex::default(),
            adding: Mutex::default(),
            _lock: lock,
        };
        let host = Host { inner: Arc::new(inner) };
        host.go_on_resealing();
        Ok(host)
    }

    /// The settings, with absolute folders.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.inner.shared.config
    }

    /// Waits until everything that lay in the folder when the host was started has started or failed, `deadline` at most;
    /// whether it came to that.
    #[must_use]
    pub fn ready(&self, deadline: Duration) -> bool {
        let (send, receive) = mpsc::channel();
        let ask = Box::new(move |kernel: &mut Kernel| kernel.await_ready(send));
        self.inner.kernel.send(Message::Ask(ask)).is_ok() && receive.recv_timeout(deadline).is_ok()
    }

    /// A row per service and per file that was not taken, by name. Empty once the host is stopped.
    #[must_use]
    pub fn list(&self) -> Vec<Row> {
        self.rows().unwrap_or_default()
    }

    /// The same, and whether the kernel's loop answered.
    pub(crate) fn rows(&self) -> Result<Vec<Row>, ControlError> {
        self.ask(|kernel| kernel.rows())
    }

    /// Everything about one service.
    ///
    /// # Errors
    /// There is no such service, or the host is being stopped.
    pub fn status(&self, name: &str) -> Result<Status, ControlError> {
        let name = name.to_owned();
        self.ask(move |kernel| kernel.status(&name))?
    }

    /// The receipts of a service, newest last, also of earlier runs.
    ///
    /// # Errors
    /// There is no such service and no receipt of it, or the history cannot be read.
    pub fn history(&self, name: &str) -> Result<Vec<Receipt>, ControlError> {
        if !hotbay_plugin_api::manifest::is_valid_name(name) {
            // It becomes a file name below.
            self.status(name)?;
            return Ok(Vec::new());
        }
        let receipts = self.inner.shared.history.read(name).map_err(|e| {
            let text = format!("failed to read the history of service `{name}`: {e}");
            ControlError::Failed { reason: Trouble::new(Code::NotRead, text) }
        })?;
        if receipts.is_empty() {
            self.status(name)?;
        }
        Ok(receipts)
    }

    /// What was counted, as it is now.
    ///
    /// # Errors
    /// The host is being stopped.
    pub fn metrics(&self) -> Result<Metrics, ControlError> {
        self.ask(|kernel| kernel.metrics())
    }

    /// What happens from now on, after the last `past` events. The stream ends with the host.
    #[must_use]
    pub fn events(&self, past: usize) -> mpsc::Receiver<Event> {
        self.inner.shared.journal.listen(past)
    }

    /// Finds a service once, for many calls.
    ///
    /// # Errors
    /// There is no such service.
    pub fn handle(&self, service: &str) -> Result<Handle, CallError> {
        self.inner.shared.registry.slot(service).map(Handle::new)
    }

    /// Calls a service on this thread and appends the reply to `reply`. No deadline is possible, and what the plugin keeps
    /// per thread stays on this one: its library may be `pinned` until the thread ends. [`Host::request`] has neither.
    ///
    /// # Errors
    /// No such service or method, or the plugin's error or panic. `reply` is then as it was.
    pub fn call(
        &self,
        service: &str,
        method: &str,
        request: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), CallError> {
        // Who brings a vector without memory wants an answer in it: had beforehand, that needs no way back from the plugin.
        if reply.capacity() == 0 {
            *reply = Vec::with_capacity(SHORT_REPLY);
        }
        let mut lent = Lent::new(reply);
        self.inner.shared.registry.call(service, method, request, lent.out()).map_err(|error| *error)
    }

    /// Calls a service through its lane and waits for the reply, `deadline` at most; without one, as long as the service's settings say, or
    /// 30 s.
    ///
    /// # Errors
    /// As [`Host::call`], or the deadline passed.
    pub fn request(
        &self,
        service: &str,
        method: &str,
        request: Vec<u8>,
        deadline: impl Into<Option<Duration>>,
    ) -> Result<Vec<u8>, CallError> {
        let (slot, mut reply) = (self.inner.shared.registry.slot(service)?, Vec::new());
        call::request(&slot, method, &request, &mut reply, deadline).map_err(|error| *error)?;
        Ok(reply)
    }

    /// Loads the service's file anew, as a swap, also when it did not change; a file that failed before is tried again.
    ///
    /// # Errors
    /// There is no such service, the file is refused, the swap was rolled back, or `deadline` passed.
    pub fn reload(&self, name: &str, deadline: Duration) -> Result<Changed, ControlError> {
        let wish = name.to_owned();
        self.command(name, deadline, move |kernel, reply| kernel.reload(wish, false, reply))
    }

    /// The same by force, as [`Host::add_forced`].
    ///
    /// # Errors
    /// As [`Host::reload`]; also when there is no snapshot.
    pub fn reload_forced(&self, name: &str, deadline: Duration) -> Result<Changed, ControlError> {
        let wish = name.to_owned();
        self.command(name, deadline, move |kernel, reply| kernel.reload(wish, true, reply))
    }

    /// Goes back to the version that served before, with the state, as a swap; the version that is left is not loaded again
    /// until somebody asks for it.
    ///
    /// # Errors
    /// There is no such service, nothing to go back to, or the version that serves stays because the way back failed; or
    /// `deadline` passed.
    pub fn rollback(&self, name: &str, deadline: Duration) -> Result<Changed, ControlError> {
        let wish = name.to_owned();
        self.command(name, deadline, move |kernel, reply| kernel.roll_back(wish, reply))
    }

    /// Deletes the service's files, stops it in order and keeps its state.
    ///
    /// # Errors
    /// There is no such service, a file cannot be deleted, or `deadline` passed.
    pub fn remove(&self, name: &str, deadline: Duration) -> Result<Changed, ControlError> {
        let wish = name.to_owned();
        self.command(name, deadline, move |kernel, reply| kernel.remove(wish, reply))
    }

    /// Starts a service that was stopped, or that failed. `fresh` begins with empty state and keeps the old file aside. Services that wait
    /// for it start too, and those are restarted that served without it and are set to; the answer names them.
    ///
    /// # Errors
    /// There is no such service, it cannot be started, or `deadline` passed.
    pub fn start_service(
        &self,
        name: &str,
        fresh: bool,
        deadline: Duration,
    ) -> Result<Changed, ControlError> {
        let also = self.also(Action::Start, name);
        let wish = name.to_owned();
        let changed = self.command(name, deadline, move |kernel, reply| kernel.start(wish, fresh, reply))?;
        Ok(Changed { also, ..changed })
    }

    /// Stops a service until [`Host::start_service`], also over a restart of the host. Its state is written first; with `force` it stops
    /// also where that fails, and the newest snapshot is what it has. Services that require it and are set not to stay without it
    /// stop before, and start again with it; the answer names them.
    ///
    /// # Errors
    /// There is no such service, its state could not be kept (it serves on), or `deadline` passed.
    pub fn stop_service(&self, name: &str, force: bool, deadline: Duration) -> Result<Changed, ControlError> {
        let also = self.also(Action::Stop, name);
        let wish = name.to_owned();
        let changed = self.command(name, deadline, move |kernel, reply| kernel.stop(wish, force, reply))?;
        Ok(Changed { also, ..changed })
    }

    /// Stops all services, who requires before what is required: state is written, libraries are unloaded. Returns when
    /// that is done; a second call waits for the first.
    pub fn shutdown(&self) {
        self.inner.shutdown();
    }

    /// Asks the kernel's loop.
    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&mut Kernel) -> T + Send + 'static,
    ) -> Result<T, ControlError> {
        let (send, receive) = mpsc::channel();
        let question = Box::new(move |kernel: &mut Kernel| drop(send.send(question(kernel))));
        self.inner.kernel.send(Message::Ask(question)).map_err(|_| ControlError::Stopping)?;
        receive.recv().map_err(|_| ControlError::Stopping)
    }

    /// Gives a command to the kernel's loop and waits for its answer.
    fn command(
        &self,
        name: &str,
        deadline: Duration,
        command: impl FnOnce(&mut Kernel, Reply) + Send + 'static,
    ) -> Result<Changed, ControlError> {
        let (reply, awaited) = Reply::new();
        let ask = Box::new(move |kernel: &mut Kernel| command(kernel, reply));
        self.inner.kernel.send(Message::Ask(ask)).map_err(|_| ControlError::Stopping)?;
        match awaited.within(deadline) {
            Ok(answer) => answer,
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(ControlError::Stopping),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                // From here on nothing is forced for it.
                drop(awaited);
                let phase = self.status(name).map_or(Phase::Starting, |status| status.row.phase);
                Err(ControlError::TimedOut { name: name.to_owned(), deadline, phase })
            }
        }
    }
}

impl Inner {
    fn shutdown(&self) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = thread.take() {
            let (send, receive) = mpsc::channel();
            if self.kernel.send(Message::End(send)).is_ok() {
                let _ = receive.recv();
            }
            let _ = thread.join();
            self.shared.registry.clock().close();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shutdown();
    }
}
