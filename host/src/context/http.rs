//! Requests that the host makes for a plugin: only to hosts that the settings list for it, redirects included, within one time for
//! all of it, and once more only where that does no harm.
//!
//! What goes over the wire is `client`'s; which addresses a name may lead to is `resolve`'s.

mod client;
mod resolve;
mod url;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use client::Client;
use url::Url;

use crate::bus::Trace;
use crate::kernel::restarts::chance;
use crate::{bus, config};

/// How long a request may take where nobody says, and at most.
const USUAL: Duration = Duration::from_secs(30);
const LONGEST: Duration = Duration::from_secs(600);
/// How long an answer may be where nobody says, and at most: it is in memory whole, twice.
const ROOM: u64 = 16 << 20;
const MOST_ROOM: u64 = 256 << 20;
/// Tries beyond these help nobody.
const MOST_RETRIES: u32 = 10;
/// Redirects that are followed.
const HOPS: usize = 5;
/// The first pause before another try; the next ones are twice as long each.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Methods that do the same when they come twice.
const IDEMPOTENT: [&str; 6] = ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"];
/// Headers by which another host would be asked than the URL says, or another body sent.
const OURS: [&str; 6] = ["host", "content-length", "transfer-encoding", "connection", "upgrade", "te"];
/// Headers by which a request belongs to a trace.
const TRACE: [&str; 2] = ["traceparent", "tracestate"];
/// Headers that are for the host that was asked, and no other.
const SECRET: [&str; 3] = ["authorization", "cookie", "proxy-authorization"];

/// What asks for one generation, with its connections.
#[derive(Debug)]
pub(crate) struct Http {
    plugin: Arc<str>,
    client: Mutex<Arc<Client>>,
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    pub(crate) body: &'a [u8],
    /// Zero for the usual.
    pub(crate) timeout: Duration,
    /// 0 for the usual.
    pub(crate) max_bytes: u64,
    pub(crate) retries: u32,
    pub(crate) follows: bool,
}

/// What was answered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HttpError {
    /// That is nothing that can be asked.
    #[error("failed to ask {url}: {why}")]
    Malformed { url: String, why: String },
    /// The settings do not list it.
    #[error(
        "failed to ask {url}: plugin `{plugin}` may not ask host `{host}`; if it is to, add it to `hosts` under `[service.{plugin}.http]` in hotbay.toml"
    )]
    NotAllowed { url: String, plugin: Arc<str>, host: String },
    /// It leads somewhere that the settings do not allow.
    #[error("failed to ask {url}: {why}")]
    Refused { url: String, why: String },
    /// The time is over.
    #[error("failed to ask {url}: there was no answer within {} ms", timeout.as_millis())]
    TimedOut { url: String, timeout: Duration },
    /// More came than was asked for.
    #[error("failed to ask {url}: the answer is longer than {max_bytes} bytes")]
    TooLong { url: String, max_bytes: u64 },
    /// It could not be had.
    #[error("failed to ask {url}: {why}")]
    Failed { url: String, why: String },
}

/// One request over the wire.
struct Sent<'a> {
    method: &'a str,
    url: &'a Url,
    headers: &'a [(&'a str, &'a str)],
    body: &'a [u8],
    left: Duration,
    max_bytes: u64,
}

/// What came of it.
enum Came {
    Answer(Answered),
    /// The time is over.
    Late,
    TooLong,
    /// It will not be otherwise the next time.
    Refused(String),
    /// It may.
    Failed(String),
}

impl Http {
    pub(crate) fn new(plugin: &Arc<str>) -> Self {
        Self { plugin: Arc::clone(plugin), client: Mutex::new(Client::new(&config::Http::default())) }
    }

