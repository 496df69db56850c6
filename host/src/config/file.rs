//! `hotbay.toml` as it is written, laid over the defaults.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotbay_plugin_api::manifest;
use serde::Deserialize;
use toml::Spanned;

use super::govern::SupervisionTable;
use super::level::Spell;
use super::service::ServiceTable;
use super::{Config, ConfigError, KeySource, ProbeMode, Rehearse, Source, WatchMode, hint};

/// What is asked for again and again may not be asked for without a pause.
const PERIOD: RangeInclusive<u64> = 10..=HOUR;
/// A deadline of zero is always missed, one of more than an hour is none.
const DEADLINE: RangeInclusive<u64> = 1..=HOUR;
/// Nothing is watched in a window of zero.
const WINDOW: RangeInclusive<u64> = 0..=HOUR;
const HOUR: u64 = 60 * 60 * 1000;

/// A tebibyte. More is no limit.
const MEBIBYTES: u64 = 1 << 20;
/// What a probe may have of memory.
const PROBES_MIB: RangeInclusive<u64> = 64..=MEBIBYTES;
/// The newest is always kept.
const KEEP: RangeInclusive<u64> = 1..=1000;

type Millis = Option<Spanned<u64>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    plugins: Option<PathBuf>,
    home: Option<PathBuf>,
    #[serde(default)]
    watch: Watch,
    #[serde(default)]
    swap: Swap,
    #[serde(default)]
    probation: Probation,
    #[serde(default)]
    state: State,
    #[serde(default)]
    probe: Probe,
    #[serde(default)]
    trust: super::trust::Table,
    #[serde(default)]
    log: Log,
    #[serde(default)]
    supervision: SupervisionTable,
    #[serde(default)]
    service: BTreeMap<Spanned<String>, ServiceTable>,
    #[serde(default)]
    plugin: BTreeMap<Spanned<String>, Spanned<toml::Table>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Watch {
    mode: Option<WatchMode>,
    settle_ms: Millis,
    rescan_ms: Millis,
    grace_ms: Millis,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Swap {
    callback_ms: Millis,
    drain_ms: Millis,
    max_pinned_mib: Option<Spanned<u64>>,
    rehearse: Option<Rehearse>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Probation {
    window_ms: Millis,
    window_calls: Option<Spanned<u64>>,
    min_calls: Option<Spanned<u64>>,
    max_error_rate: Option<Spanned<f64>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct State {
    interval_ms: Millis,
    max_bytes: Option<Spanned<u64>>,
    keep: Option<Spanned<u64>>,
    key_file: Option<PathBuf>,
    key_credential: Option<Spanned<String>>,
    key_env: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Probe {
    mode: Option<ProbeMode>,
    deadline_ms: Millis,
    program: Option<PathBuf>,
    memory_mib: Option<Spanned<u64>>,
    #[serde(default)]
    env: Vec<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Log {
    level: Option<Spell>,
    #[serde(default)]
    plugins: BTreeMap<Spanned<String>, Spell>,
}

/// Reads `text`, laying what it says over [`Config::default`].
pub(super) fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        ConfigError::at(path, text, offset, hint::explain(error.message()))
    })?;
    let at = |offset: usize, problem: String| ConfigError::at(path, text, offset, problem);
    let take = |into: &mut Duration, value: Millis, range: RangeInclusive<u64>| {
        let Some(value) = value else { return Ok(()) };
        if !range.contains(value.get_ref()) {
            let problem =
                format!("{} ms is out of range: from {} to {}", value.get_ref(), range.start(), range.end());
            return Err(at(value.span().start, problem));
        }
        *into = Duration::from_millis(value.into_inner());
        Ok(())
    };
    let beside = |named: PathBuf| path.parent().map_or_else(|| named.clone(), |folder| folder.join(&named));

    let mut config = Config::default();
    if let Ok(table) = toml::from_str(text) {
        config.source = Source::of(text, &table);
    }
    config.plugins = file.plugins.map_or(config.plugins, beside);
    config.home = file.home.map_or(config.home, beside);

    config.watch.mode = file.watch.mode.unwrap_or(config.watch.mode);
    take(&mut config.watch.settle, file.watch.settle_ms, DEADLINE)?;
    take(&mut config.watch.rescan, file.watch.rescan_ms, PERIOD)?;
    take(&mut config.watch.grace, file.watch.grace_ms, DEADLINE)?;

    take(&mut config.swap.callback, file.swap.callback_ms, DEADLINE)?;
    take(&mut config.swap.drain, file.swap.drain_ms, DEADLINE)?;
    if let Some(limit) = file.swap.max_pinned_mib {
        if *limit.get_ref() > MEBIBYTES {
            let problem = format!("{} MiB is out of range: from 0 to {MEBIBYTES}", limit.get_ref());
            return Err(at(limit.span().start, problem));
        }
        config.swap.max_pinned_mib = limit.into_inner();
    }

    take(&mut config.probation.window, file.probation.window_ms, WINDOW)?;
    let count = |into: &mut u64, value: Option<Spanned<u64>>| match value {
        Some(value) if *value.get_ref() == 0 => Err(at(
            value.span().start,
            "0 calls are out of range: from 1; `window_ms = 0` turns it off".to_owned(),
        )),
        Some(value) => {
            *into = value.into_inner();
            Ok(())
        }
        None => Ok(()),
    };
    let pair = file.probation.min_calls.as_ref().or(file.probation.window_calls.as_ref());
    let place = pair.map_or(0, |value| value.span().start);
    count(&mut config.probation.window_calls, file.probation.window_calls)?;
    count(&mut config.probation.min_calls, file.probation.min_calls)?;
    let (needed, ends) = (config.probation.min_calls, config.probation.window_calls);
    if needed > ends {
        let problem = format!(
            "nothing would be judged: the window ends after {ends} calls, before there are the {needed} of `min_calls`; lower `min_calls`, or raise `window_calls`"
        );
        return Err(at(place, problem));
    }
    if let Some(rate) = file.probation.max_error_rate {
        if !(0.0..=1.0).contains(rate.get_ref()) {
            let problem = format!("{} is out of range: a rate is from 0.0 to 1.0", rate.get_ref());
            return Err(at(rate.span().start, problem));
        }
        config.probation.max_error_rate = rate.into_inner();
    }
    config.swap.rehearse = file.swap.rehearse.unwrap_or(config.swap.rehearse);

    take(&mut config.state.interval, file.state.interval_ms, PERIOD)?;
    if let Some(max) = file.state.max_bytes {
        if *max.get_ref() == 0 {
            return Err(at(max.span().start, "no state fits into 0 bytes".to_owned()));
        }
        config.state.max_bytes = max.into_inner();
    }
    if let Some(keep) = file.state.keep {
        if !KEEP.contains(keep.get_ref()) {
            let problem =
                format!("{} is out of range: from {} to {}", keep.get_ref(), KEEP.start(), KEEP.end());
            return Err(at(keep.span().start, problem));
        }
        config.state.keep = usize::try_from(keep.into_inner()).unwrap_or(usize::MAX);
    }
    let mut sources = Vec::new();
    if let Some(named) = file.state.key_file {
        sources.push(KeySource::File(beside(named)));
    }
    if let Some(name) = file.state.key_credential {
        if name.get_ref().contains(['/', '\\']) || matches!(name.get_ref().as_str(), "" | "." | "..") {
            let problem =
                format!("no credential can be called `{}`: it is the name of a file", name.get_ref());
            return Err(at(name.span().start, problem));
        }
        sources.push(KeySource::Credential(name.into_inner()));
    }
    if let Some(name) = file.state.key_env {
        sources.push(KeySource::Environment(name));
    }
    if !sources.is_empty() {
        config.state.keys = sources;
    }

    config.probe.mode = file.probe.mode.unwrap_or(config.probe.mode);
    take(&mut config.probe.deadline, file.probe.deadline_ms, PERIOD)?;
    config.probe.program = file.probe.program.map(beside);
    if let Some(memory) = file.probe.memory_mib {
        // With less than that this program itself does not start.
        if !PROBES_MIB.contains(memory.get_ref()) && *memory.get_ref() != 0 {
            let problem = format!(
                "{} MiB is out of range: from {} to {MEBIBYTES}, or 0 for no bound",
                memory.get_ref(),
                PROBES_MIB.start()
            );
            return Err(at(memory.span().start, problem));
        }
        config.probe.memory = Some(memory.into_inner() << 20).filter(|bytes| *bytes > 0);
    }
    for name in file.probe.env {
        if config
            .state
            .keys
            .iter()
            .any(|key| matches!(key, KeySource::Environment(of) if of == name.get_ref()))
        {
            return Err(at(name.span().start, "a probe is not told the key that seals state".to_owned()));
        }
        config.probe.env.push(name.into_inner());
    }

    config.trust = file.trust.read().map_err(|(offset, problem)| at(offset, problem))?;

    config.log.level = file.log.level.map_or(config.log.level, Into::into);

    let valid = |name: &Spanned<String>| {
        if manifest::is_valid_name(name.get_ref()) {
            return Ok(());
        }
        let problem = format!("no plugin can be called `{}`: names are [a-z0-9_-]{{1,64}}", name.get_ref());
        Err(at(name.span().start, problem))
    };
    for (name, level) in file.log.plugins {
        valid(&name)?;
        config.log.plugins.insert(name.into_inner(), level.into());
    }
    let wrong = |(offset, problem)| at(offset, problem);
    config.supervision = file.supervision.over(config.supervision).map_err(wrong)?;
    for (name, table) in file.service {
        valid(&name)?;
        let service = config.service.entry(name.into_inner()).or_default();
        table.over(service, &config.supervision).map_err(wrong)?;
    }
    for (name, table) in file.plugin {
        valid(&name)?;
        let start = table.span().start;
        let table = json(toml::Value::Table(table.into_inner())).map_err(|problem| at(start, problem))?;
        config.plugin.insert(name.into_inner(), table);
    }
    Ok(config)
}

/// The same value as JSON, which is how it is handed to the plugin. A date becomes its text.
pub(super) fn json(value: toml::Value) -> Result<serde_json::Value, String> {
    use serde_json::Value;
    Ok(match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => Value::from(number),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)
            .map(Value::Number)
            .ok_or_else(|| format!("plugins get their table as JSON, which has no number {number}"))?,
        toml::Value::Boolean(yes) => Value::Bool(yes),
        toml::Value::Datetime(date) => Value::String(date.to_string()),
        toml::Value::Array(values) => Value::Array(values.into_iter().map(json).collect::<Result<_, _>>()?),
        toml::Value::Table(table) => {
            let entries = table.into_iter().map(|(key, value)| Ok((key, json(value)?)));
            Value::Object(entries.collect::<Result<_, String>>()?)
        }
    })
}
