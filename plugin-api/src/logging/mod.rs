//! `tracing` inside a plugin: its events go to the host's log, with the spans that they are said within.
//!
//! A plugin's library has its own copy of `tracing`, whose events would reach nobody. When the library is loaded the
//! kit installs this forwarder in that copy. It keeps nothing in thread-locals that would pin the library.

mod fields;
mod spans;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{PoisonError, RwLock};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Metadata, Subscriber, callsite, dispatcher};

use crate::Level;
use crate::abi::{HostLink, Said};
pub(crate) use fields::{Field, Fields, in_words};
use spans::Spans;
pub(crate) use spans::Within;

static HOST: RwLock<Option<HostLink>> = RwLock::new(None);

/// No more than this is wanted; until the host says so, it is asked for each line.
static LEVEL: AtomicU32 = AtomicU32::new(Level::Trace as u32);

/// Whether the forwarder is what `tracing` tells.
static IS_TOLD: AtomicBool = AtomicBool::new(false);

static SPANS: Spans = Spans::new();

/// Called once per loaded library. A second call, or a subscriber of the author's own, is left as it is.
///
/// What this allocates stays for ever: the library's statics own it, and closing a library drops none of them. Without
/// `tracing`'s feature `std` that is the forwarder's 16 bytes; with it, also the list of scoped subscribers, 96 bytes.
/// Therefore we do not ask for `std`; where something else in the plugin does, all works the same at that price.
pub(crate) fn install() {
    let is_told = dispatcher::set_global_default(Dispatch::new(Forwarder)).is_ok();
    IS_TOLD.fetch_or(is_told, Ordering::Relaxed);
}

/// Called by each `create`: from now on there is a host to log to.
pub(crate) fn attach(link: HostLink) {
    *HOST.write().unwrap_or_else(PoisonError::into_inner) = Some(link);
}

/// The host wants lines up to this level and no further. `tracing` keeps that in a number of its own, so that a line beyond it costs one
/// load.
pub(crate) fn set_level(level: u32) {
    if LEVEL.swap(level, Ordering::Relaxed) != level && IS_TOLD.load(Ordering::Relaxed) {
        callsite::rebuild_interest_cache();
    }
}

/// Whether the host wants lines of this level, as far as it said beforehand.
pub(crate) fn may_want(level: u32) -> bool {
    level <= LEVEL.load(Ordering::Relaxed)
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

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match LEVEL.load(Ordering::Relaxed) {
            0 => LevelFilter::OFF,
            1 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            3 => LevelFilter::INFO,
            4 => LevelFilter::DEBUG,
            _ => LevelFilter::TRACE,
        })
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        let level = level(metadata);
        may_want(level) && host().is_some_and(|host| host.log_enabled(level))
    }

    fn event(&self, event: &Event<'_>) {
        let Some(host) = host() else { return };
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let within = match event.parent() {
            Some(parent) => SPANS.chain(parent),
            None if event.is_contextual() => SPANS.here(),
            None => Vec::new(),
        };
        host.write(&Said {
            level: level(metadata),
            target: metadata.target(),
            text: &fields.message,
            fields: &fields.others,
            within: &within,
        });
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        SPANS.open(span)
    }

    fn record(&self, span: &Id, values: &Record<'_>) {
        SPANS.record(span, values);
    }

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn enter(&self, span: &Id) {
        spans::enter(span);
    }

    fn exit(&self, span: &Id) {
        spans::exit(span);
    }

    fn clone_span(&self, span: &Id) -> Id {
        SPANS.hold(span);
        span.clone()
    }

    fn try_close(&self, span: Id) -> bool {
        SPANS.let_go(&span)
    }
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

#[cfg(test)]
mod tests;
