//! What stands in a request: path, query, headers, body.

use std::time::Duration;

use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request as Incoming};
use http_body_util::BodyExt as _;
use hyper::body::Body as _;
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, timeout_at};

use super::problem::Problem;
use super::room::Room;
use crate::bus::Trace;
use crate::control::exit::Exit;
use crate::error::Code;

/// Most bytes of a body. It is read whole.
const MAX_BODY: usize = 16 << 20;

/// A body comes within this time, and a second more for each MiB.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long an answer may take where nobody says, and where somebody says more.
const DEADLINE_MS: u64 = 30_000;
const MAX_DEADLINE_MS: u64 = 600_000;

/// Headers of a request that begin so stand beside the bytes of the message that it publishes.
const HEADER: &str = "hotbay-header-";

pub(super) type Named = Result<Path<String>, PathRejection>;
pub(super) type Asked<T> = Result<Query<T>, QueryRejection>;

/// How long the answer may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Waiting {
    /// Milliseconds that the answer may take; 30,000 without, 600,000 at most.
    pub(super) timeout_ms: Option<u64>,
}

/// How long a plugin may take.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Calling {
    /// Milliseconds that the answer may take; without, what the service's settings say, else 30,000; 600,000 at most.
    pub(super) timeout_ms: Option<u64>,
}

/// How a service is stopped.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Stopping {
    /// Also where its state cannot be kept: it then has that of its newest snapshot.
    pub(super) force: bool,
    /// Milliseconds that the answer may take; 30,000 without, 600,000 at most.
    pub(super) timeout_ms: Option<u64>,
}

/// How a swap is made.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Swapping {
    /// Where the old version does not hand its state over, go on from the newest snapshot.
    pub(super) force: bool,
    /// Milliseconds that the answer may take; 30,000 without, 600,000 at most.
    pub(super) timeout_ms: Option<u64>,
}

/// How a service is started.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Starting {
    /// Begin with empty state; the old file is kept aside.
    pub(super) fresh: bool,
    /// Milliseconds that the answer may take; 30,000 without, 600,000 at most.
    pub(super) timeout_ms: Option<u64>,
}

/// How a message is published.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Publishing {
    /// Wait until every mailbox took it, or say which did not: with 504 where one was full until the time was over, else with 409.
    pub(super) confirm: bool,
    /// Milliseconds that the answer may take; 30,000 without, 600,000 at most.
    pub(super) timeout_ms: Option<u64>,
}

/// Where events begin.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Beginning {
    /// Begin with so many of the past.
    pub(super) past: usize,
}

/// How to subscribe.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Subscribing {
    /// As a member of this queue group: of each message one member gets it.
    pub(super) queue: Option<String>,
}

/// A body, with its part of the room that there is for all of them.
#[derive(Debug, Default)]
pub(super) struct Whole {
    pub(super) bytes: Vec<u8>,
    pub(super) room: Option<OwnedSemaphorePermit>,
}

/// The body, to its end, if it has one. There is to be room for it before the first byte is read, within `deadline_ms`.
pub(super) async fn whole(incoming: Incoming, room: &Room, deadline_ms: u64) -> Result<Whole, Problem> {
    let too_large = || {
        let message = format!("failed to read the body: it has more than {MAX_BODY} bytes");
        Problem::new(Exit::Refused, Code::HttpTooLarge, message)
    };
    let announced = incoming.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    // One whose length is not told may have any.
    let most = match announced.and_then(|length| length.parse::<u64>().ok()) {
        None if incoming.body().is_end_stream() => 0,
        None => MAX_BODY,
        Some(length) => usize::try_from(length).unwrap_or(usize::MAX),
    };
    if most > MAX_BODY {
        return Err(too_large());
    }
    let room = Some(room.body(most, Duration::from_millis(deadline_ms)).await?);
    let began = Instant::now();
    let (mut body, mut bytes) = (incoming.into_body(), Vec::new());
    loop {
        let until = began + PATIENCE + Duration::from_secs(bytes.len() as u64 >> 20);
        let frame = timeout_at(until, body.frame()).await.map_err(|_| {
            Problem::new(
                Exit::TimedOut,
                Code::HttpTooSlow,
                "failed to read the body: it did not come in time",
            )
        })?;
        let Some(frame) = frame else { return Ok(Whole { bytes, room }) };
        let frame = frame.map_err(|error| {
            Problem::new(Exit::Usage, Code::HttpWrong, format!("failed to read the body: {error}"))
        })?;
        if let Some(data) = frame.data_ref() {
            if bytes.len() + data.len() > MAX_BODY {
                return Err(too_large());
            }
            bytes.extend_from_slice(data);
        }
    }
}

/// The trace that a request belongs to: one that stands there twice is none, as the standard has it.
pub(super) fn trace(headers: &HeaderMap) -> Option<Trace> {
    let mut all = headers.get_all("traceparent").iter();
    let (parent, others) = (all.next()?.to_str().ok()?, all.next());
    let state =
        headers.get_all("tracestate").iter().filter_map(|state| state.to_str().ok()).collect::<Vec<_>>();
    Trace::read(parent, Some(&state.join(","))).filter(|_| others.is_none())
}

/// What is to stand beside a message's bytes.
pub(super) fn beside(headers: &HeaderMap) -> Result<Vec<(String, String)>, Problem> {
    let own = headers.iter().filter_map(|(name, value)| Some((name.as_str().strip_prefix(HEADER)?, value)));
    own.map(|(name, value)| match value.to_str() {
        Ok(_) if name.is_empty() => {
            let message =
                format!("failed to understand the header `{HEADER}`: name it, as in `{HEADER}trace`");
            Err(Problem::new(Exit::Usage, Code::HttpWrong, message))
        }
        Ok(value) => Ok((name.to_owned(), value.to_owned())),
        Err(_) => {
            let message = format!("failed to understand the header `{HEADER}{name}`: it is no plain text");
            Err(Problem::new(Exit::Usage, Code::HttpWrong, message))
        }
    })
    .collect()
}

pub(super) fn named(name: Named) -> Result<String, Problem> {
    name.map(|Path(name)| name).map_err(wrong("path"))
}

pub(super) fn asked_for<T>(asked: Asked<T>) -> Result<T, Problem> {
    asked.map(|Query(asked)| asked).map_err(wrong("query"))
}

/// What of the request cannot be read, and why: said by the innermost error, which names it.
pub(super) fn wrong<E: std::error::Error>(what: &'static str) -> impl Fn(E) -> Problem {
    move |error| {
        let mut why: &dyn std::error::Error = &error;
        while let Some(source) = why.source() {
            why = source;
        }
        Problem::new(Exit::Usage, Code::HttpWrong, format!("failed to understand the {what}: {why}"))
    }
}

pub(super) fn deadline(asked: Option<u64>) -> u64 {
    asked.unwrap_or(DEADLINE_MS).min(MAX_DEADLINE_MS)
}
