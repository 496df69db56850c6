//! What stands behind options: targets, headers, times.

use std::time::Duration;

use crate::config::level::{Spell, spelt};

/// What `call` calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Target {
    pub(in crate::cli) service: String,
    pub(in crate::cli) method: String,
}

pub(super) fn target(text: &str) -> Result<Target, String> {
    // A service's name has no dot; a method's may.
    match text.split_once('.') {
        Some((service, method)) if !service.is_empty() && !method.is_empty() => {
            Ok(Target { service: service.to_owned(), method: method.to_owned() })
        }
        _ => Err("name service and method, as in `greeter.greet`".to_owned()),
    }
}

/// A level of the log, or `None` for what the file says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) struct Wanted(pub(in crate::cli) Option<Spell>);

pub(super) fn level(text: &str) -> Result<Wanted, String> {
    let known = [Spell::Error, Spell::Warn, Spell::Info, Spell::Debug, Spell::Trace];
    match known.into_iter().find(|known| spelt((*known).into()) == text) {
        Some(level) => Ok(Wanted(Some(level))),
        None if text == "default" => Ok(Wanted(None)),
        None => {
            Err("write error, warn, info, debug or trace; or default, for what hotbay.toml says".to_owned())
        }
    }
}

pub(super) fn header(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("name a header and its value, as in `trace=7`".to_owned()),
    }
}

/// A day: beyond it a deadline is none.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err("write a time as `30s`, `500ms` or `2m`".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "write a time as `30s`, `500ms` or `2m`".to_owned())?;
    match Duration::try_from_secs_f64(number * seconds) {
        Ok(time) if time >= Duration::from_millis(1) && time <= LONGEST => Ok(time),
        _ => Err("a time is from 1 ms to 24 hours".to_owned()),
    }
}

/// The deadline as it is sent.
pub(in crate::cli) fn millis(deadline: Duration) -> u64 {
    u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_and_limits() {
        for (text, ms) in
            [("30", 30_000), ("1.5", 1500), ("500ms", 500), ("2m", 120_000), ("24h", 86_400_000)]
        {
            assert_eq!(duration(text).map(millis), Ok(ms), "{text}");
        }
        for text in ["", "0", "0ms", "-1", "25h", "1d", "s", "1e9", "1.2.3", "nan", "inf"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_target_is_a_service_and_a_method() {
        let target = |text| super::target(text).map(|t| (t.service, t.method));
        assert_eq!(target("a.b.c"), Ok(("a".to_owned(), "b.c".to_owned())));
        for text in ["", "a", "a.", ".b"] {
            assert!(target(text).is_err(), "{text}");
        }
    }
}
