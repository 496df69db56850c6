//! `[service.NAME]`: how much a service takes at once, and how its calls are governed.

use std::ops::RangeInclusive;
use std::time::Duration;

use hotbay_plugin_api::manifest;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::govern::{
    Breaker, BreakerTable, Count, Millis, OFF_OR_TIME, SOME, Supervision, SupervisionTable, TIME,
    WhenDependencyStops, Wrong, time, within,
};
use super::http::{AllowedHost, Http};
use crate::bus::{BYTES, ROOM, WhenFull};

/// How much a service takes at once.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Service {
    /// `lanes`: threads that answer its requests. With one they are answered in their order.
    pub lanes: usize,
    /// `mailbox`: requests that may wait; more are turned away.
    pub mailbox: usize,
    /// `messages`: messages that may wait.
    pub messages: usize,
    /// `message_bytes`: bytes of these; one message that is larger is taken where none waits.
    pub message_bytes: usize,
    /// `max_streams`: streams of it that may be open; more are refused. Each is a thread.
    pub max_streams: usize,
    /// `when_full = "block" | "reject" | "drop-oldest"`: what happens to one message more.
    pub when_full: WhenFull,
    /// `when_stopped = "reject" | "keep"`: what becomes of messages while it is stopped.
    pub when_stopped: WhenStopped,
    /// `store`: the service that keeps its keys and values.
    pub store: String,
    /// `http`: whom it may ask by HTTP.
    pub http: Http,
    /// `when_dependency_stops = "keep" | "stop" | "restart"`: what becomes of it when a service stops that it requires.
    pub when_dependency_stops: WhenDependencyStops,
    /// `deadline_ms`: how long a request waits whose caller does not say. 30 s where this does not, either.
    pub deadline: Option<Duration>,
    /// `max_concurrent`: calls and requests that may be inside, or wait for a lane, at once; more are refused.
    pub max_concurrent: Option<u32>,
    /// `max_rate`: calls and requests per second; more are refused, and told when to try again.
    pub max_rate: Option<u32>,
    /// `max_burst`: so many of them may come at once after a pause; `max_rate` by default.
    pub max_burst: Option<u32>,
    /// `retries`: so many times is tried again what was not answered, of methods that the plugin declares idempotent.
    pub retries: u32,
    /// `retry_pause_ms`: before the first of them; twice as long before each that follows, a quarter more or less.
    pub retry_pause: Duration,
    /// `[service.NAME.breaker]`; without it there is none.
    pub breaker: Option<Breaker>,
    /// `[service.NAME.supervision]`; without it `[supervision]` holds.
    pub supervision: Option<Supervision>,
}

/// What becomes of messages to a service that is stopped, or broke down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenStopped {
    /// They are not taken, and their senders are told; those that wait when it stops are dropped, and counted as that.
    #[default]
    Reject,
    /// They wait, as many as may; in memory, so no longer than the host runs.
    Keep,
}

impl Default for Service {
    fn default() -> Self {
        // At 1 ms each, a second's worth may wait.
        Self {
            lanes: 1,
            mailbox: 1024,
            messages: ROOM,
            message_bytes: BYTES,
            max_streams: 64,
            when_full: WhenFull::default(),
            when_stopped: WhenStopped::default(),
            store: "kv".to_owned(),
            http: Http::default(),
            when_dependency_stops: WhenDependencyStops::default(),
            deadline: None,
            max_concurrent: None,
            max_rate: None,
            max_burst: None,
            retries: 0,
            retry_pause: Duration::from_millis(20),
            breaker: None,
            supervision: None,
        }
    }
}

/// `[service.NAME]`
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceTable {
    lanes: Count,
    mailbox: Count,
    messages: Count,
    message_bytes: Count,
    max_streams: Count,
    when_full: Option<WhenFull>,
    when_stopped: Option<WhenStopped>,
    store: Option<Spanned<String>>,
    #[serde(default)]
    http: HttpTable,
    when_dependency_stops: Option<WhenDependencyStops>,
    deadline_ms: Millis,
    max_concurrent: Count,
    max_rate: Count,
    max_burst: Count,
    retries: Count,
    retry_pause_ms: Millis,
    breaker: Option<BreakerTable>,
    supervision: Option<SupervisionTable>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct HttpTable {
    #[serde(default)]
    hosts: Vec<Spanned<String>>,
    private: Option<bool>,
}

/// Each lane is a thread.
const LANES: RangeInclusive<u64> = 1..=256;
/// Room for all of them is made at once.
const MAILBOX: RangeInclusive<u64> = 1..=1_000_000;
/// Each stream that is open is a thread.
const STREAMS: RangeInclusive<u64> = 1..=4096;
const MESSAGE_BYTES: RangeInclusive<u64> = 4096..=1 << 40;
/// More would have callers wait for what does not come.
const RETRIES: RangeInclusive<u64> = 0..=10;

impl ServiceTable {
    /// Lays it over a service's defaults; `all` is `[supervision]`.
    pub(super) fn over(self, service: &mut Service, all: &Supervision) -> Result<(), Wrong> {
        let small = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
        let size = |into: &mut usize, value: Count, range| {
            let number = within(value, range, "")?.and_then(|number| usize::try_from(number).ok());
            *into = number.unwrap_or(*into);
            Ok::<_, Wrong>(())
        };
        size(&mut service.lanes, self.lanes, &LANES)?;
        size(&mut service.mailbox, self.mailbox, &MAILBOX)?;
        size(&mut service.messages, self.messages, &MAILBOX)?;
        size(&mut service.message_bytes, self.message_bytes, &MESSAGE_BYTES)?;
        size(&mut service.max_streams, self.max_streams, &STREAMS)?;
        service.when_full = self.when_full.unwrap_or(service.when_full);
        service.when_stopped = self.when_stopped.unwrap_or(service.when_stopped);
        if let Some(store) = self.store {
            let (at, store) = (store.span().start, store.into_inner());
            if !manifest::is_valid_name(&store) {
                return Err((at, format!("no plugin can be called `{store}`: names are [a-z0-9_-]{{1,64}}")));
            }
            service.store = store;
        }
        for host in self.http.hosts {
            let allowed = AllowedHost::parse(host.get_ref());
            service.http.hosts.push(allowed.map_err(|problem| (host.span().start, problem))?);
        }
        service.http.private = self.http.private.unwrap_or(service.http.private);
        service.when_dependency_stops = self.when_dependency_stops.unwrap_or_default();
        service.deadline = within(self.deadline_ms, &TIME, " ms")?.map(Duration::from_millis);
        service.max_concurrent = within(self.max_concurrent, &SOME, "")?.map(small);
        if let (Some(burst), None) = (&self.max_burst, &self.max_rate) {
            let problem = "a burst is of a rate: set `max_rate` as well".to_owned();
            return Err((burst.span().start, problem));
        }
        service.max_rate = within(self.max_rate, &SOME, " calls per second")?.map(small);
        service.max_burst = within(self.max_burst, &SOME, "")?.map(small);
        service.retries = within(self.retries, &RETRIES, "")?.map_or(0, small);
        time(&mut service.retry_pause, self.retry_pause_ms, &OFF_OR_TIME)?;
        service.breaker = self.breaker.map(BreakerTable::read).transpose()?;
        if let Some(table) = self.supervision {
            service.supervision = Some(table.over(all.clone())?);
        }
        Ok(())
    }
}
