//! What the host gives to a plugin: log, configuration, calls to other services.

use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use crate::abi::{HostLink, Lent, Status};
use crate::{Error, Method, Outgoing, Published, Result, logging};

/// The host as a plugin sees it. Cheap to clone; keep it.
///
/// Every callable of it may be used from any thread, at any time between `create` and the end of `stop`; after that
/// calls to other services are refused and log lines still arrive.
#[derive(Clone, Copy)]
pub struct Context {
    link: HostLink,
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// Something failed.
    Error = 1,
    /// Something is odd and goes on.
    Warn = 2,
    /// What an operator wants to know.
    Info = 3,
    /// What a developer wants to know.
    Debug = 4,
    /// Everything.
    Trace = 5,
}

impl Context {
    pub(crate) fn new(link: HostLink) -> Self {
        Self { link }
    }

    pub(crate) fn link(self) -> HostLink {
        self.link
    }

    /// Writes a line into the host's log, which adds time, plugin and generation. `tracing::info!` and its like do
    /// the same with fields.
    pub fn log(&self, level: Level, message: impl std::fmt::Display) {
        if logging::may_want(level as u32) && self.link.log_enabled(level as u32) {
            self.link.log(level as u32, "", &message.to_string(), "");
        }
    }

    /// The plugin's own table of `hotbay.toml`, `[plugin.NAME]`, as a type that [`config!`](crate::config!) made, or any with serde. An absent
    /// table reads as an empty one, so give fields a default.
    ///
    /// # Errors
    /// The table is not of this shape; the error names the key.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T> {
        let mut json = Vec::new();
        self.link.config(&mut json).map_err(|(status, text)| Error::with_status(status, text))?;
        crate::config::read(&json)
    }

    /// Asks another service, through the kernel, on this thread. It may be replaced at any time: a call is answered
    /// by its old version or by its new one. Declare the service in `requires`, so that it is started first.
    ///
    /// # Errors
    /// No such service or method, its error, or its panic.
    pub fn call(&self, service: &str, method: &str, request: &[u8]) -> Result<Vec<u8>> {
        let mut reply = Vec::new();
        self.call_into(service, method, request, &mut reply)?;
        Ok(reply)
    }

    /// Finds a method of another service once, for many calls. The service need not run yet, but there must be one of that name:
    /// declare it in `requires`, and find its methods in `start`. What is found is kept for as long as the plugin is loaded.
    ///
    /// # Errors
    /// There is no such service; or thousands of methods were found before.
    pub fn method(&self, service: &str, method: &str) -> Result<Method> {
        Method::find(self.link, service, method)
    }

    /// The same, appending the reply to a buffer of the caller's: no allocation when it is large enough.
    ///
    /// # Errors
    /// As [`call`](Context::call); `reply` is then as it was.
    pub fn call_into(&self, service: &str, method: &str, request: &[u8], reply: &mut Vec<u8>) -> Result<()> {
        let before = reply.len();
        let mut reply = Lent::new(reply);
        match self.link.call(service, method, request, reply.out()) {
            Status::OK => Ok(()),
            status => Err(Error::of_callee(status, reply.out().take_words(before))),
        }
    }

    /// Publishes a message: to whoever subscribed to its topic, now or in a moment, on threads of theirs. The answer says how many
    /// mailboxes took it, and nothing of what came of it there. Where a mailbox is full that has its senders wait, this waits, for a second at
    /// most.
    ///
    /// # Errors
    /// The topic is none, or the plugin is not started.
    pub fn publish(&self, topic: &str, payload: &[u8]) -> Result<Published> {
        self.send(&Outgoing::new(topic, payload))
    }

    /// The same with headers, or confirmed.
    ///
    /// # Errors
    /// As [`publish`](Context::publish); of a confirmed one also that a mailbox did not take it in time.
    pub fn send(&self, outgoing: &Outgoing<'_>) -> Result<Published> {
        match self.link.publish(outgoing) {
            Ok(Some(published)) => Ok(published),
            Ok(None) => Err(Error::with_status(
                Status::REFUSED,
                "publish a message: this host is older, and carries none",
            )),
            Err((status, text)) => Err(Error::with_status(status, text)),
        }
    }

    /// Asks by topic, and waits for the answer, `deadline` at most, and no longer than who asked this plugin waits. Of all services whose
    /// `answers` take the topic, one is asked; it may be replaced meanwhile. Where there is none, that is said at once.
    ///
    /// It is answered on another thread. Where this plugin asks in a call or a message, that one may [`call`](Self::call) back into it, also while a
    /// swap waits for this request. What comes back as a request by topic waits for the swap, and the swap for it: after its drain deadline
    /// (`swap.drain_ms`) it is called off.
    ///
    /// # Errors
    /// Nobody answers that topic, the deadline passed, or the error or the panic of who was asked.
    pub fn request(&self, topic: &str, payload: &[u8], deadline: Duration) -> Result<Vec<u8>> {
        self.ask(&Outgoing::new(topic, payload), deadline)
    }

    /// The same with headers.
    ///
    /// # Errors
    /// As [`request`](Context::request).
    pub fn ask(&self, outgoing: &Outgoing<'_>, deadline: Duration) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        let mut reply = Lent::new(&mut answer);
        match self.link.request(outgoing, deadline, reply.out()) {
            Some(Status::OK) => {
                drop(reply);
                Ok(answer)
            }
            Some(status) => Err(Error::of_callee(status, reply.out().take_words(0))),
            None => Err(Error::with_status(
                Status::REFUSED,
                "ask by topic: this host is older, and carries no requests",
            )),
        }
    }

    /// How long who asked still waits, on a thread that handles a request: nothing where it has given up, `None` where it set no deadline. What
    /// the plugin calls and asks from here has no more time than that. A thread of the plugin's own knows nothing of it: hand it
    /// [`Context::deadline`].
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        self.link.remaining()
    }

    /// The same as a moment.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        // One that no clock can hold is none.
        Instant::now().checked_add(self.remaining()?)
    }

    /// Whether who asked has given up: its deadline passed, or it has gone. What is done from here on is done for nobody. To be asked on the thread
    /// that handles the request, every now and then by what takes long.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.link.is_cancelled()
    }
}

impl std::fmt::Debug for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context").finish_non_exhaustive()
    }
}
