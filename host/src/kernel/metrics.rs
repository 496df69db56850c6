//! The metrics: what was counted, as it is at one moment. Nothing is kept for them that is not counted anyway; what belongs to a
//! generation that is gone is in none of them.

use std::time::Duration;

use super::counting::{Counting, ENDS};
pub use super::guard::Refused;
use super::view::{BreakerView, Phase, Snapshot};
use crate::bus::Mailed;

/// Of a host.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// By name.
    pub services: Vec<ServiceMetrics>,
    /// Mailboxes of services and of others; those of one name and queue group are one.
    pub mailboxes: Vec<Mailed>,
}

/// Of one service, in this run of the host.
#[derive(Debug, Clone)]
pub struct ServiceMetrics {
    /// The service.
    pub name: String,
    /// Where it is in its life.
    pub phase: Phase,
    /// Calls that were answered, by all of its generations.
    pub calls: u64,
    /// Of these, with an error.
    pub errors: u64,
    /// Calls that its limits or its breaker did not let in; none of them is in `calls`.
    pub refused: Refused,
    /// Streams of it that are open.
    pub streams: u64,
    /// Swaps that were committed, ways back among them.
    pub swaps: u64,
    /// Swaps that failed, after which the old generation served on.
    pub rolled_back: u64,
    /// Restarts by supervision.
    pub restarts: u64,
    /// Its circuit breaker, where it has one.
    pub breaker: Option<BreakerView>,
    /// The newest durable snapshot.
    pub snapshot: Option<Snapshot>,
    /// Old generations whose code is still mapped.
    pub pinned_generations: u64,
    /// Size of their files, bytes.
    pub pinned_bytes: u64,
    /// The generation that serves.
    pub generation: Option<GenerationMetrics>,
}

/// Of one generation.
#[derive(Debug, Clone)]
pub struct GenerationMetrics {
    /// Its number.
    pub number: u64,
    /// Its version.
    pub version: String,
    /// Calls that are inside, and requests that wait for their turn.
    pub in_flight: u64,
    /// Requests and deliveries that wait for a thread of its lane.
    pub waiting: u64,
    /// Requests that may wait.
    pub room: u64,
    /// Requests that were turned away since there was no room.
    pub turned_away: u64,
    /// Requests whose deadline passed, while they waited for their turn or while a thread was in them.
    pub late: u64,
    /// Messages that it was brought and has answered.
    pub messages: u64,
    /// Of these, with an error.
    pub messages_failed: u64,
    /// By method. One without a name is of calls that are counted without theirs: such as run inline by name, or ask for what the
    /// manifest does not name.
    pub methods: Vec<MethodMetrics>,
}

/// Of one method of a generation, once it was called.
#[derive(Debug, Clone)]
pub struct MethodMetrics {
    /// The method.
    pub name: String,
    /// Calls that are over.
    pub calls: u64,
    /// Of these, such as failed by the plugin's doing.
    pub faults: u64,
    /// Of these, such as failed by the caller's: there is no such method.
    pub mistakes: u64,
    /// Of these, such as were given up while they waited for their turn.
    pub expired: u64,
    /// Requests through the lane, by how long they took for who asked: the upper ends of the parts, with how many are in each and
    /// in none of those before; the last part has no end.
    pub latency: Vec<(Option<Duration>, u64)>,
    /// All of their time.
    pub latency_sum: Duration,
}

/// By method, of a generation with these.
pub(crate) fn methods(counting: &Counting, names: &[String]) -> Vec<MethodMetrics> {
    let ends = || ENDS.iter().map(|end| Some(Duration::from_nanos(*end))).chain([None]);
    let all = counting.each().map(|(number, counted)| {
        let (counts, (parts, sum_ns)) = (counted.tally.counts(), counted.latency.parts());
        MethodMetrics {
            name: number.and_then(|number| names.get(number)).cloned().unwrap_or_default(),
            calls: counts.over(),
            faults: counts.faults(),
            mistakes: counts.mistaken,
            expired: counts.expired,
            latency: ends().zip(parts).collect(),
            latency_sum: Duration::from_nanos(sum_ns),
        }
    });
    all.filter(|method| method.calls > 0 || method.latency.iter().any(|(_, count)| *count > 0)).collect()
}