    /// Asks, on this thread, whom the settings allow by now.
    pub(crate) fn ask(&self, allowed: &config::Http, asked: &Asked<'_>) -> Result<Answered, HttpError> {
        let client = self.client(allowed);
        let malformed = |why: String| HttpError::Malformed { url: shown(asked.url), why };
        if let Some((name, _)) = asked.headers.iter().find(|(name, _)| is_among(&OURS, name)) {
            return Err(malformed(format!("header `{name}` is the host's to write")));
        }
        let mut url = Url::parse(asked.url).map_err(malformed)?;
        let (mut method, mut body, mut headers) = (asked.method, asked.body, asked.headers.clone());
        // It belongs to the trace of who asks, unless the plugin says itself to which.
        let trace = Trace::current().filter(|_| headers.iter().all(|(name, _)| !is_among(&TRACE, name)));
        let trace = trace.map(|trace| (trace.next().to_string(), trace));
        if let Some((parent, trace)) = &trace {
            headers.extend([("traceparent", parent.as_str())]);
            headers.extend(trace.state().map(|state| ("tracestate", state)));
        }
        let timeout = if asked.timeout.is_zero() { USUAL } else { asked.timeout.min(LONGEST) };
        // No longer than who called the plugin waits.
        let timeout = bus::remaining().map_or(timeout, |left| left.min(timeout));
        let until = Instant::now() + timeout;
        for _ in 0..=HOPS {
            self.require(allowed, &url)?;
            let answered = tries(&client, asked, method, &url, &headers, body, until, timeout)?;
            let location = answered.headers.iter().find(|(name, _)| name == "location");
            let next = match (answered.status, location) {
                (301 | 302 | 303 | 307 | 308, Some((_, location))) if asked.follows => location,
                _ => return Ok(answered),
            };
            let next = url.join(next).map_err(|why| HttpError::Failed { url: url.to_string(), why })?;
            if url.is_secure() && !next.is_secure() {
                let why = format!("it redirects to {next}, which is not encrypted");
                return Err(HttpError::Refused { url: url.to_string(), why });
            }
            if !url.is_same_origin(&next) {
                headers.retain(|(name, _)| !is_among(&SECRET, name));
            }
            if answered.status == 303 && method != "HEAD" || answered.status < 303 && method == "POST" {
                method = "GET";
                body = &[];
                headers.retain(|(name, _)| !name.to_ascii_lowercase().starts_with("content-"));
            }
            url = next;
        }
        let why = format!("it redirects more than {HOPS} times, to {url} at last");
        Err(HttpError::Failed { url: shown(asked.url), why })
    }

    /// Connections for this list: of one to which another list has led nothing is left.
    fn client(&self, allowed: &config::Http) -> Arc<Client> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.allowed() != allowed {
            *client = Client::new(allowed);
        }
        Arc::clone(&client)
    }

    fn require(&self, allowed: &config::Http, url: &Url) -> Result<(), HttpError> {
        if allowed.find(url.host(), url.port(), url.is_at_schemes_port()).is_some() {
            return Ok(());
        }
        let host = url.host_and_port();
        Err(HttpError::NotAllowed { url: url.to_string(), plugin: Arc::clone(&self.plugin), host })
    }
}

/// One hop, tried again where that does no harm.
#[allow(clippy::too_many_arguments, reason = "what changes from hop to hop, beside what does not")]
fn tries(
    client: &Client,
    asked: &Asked<'_>,
    method: &str,
    url: &Url,
    headers: &[(&str, &str)],
    body: &[u8],
    until: Instant,
    timeout: Duration,
) -> Result<Answered, HttpError> {
    let idempotent = IDEMPOTENT.contains(&method);
    let retries = if idempotent { asked.retries.min(MOST_RETRIES) } else { 0 };
    let max_bytes = if asked.max_bytes == 0 { ROOM } else { asked.max_bytes.min(MOST_ROOM) };
    let late = || HttpError::TimedOut { url: url.to_string(), timeout };
    let mut tried = 0;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(late());
        }
        let came = client.send(&Sent { method, url, headers, body, left, max_bytes });
        let (pause, ended) = match came {
            Came::Answer(answer) if is_busy(answer.status) => {
                (asked_for(&answer).unwrap_or_default().max(pause(tried)), Ok(answer))
            }
            Came::Answer(answer) => return Ok(answer),
            Came::Late => return Err(late()),
            Came::TooLong => return Err(HttpError::TooLong { url: url.to_string(), max_bytes }),
            Came::Refused(why) => return Err(HttpError::Refused { url: url.to_string(), why }),
            Came::Failed(why) => (pause(tried), Err(HttpError::Failed { url: url.to_string(), why })),
        };
        // What there is, where there is no time for more.
        if tried >= retries || pause >= until.saturating_duration_since(Instant::now()) {
            return ended;
        }
        tried += 1;
        std::thread::sleep(pause);
    }
}

/// Whether the other side may answer otherwise soon.
fn is_busy(status: u16) -> bool {
    matches!(status, 429 | 502 | 503 | 504)
}

/// How long it wants to be left alone, in seconds; a date is for those who wait longer than this does.
fn asked_for(answer: &Answered) -> Option<Duration> {
    let (_, seconds) = answer.headers.iter().find(|(name, _)| name == "retry-after")?;
    seconds.trim().parse().ok().map(Duration::from_secs)
}

/// Twice as long each time, and of that a part by chance: who failed together is not to come back together.
fn pause(tried: u32) -> Duration {
    let whole = PAUSE.saturating_mul(1 << tried.min(16)).min(LONGEST_PAUSE);
    whole.mul_f64(0.5 + chance() / 2.0)
}

fn is_among(names: &[&str], name: &str) -> bool {
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// What a plugin wrote may be long, and may speak to a terminal.
fn shown(url: &str) -> String {
    url.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
