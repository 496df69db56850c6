//! How services are supervised, and their breakers: `[supervision]`, `[service.NAME.supervision]`, `[service.NAME.breaker]`.

use std::ops::RangeInclusive;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use toml::Spanned;

/// What has a service restarted from its last snapshot, and how often that may be.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Supervision {
    /// `panics`: so many panics with no good answer between them, in whatever it does; 1 is each panic, 0 none.
    pub panics: u64,
    /// `hang_ms`: a thread is inside a call, a message or a tick whose deadline has passed for so long; 0 turns it off.
    pub hang: Duration,
    /// `max_error_rate`: a larger share of calls and messages fails; `None`, the default, turns it off.
    pub max_error_rate: Option<f64>,
    /// `min_calls`: with fewer calls in `error_window` nothing is judged by their share.
    pub min_calls: u64,
    /// `error_window_ms`: what that share is taken over.
    pub error_window: Duration,
    /// `max_restarts`: so many within `window`; where one more would be due the service is quarantined.
    pub max_restarts: u64,
    /// `window_ms`.
    pub window: Duration,
    /// `backoff_ms`: before the first restart within `window`; twice as long before each that follows.
    pub backoff: Duration,
    /// `max_backoff_ms`: no longer than that, a quarter of jitter aside.
    pub max_backoff: Duration,
}

impl Default for Supervision {
    fn default() -> Self {
        Self {
            // One panic is an answer to one caller, and whoever can send it must not be able to take the service from all others.
            // Where nobody gets anything else any more, it is broken: most often by a lock that the first one poisoned.
            panics: 5,
            // Long for any caller, who may just have been impatient.
            hang: Duration::from_secs(30),
            // An error is an answer: a service whose own dependency is down is none the better for a restart.
            max_error_rate: None,
            min_calls: 20,
            error_window: Duration::from_secs(10),
            max_restarts: 3,
            window: Duration::from_secs(60),
            backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(10),
        }
    }
}

/// `[service.NAME.breaker]`: when calls of the service are refused at once, for a while.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Breaker {
    /// `error_rate`: it opens where a larger share of calls fails, or is not over in time.
    pub error_rate: f64,
    /// `min_calls`: and there were so many within `window`.
    pub min_calls: u64,
    /// `window_ms`.
    pub window: Duration,
    /// `open_ms`: for so long nobody is let in, and so long may take who is let in then.
    pub open: Duration,
    /// `trials`: so many are let in then, and when so many were answered well it closes.
    pub trials: u64,
}

impl Default for Breaker {
    fn default() -> Self {
        let (window, open) = (Duration::from_secs(10), Duration::from_secs(5));
        Self { error_rate: 0.5, min_calls: 20, window, open, trials: 3 }
    }
}

/// What becomes of a service when one stops that it requires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenDependencyStops {
    /// It serves on; its calls there are refused meanwhile.
    #[default]
    Keep,
    /// It is stopped before, and starts again when the other one does.
    Stop,
    /// It serves on, and is restarted when the other one serves again.
    Restart,
}

pub(super) type Millis = Option<Spanned<u64>>;
pub(super) type Count = Option<Spanned<u64>>;

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub(super) struct SupervisionTable {
    panics: Count,
    hang_ms: Millis,
    max_error_rate: Option<Spanned<f64>>,
    min_calls: Count,
    error_window_ms: Millis,
    max_restarts: Count,
    window_ms: Millis,
    backoff_ms: Millis,
    max_backoff_ms: Millis,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BreakerTable {
    error_rate: Option<Spanned<f64>>,
    min_calls: Count,
    window_ms: Millis,
    open_ms: Millis,
    trials: Count,
}

/// Where it is wrong, and how.
pub(super) type Wrong = (usize, String);

const HOUR: u64 = 60 * 60 * 1000;
pub(super) const OFF_OR_TIME: RangeInclusive<u64> = 0..=HOUR;
pub(super) const TIME: RangeInclusive<u64> = 1..=HOUR;
/// Ten samples are taken in a window.
const WINDOW: RangeInclusive<u64> = 100..=HOUR;
const ANY: RangeInclusive<u64> = 0..=1_000_000;
pub(super) const SOME: RangeInclusive<u64> = 1..=1_000_000;
pub(super) fn within(value: Count, range: &RangeInclusive<u64>, unit: &str) -> Result<Option<u64>, Wrong> {
    let Some(value) = value else { return Ok(None) };
    if range.contains(value.get_ref()) {
        return Ok(Some(value.into_inner()));
    }
    let (low, high) = (range.start(), range.end());
    Err((value.span().start, format!("{}{unit} is out of range: from {low} to {high}", value.get_ref())))
}

fn count(into: &mut u64, value: Count, range: &RangeInclusive<u64>) -> Result<(), Wrong> {
    *into = within(value, range, "")?.unwrap_or(*into);
    Ok(())
}

pub(super) fn time(into: &mut Duration, value: Millis, range: &RangeInclusive<u64>) -> Result<(), Wrong> {
    *into = within(value, range, " ms")?.map_or(*into, Duration::from_millis);
    Ok(())
}

fn rate(value: Option<Spanned<f64>>) -> Result<Option<f64>, Wrong> {
    let Some(value) = value else { return Ok(None) };
    if (0.0..=1.0).contains(value.get_ref()) {
        return Ok(Some(value.into_inner()));
    }
    Err((value.span().start, format!("{} is out of range: a rate is from 0.0 to 1.0", value.get_ref())))
}

impl SupervisionTable {
    /// Lays it over what holds otherwise.
    pub(super) fn over(self, mut rules: Supervision) -> Result<Supervision, Wrong> {
        count(&mut rules.panics, self.panics, &ANY)?;
        time(&mut rules.hang, self.hang_ms, &OFF_OR_TIME)?;
        rules.max_error_rate = rate(self.max_error_rate)?.or(rules.max_error_rate);
        count(&mut rules.min_calls, self.min_calls, &SOME)?;
        time(&mut rules.error_window, self.error_window_ms, &WINDOW)?;
        count(&mut rules.max_restarts, self.max_restarts, &ANY)?;
        time(&mut rules.window, self.window_ms, &TIME)?;
        time(&mut rules.backoff, self.backoff_ms, &OFF_OR_TIME)?;
        time(&mut rules.max_backoff, self.max_backoff_ms, &OFF_OR_TIME)?;
        Ok(rules)
    }
}

impl BreakerTable {
    pub(super) fn read(self) -> Result<Breaker, Wrong> {
        let mut rules = Breaker::default();
        rules.error_rate = rate(self.error_rate)?.unwrap_or(rules.error_rate);
        count(&mut rules.min_calls, self.min_calls, &SOME)?;
        time(&mut rules.window, self.window_ms, &WINDOW)?;
        time(&mut rules.open, self.open_ms, &TIME)?;
        count(&mut rules.trials, self.trials, &SOME)?;
        Ok(rules)
    }
}
