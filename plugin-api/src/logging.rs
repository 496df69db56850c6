//! `tracing` inside a plugin: its events go to the host's log.
//!
//! A plugin's library has its own copy of `tracing`, whose events would reach nobody. When the library is loaded the
//! kit installs this forwarder in that copy. It keeps nothing in thread-locals, which would pin the library.

use std::fmt::Write as _;
use std::sync::{PoisonError, RwLock};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber, dispatcher};

use crate::Level;
use crate::abi::HostLink;

static HOST: RwLock<Option<HostLink>> = RwLock::new(None);

/// Called once per loaded library. A second call, or a subscriber of the author's own, is left as it is.
///
/// What this allocates stays for ever: the library's statics own it, and closing a library drops none of them. Without
/// `tracing`'s feature `std` that is the forwarder's 16 bytes; with it, also the list of scoped subscribers, 96 bytes.
/// Therefore we do not ask for `std`; where something else in the plugin does, all works the same at that price.
pub(crate) fn install() {
    let _ = dispatcher::set_global_default(Dispatch::new(Forwarder));
}

/// Called by each `create`: from now on there is a host to log to.
pub(crate) fn attach(link: HostLink) {
    *HOST.write().unwrap_or_else(PoisonError::into_inner) = Some(link);
}

fn host() -> Option<HostLink> {
    *HOST.read().unwrap_or_else(PoisonError::into_inner)
}

/// Tells the host of a panic that no caller hears of.
pub(crate) fn panicked(note: &str) {
    if let Some(host) = host() {
        host.log(Level::Error as u32, "panic", &format!("a thread of the plugin's own panicked: {note}"), "");
    }
}

/// Whether this thread is inside a call, and so somebody hears of its panic.
pub(crate) fn is_inside() -> bool {
    host().is_some_and(HostLink::is_inside)
}

struct Forwarder;

impl Subscriber for Forwarder {
    fn register_callsite(&self, _metadata: &'static Metadata<'static>) -> Interest {
        // The host may change its mind at run time.
        Interest::sometimes()
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        host().is_some_and(|host| host.log_enabled(level(metadata)))
    }

    fn event(&self, event: &Event<'_>) {
        let Some(host) = host() else { return };
        let mut line = Line::default();
        event.record(&mut line);
        let metadata = event.metadata();
        host.log(level(metadata), metadata.target(), &line.text, &line.fields);
    }

    // Spans carry nothing across yet; every one has the same id, which is allowed to a subscriber that tracks none.
    fn new_span(&self, _span: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

fn level(metadata: &Metadata<'_>) -> u32 {
    let level = match *metadata.level() {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        tracing::Level::DEBUG => Level::Debug,
        tracing::Level::TRACE => Level::Trace,
    };
    level as u32
}

#[derive(Default)]
struct Line {
    text: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        if field.name() == "message" {
            let _ = write!(self.text, "{value:?}");
        } else {
            let space = if self.fields.is_empty() { "" } else { " " };
            let _ = write!(self.fields, "{space}{}={value:?}", field.name());
        }
    }
}
