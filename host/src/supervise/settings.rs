//! `hotbay.toml` while the host runs: an edit is read whole or not at all, and what can change at run time does.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::Kernel;
use crate::Config;
use crate::config::ConfigError;
use crate::discover::Fingerprint;
use crate::error::{Code, Trouble};
use crate::kernel::guard::sums_of;
use crate::kernel::service::{FailureKind, Service};
use crate::kernel::tables::Table;

/// No configuration is longer.
const MAX_BYTES: u64 = 1 << 20;

/// The file of the settings as it was last seen.
#[derive(Debug)]
pub(super) struct Edits {
    path: Option<PathBuf>,
    seen: Option<Fingerprint>,
    // Since when it stands still, where it was not read since.
    still_since: Option<Instant>,
    // Whether it was there: one that is gone again is told once.
    was_there: bool,
}

impl Edits {
    /// Of the file that a configuration was read from, if it was.
    pub(super) fn of(config: &Config) -> Self {
        let path = config.source.file.clone();
        let was_there = path.as_deref().is_some_and(Path::exists);
        // What was written between its being read and now is found by the first look.
        Self { path, seen: None, still_since: None, was_there }
    }

    /// The file, where it changed and stood still for so long; else when to look again, if that is soon.
    fn look(&mut self, settle: Duration, now: Instant) -> Result<Option<&Path>, Instant> {
        let Some(path) = &self.path else { return Ok(None) };
        let seen = std::fs::metadata(path).ok().map(|metadata| Fingerprint::of(&metadata));
        if seen != self.seen {
            self.seen = seen;
            self.still_since = Some(now);
        }
        let Some(since) = self.still_since else { return Ok(None) };
        if now < since + settle {
            return Err(since + settle);
        }
        self.still_since = None;
        if self.seen.is_none() && !self.was_there {
            return Ok(None);
        }
        self.was_there |= self.seen.is_some();
        Ok(Some(path))
    }
}

impl Kernel {
    /// Looks at the file of the settings. When to look again, where it does not stand still yet.
    pub(super) fn look_at_settings(&mut self) -> Option<Instant> {
        let settle = self.shared.config.watch.settle;
        let path = match self.edits.look(settle, Instant::now()) {
            Ok(path) => path?.to_owned(),
            Err(again) => return Some(again),
        };
        match read(&path, &self.shared.settings()) {
            Ok(config) => self.take_settings(config),
            Err(error) => {
                let trouble = Trouble::from(error);
                let trouble = trouble
                    .told(|text| format!("{text}; all settings stay as they were, until it is mended"));
                if self.settings_trouble.as_ref() != Some(&trouble) {
                    self.shared.journal.note("config_refused", None, None, trouble.clone());
                    self.settings_trouble = Some(trouble);
                }
            }
        }
        None
    }

    /// The file was read whole: what can change while the host runs does, and what cannot is named.
    fn take_settings(&mut self, config: Config) {
        let before = self.shared.settings();
        let was_broken = self.settings_trouble.take().is_some();
        let changed = before.source.changed(&config.source);
        if changed.is_empty() {
            if was_broken {
                self.shared.journal.note(
                    "configured",
                    None,
                    None,
                    "the configuration is mended, and says what it said before",
                );
            }
            // The lines may be others.
            self.shared.set_settings(Arc::new(Config { source: config.source, ..(*before).clone() }));
            return;
        }
        let plugins: BTreeSet<&str> = changed.iter().filter_map(|key| named(key, "plugin.")).collect();
        self.shared.tables.want(&config, plugins.iter().copied());
        let started_with = &self.shared.config.source;
        let waiting: Vec<&str> = changed
            .iter()
            .map(String::as_str)
            .filter(|key| {
                !is_live(key) && started_with.values().get(*key) != config.source.values().get(*key)
            })
            .collect();
        if changed.iter().any(|key| key.starts_with("log.")) {
            self.shared.registry.levels().take(&config.log);
        }
        let text = told(&changed, &config);
        self.shared.journal.note("configured", None, None, text);
        if !waiting.is_empty() {
            let text = format!(
                "the configuration changed where it is read at the start only: restart the host for {}",
                waiting.join(", ")
            );
            self.shared.journal.note("configured", None, None, Trouble::new(Code::NeedsRestart, text));
        }
        for name in &plugins {
            let Some(service) = self.services.get_mut(*name) else { continue };
            // What failed may have failed for its table.
            let stays = |kind| {
                matches!(kind, FailureKind::RolledBack | FailureKind::Unread | FailureKind::Quarantined)
            };
            service.failed.retain(|_, failure| stays(failure.kind));
            service.rest = None;
        }
        let settings = Arc::new(with_changes(&before, config, &changed));
        self.shared.set_settings(Arc::clone(&settings));
        for name in changed.iter().filter_map(|key| named(key, "service.")).collect::<BTreeSet<_>>() {
            if let Some(service) = self.services.get_mut(name) {
                let sums = service.slot.serving(sums_of);
                service.slot.guard().set(settings.service_of(name), sums);
                // A breaker that was not there wants to be looked at from now on.
                service.health.look_at = Some(Instant::now());
            }
        }
    }

