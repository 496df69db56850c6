//! What is asked of a host about its settings, and told to it while it runs.

use hotbay_plugin_api::Level;
use serde_json::json;

use super::Host;
use crate::config::level::spelt;
use crate::config::{Origin, Setting, told};
use crate::supervise::Kernel;
use crate::supervise::settings::is_live;
use crate::{Config, ControlError};

impl Host {
    /// The settings that are in force, and where each comes from.
    ///
    /// # Errors
    /// The host is being stopped.
    pub fn settings(&self) -> Result<Vec<Setting>, ControlError> {
        self.ask(|kernel| kernel.settings())
    }

    /// Sets how much of a plugin is logged, until the host ends or the file says another level; `None` is what the file says. The level
    /// that holds then.
    ///
    /// # Errors
    /// There is no such service, or the host is being stopped.
    pub fn set_log_level(&self, name: &str, level: Option<Level>) -> Result<Level, ControlError> {
        self.status(name)?;
        let name = name.to_owned();
        self.ask(move |kernel| {
            let levels = kernel.shared.registry.levels();
            levels.ask(&name, level);
            let (now, _) = levels.of(&name);
            let how_long = if level.is_some() { "until the host ends" } else { "as the file says" };
            let text = format!("log level {}, {how_long}", spelt(now));
            kernel.shared.journal.note("configured", Some(&name), None, text);
            now
        })
    }

    /// Tells of each other level of the host's own lines, `[log] level`, as an edit of the file brings it: for a program that listens to
    /// `tracing` itself.
    pub fn on_log_level(&self, listener: impl Fn(Level) + Send + 'static) {
        self.inner.shared.registry.levels().listen(listener);
    }
}

impl Kernel {
    /// All settings: of those that are read at the start only, what they were then.
    fn settings(&self) -> Vec<Setting> {
        let (started, newest) = (&self.shared.config, self.shared.settings());
        let mut all = newest.settings();
        let (then, now) = (started.source.values(), newest.source.values());
        for setting in &mut all {
            let key = &setting.key;
            if !is_live(key) && setting.origin != Origin::CommandLine && then.get(key) != now.get(key) {
                // In force is what it was, and where that stood is not there any more.
                setting.place = None;
                setting.origin = if then.contains_key(key) { Origin::File } else { Origin::Default };
                setting.waits = Some(now.get(key).cloned().unwrap_or_else(|| json!("nothing")));
            }
        }
        for (name, service) in &self.services {
            let Some(serving) = &service.serving else { continue };
            if newest.plugin.get(name).is_some_and(|table| *table != serving.table.value) {
                self.note_waiting(name, &serving.table.value, &mut all);
            }
        }
        for (name, level) in self.shared.registry.levels().asked() {
            let key = format!("log.plugins.{name}");
            all.retain(|setting| setting.key != key);
            let value = json!(spelt(level));
            all.push(Setting { key, value, origin: Origin::Command, place: None, waits: None });
        }
        all
    }

    /// A plugin serves with another table than the file has.
    fn note_waiting(&self, name: &str, table: &serde_json::Value, all: &mut [Setting]) {
        let mut with = Config::default();
        with.plugin.insert(name.to_owned(), table.clone());
        let serving: Vec<_> =
            with.values().into_iter().filter(|(key, _)| key.starts_with("plugin.")).collect();
        let prefix = format!("plugin.{name}.");
        for setting in all.iter_mut().filter(|setting| setting.key.starts_with(&prefix)) {
            let now = serving.iter().find(|(key, _)| *key == setting.key).map(|(_, value)| value.clone());
            let now = told(&setting.key, now.unwrap_or(serde_json::Value::Null));
            if now != setting.value {
                setting.waits = Some(std::mem::replace(&mut setting.value, now));
            }
        }
    }
}
