//! Times for people.

use std::time::{SystemTime, UNIX_EPOCH};

pub(super) use crate::kernel::clock::stamp;

/// `2026-01-02 03:04:05Z, 5 min ago`
pub(super) fn stamp_and_age(unix_ms: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let age = now.saturating_sub(unix_ms / 1000);
    let age = match age {
        0..120 => format!("{age} s"),
        120..7200 => format!("{} min", age / 60),
        7200..172_800 => format!("{} h", age / 3600),
        _ => format!("{} days", age / 86_400),
    };
    format!("{}, {age} ago", stamp(unix_ms))
}
