//! The settings as `hotbay config show` tells them: each with its value and where that comes from.

mod services;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Config, KeySource};
use services::{ms, of_service, of_supervision};

/// A setting that is in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// `watch.settle_ms`
    pub key: String,
    /// What it is. What is called a secret is not told.
    pub value: Value,
    /// Where that comes from.
    pub origin: Origin,
    /// File and line, where that is a file.
    #[serde(default)]
    pub place: Option<String>,
    /// What the file says by now, where that is not in force.
    #[serde(default)]
    pub waits: Option<Value>,
}

/// Where a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// The file of the settings.
    File,
    /// The command line, or the environment, when the host was started.
    CommandLine,
    /// A command to the running host, until that ends.
    Command,
}

impl Config {
    /// All settings, with where they come from.
    #[must_use]
    pub fn settings(&self) -> Vec<Setting> {
        let setting = |(key, value): (String, Value)| {
            let line = self.source.line(&key);
            let origin = match line {
                _ if self.source.is_over(&key) => Origin::CommandLine,
                Some(_) => Origin::File,
                None => Origin::Default,
            };
            let file = self.source.named().filter(|_| origin == Origin::File);
            let place = file.zip(line).map(|(file, line)| format!("{}:{line}", file.display()));
            Setting { value: told(&key, value), key, origin, place, waits: None }
        };
        self.values().into_iter().map(setting).collect()
    }

    /// All settings by their dotted keys, in the order of the file in the documentation.
    pub(crate) fn values(&self) -> Vec<(String, Value)> {
        let Config {
            plugins,
            home,
            watch,
            swap,
            probation,
            state,
            probe,
            trust,
            log,
            supervision,
            service,
            plugin,
            source: _,
        } = self;
        let mut all = vec![
            ("plugins", json!(plugins.display().to_string())),
            ("home", json!(home.display().to_string())),
        ];
        all.extend([
            ("watch.mode", json!(watch.mode)),
            ("watch.settle_ms", ms(&watch.settle)),
            ("watch.rescan_ms", ms(&watch.rescan)),
            ("watch.grace_ms", ms(&watch.grace)),
            ("swap.callback_ms", ms(&swap.callback)),
            ("swap.drain_ms", ms(&swap.drain)),
            ("swap.max_pinned_mib", json!(swap.max_pinned_mib)),
            ("swap.rehearse", json!(swap.rehearse)),
            ("probation.window_ms", ms(&probation.window)),
            ("probation.window_calls", json!(probation.window_calls)),
            ("probation.min_calls", json!(probation.min_calls)),
            ("probation.max_error_rate", json!(probation.max_error_rate)),
            ("state.interval_ms", ms(&state.interval)),
            ("state.max_bytes", json!(state.max_bytes)),
            ("state.keep", json!(state.keep)),
        ]);
        for key in &state.keys {
            all.push(match key {
                KeySource::Home => continue,
                KeySource::File(path) => ("state.key_file", json!(path.display().to_string())),
                KeySource::Credential(name) => ("state.key_credential", json!(name)),
                KeySource::Environment(name) => ("state.key_env", json!(name)),
            });
        }
        all.extend([
            ("probe.mode", json!(probe.mode)),
            ("probe.deadline_ms", ms(&probe.deadline)),
            ("probe.program", json!(probe.program.as_ref().map(|path| path.display().to_string()))),
            ("probe.memory_mib", json!(probe.memory.unwrap_or(0) >> 20)),
            ("probe.env", json!(probe.env)),
            ("trust.unsigned", json!(trust.unsigned)),
            ("trust.exposed_home", json!(trust.exposed_home)),
        ]);
        let mut all: Vec<(String, Value)> =
            all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        for (name, key) in &trust.keys {
            all.push((format!("trust.keys.{name}"), json!({"key": key.key, "services": key.services})));
        }
        for (name, pins) in &trust.pins {
            all.push((format!("trust.pins.{name}"), json!(pins)));
        }
        all.push(("log.level".to_owned(), spelt(log.level)));
        for (name, level) in &log.plugins {
            all.push((format!("log.plugins.{name}"), spelt(*level)));
        }
        all.extend(of_supervision("supervision", supervision));
        for (name, of) in service {
            all.extend(of_service(name, of));
        }
        for (name, table) in plugin {
            flatten(&format!("plugin.{name}"), table, &mut all);
        }
        all
    }
}

/// What is no table, with its dotted key.
fn flatten(key: &str, value: &Value, into: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(entries) if !entries.is_empty() => {
            for (name, value) in entries {
                flatten(&super::source::within(key, name), value, into);
            }
        }
        other => into.push((key.to_owned(), other.clone())),
    }
}

fn spelt(level: hotbay_plugin_api::Level) -> Value {
    json!(super::level::spelt(level))
}

/// Words that a key has whose value is not shown.
const SECRETS: &[&str] = &["password", "passphrase", "secret", "token", "api_key", "apikey", "private_key"];

/// A value as it is shown: what a plugin's table calls a secret stays one.
pub(crate) fn told(key: &str, value: Value) -> Value {
    let last = key.rsplit('.').next().unwrap_or(key).to_lowercase();
    match key.starts_with("plugin.") && SECRETS.iter().any(|word| last.contains(word)) {
        true => Value::String("(not shown)".to_owned()),
        false => value,
    }
}