    /// Whether the level of the log is another than the library of who serves was told.
    pub(super) fn has_other_level(&self, name: &str, service: &Service) -> bool {
        let level = self.shared.registry.levels().cell(name).load(Ordering::Relaxed);
        service
            .generation
            .as_ref()
            .is_some_and(|generation| generation.level.load(Ordering::Relaxed) != level)
    }

    /// The table that the file has for who serves, where that was not offered yet.
    pub(super) fn table_for(&self, name: &str, service: &Service) -> Option<Arc<Table>> {
        self.shared.tables.pending(name, &service.serving.as_ref()?.table)
    }
}

/// What was in force, with what changed of it: a program that embeds the host may have set other things itself.
fn with_changes(before: &Config, config: Config, changed: &BTreeSet<String>) -> Config {
    let mut now = Config { source: config.source, ..before.clone() };
    if changed.iter().any(|key| key.starts_with("log.")) {
        now.log = config.log;
    }
    for name in changed.iter().filter_map(|key| named(key, "plugin.")) {
        match config.plugin.get(name) {
            Some(table) => drop(now.plugin.insert(name.to_owned(), table.clone())),
            None => drop(now.plugin.remove(name)),
        }
    }
    for name in changed.iter().filter_map(|key| named(key, "service.")) {
        match config.service.get(name) {
            Some(limits) => drop(now.service.insert(name.to_owned(), limits.clone())),
            None => drop(now.service.remove(name)),
        }
    }
    now
}

/// The name that a key of such a table has.
fn named<'a>(key: &'a str, table: &str) -> Option<&'a str> {
    key.strip_prefix(table)?.split('.').next()
}

/// Whether a setting counts while the host runs, at once or from the next version of a service on.
pub(crate) fn is_live(key: &str) -> bool {
    ["plugin.", "service.", "log."].iter().any(|table| key.starts_with(table))
}

/// What an edit changed, in a line.
fn told(changed: &BTreeSet<String>, config: &Config) -> String {
    let keys = changed.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let file = config.source.named().map(|path| path.display().to_string()).unwrap_or_default();
    let later = match changed.iter().any(|key| key.starts_with("service.")) {
        true => "; lanes and mailboxes of a service are those from its next version, or `hotbay reload`, on",
        false => "",
    };
    format!("{file} changed: {keys}{later}")
}

/// Reads the file anew, with what the command line says over it.
fn read(path: &Path, before: &Config) -> Result<Config, ConfigError> {
    let named = before.source.named().unwrap_or(path).to_owned();
    let unread = |source| ConfigError::Read { path: named.clone(), source };
    // Opening a FIFO or a device can wait, or do something.
    if !std::fs::metadata(path).map_err(unread)?.is_file() {
        return Err(unread(std::io::Error::other("it is no file")));
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(unread)?;
    file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(unread)?;
    if text.len() as u64 > MAX_BYTES {
        return Err(unread(std::io::Error::other(format!("it has more than {MAX_BYTES} bytes"))));
    }
    Config::reread(&text, before)
}
