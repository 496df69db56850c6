//! `hotbay.toml` of any bytes: settings that are within their limits, or an error that says where.

use std::path::Path;
use std::time::Duration;

use crate::config::{Config, ConfigError};
use crate::trust::keys::PublicKey;
use crate::verify::Digest;

/// The text of a configuration file.
///
/// # Panics
/// What must hold does not.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    match Config::parse(text, Path::new("folder/hotbay.toml")) {
        Ok(config) => is_within_limits(&config),
        Err(error) => {
            assert!(!matches!(error, ConfigError::Read { .. }), "nothing was to be read");
            assert!(!error.to_string().is_empty());
        }
    }
}

fn is_within_limits(config: &Config) {
    let hour = Duration::from_secs(60 * 60);
    let Config { watch, swap, probation, state, probe, trust, service, plugin, .. } = config;
    let times =
        [watch.settle, watch.rescan, watch.grace, swap.callback, swap.drain, state.interval, probe.deadline];
    assert!(times.iter().all(|time| !time.is_zero() && *time <= hour), "{config:?}");
    assert!(probation.window <= hour && (0.0..=1.0).contains(&probation.max_error_rate));
    assert!((1..=probation.window_calls).contains(&probation.min_calls));
    assert!(state.max_bytes > 0 && (1..=1000).contains(&state.keep) && !state.keys.is_empty());
    assert!(trust.keys.values().all(|key| PublicKey::parse(&key.key).is_ok()));
    assert!(
        trust
            .pins
            .values()
            .all(|pins| { !pins.is_empty() && pins.iter().all(|digest| Digest::parse(digest).is_some()) })
    );
    assert!(
        service
            .values()
            .all(|room| { (1..=256).contains(&room.lanes) && (1..=1_000_000).contains(&room.mailbox) })
    );
    for (name, table) in plugin {
        // It is handed to the plugin as text.
        let again = serde_json::from_str::<serde_json::Value>(&table.to_string());
        assert!(again.is_ok_and(|again| again.is_object()), "the plugin `{name}` cannot read its table");
    }
}
