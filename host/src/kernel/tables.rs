//! The tables of the plugins, `[plugin.NAME]`: what the file says, what was taken, and what a version gets.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hotbay_plugin_api::manifest::Manifest;
use serde_json::Value;

use crate::Config;
use crate::config::{Misfit, Schema, Source};
use crate::error::{Code, Trouble};

/// A plugin's table. Two that say the same may be told apart: what was refused once is not offered again.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) value: Value,
    /// As the plugin gets it.
    pub(crate) json: Arc<str>,
}

impl Table {
    pub(crate) fn new(value: Option<&Value>) -> Arc<Self> {
        // One that is not there is an empty one.
        let value = value.cloned().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let json = value.to_string().into();
        Arc::new(Self { value, json })
    }
}

/// What became of a table that was offered to the version that serves.
#[derive(Debug, Clone)]
pub(crate) enum Offered {
    /// It is in force.
    Taken,
    /// The plugin refuses it, in its own words, or did not take it in time.
    Refused(Trouble),
    /// It does not fit the schema of the version that serves.
    Misfit(Trouble),
    /// The version that serves takes none while it runs: the next one gets it.
    AtReload(Trouble),
}

impl Offered {
    /// What there is to tell of it, where it is not in force.
    pub(crate) fn trouble(&self) -> Option<&Trouble> {
        match self {
            Offered::Taken => None,
            Offered::Refused(why) | Offered::Misfit(why) | Offered::AtReload(why) => Some(why),
        }
    }
}

/// All tables. The loop changes them; operations ask which one a version gets.
#[derive(Debug)]
pub(crate) struct Tables(Mutex<Inside>);

#[derive(Debug)]
struct Inside {
    source: Source,
    of: BTreeMap<String, Own>,
}

/// One plugin's.
#[derive(Debug)]
struct Own {
    /// What the file says.
    wanted: Arc<Table>,
    /// What became of that, once it was offered.
    offered: Option<Offered>,
    /// What a version of this run took last.
    taken: Option<Arc<Table>>,
    /// And before that: a version that is gone back to may read no other.
    before: Option<Arc<Table>>,
    is_serving: bool,
}

impl Own {
    fn new(value: Option<&Value>) -> Self {
        Self { wanted: Table::new(value), offered: None, taken: None, before: None, is_serving: false }
    }
}

impl Tables {
    pub(crate) fn new(config: &Config) -> Self {
        let of = config.plugin.iter().map(|(name, table)| (name.clone(), Own::new(Some(table)))).collect();
        Self(Mutex::new(Inside { source: config.source.clone(), of }))
    }

    /// The file was read anew: what it says of these plugins.
    pub(crate) fn want<'a>(&self, config: &Config, names: impl Iterator<Item = &'a str>) {
        let mut inside = self.lock();
        inside.source = config.source.clone();
        for name in names {
            let own = inside.of.entry(name.to_owned()).or_insert_with(|| Own::new(None));
            let wanted = Table::new(config.plugin.get(name));
            if wanted.value == own.wanted.value {
                continue;
            }
            own.offered = None;
            // Who takes an edit back has what serves in force again.
            let taken = own.taken.as_ref().filter(|taken| taken.value == wanted.value);
            own.wanted = taken.map_or(wanted, Arc::clone);
        }
    }

    /// The table that a version gets which is about to be loaded: the newest one that it takes by its own schema. What the plugin
    /// refused in words no version gets until the file is mended.
    pub(crate) fn for_version(&self, name: &str, manifest: &Manifest) -> Result<Arc<Table>, Trouble> {
        let mut inside = self.lock();
        let Inside { source, of } = &mut *inside;
        let own = of.entry(name.to_owned()).or_insert_with(|| Own::new(None));
        let newest = match (&own.offered, &manifest.config) {
            // While somebody serves, it is offered there first.
            (None, _) if own.is_serving => None,
            (Some(Offered::Refused(_)), _) | (Some(Offered::Misfit(_)), None) if own.taken.is_some() => None,
            _ => Some(&own.wanted),
        };
        let mut first = None;
        for table in newest.into_iter().chain(&own.taken).chain(&own.before) {
            match fits(name, table, manifest, source) {
                Ok(()) => return Ok(Arc::clone(table)),
                Err(trouble) => drop(first.get_or_insert(trouble)),
            }
        }
        Err(first.unwrap_or_else(|| Trouble::new(Code::Defect, "there is no table for it")))
    }

    /// A version serves with this one.
    pub(crate) fn serves(&self, name: &str, table: &Arc<Table>) {
        let mut inside = self.lock();
        let own = inside.of.entry(name.to_owned()).or_insert_with(|| Own::new(None));
        own.is_serving = true;
        own.offered = match own.offered.take() {
            _ if Arc::ptr_eq(&own.wanted, table) => Some(Offered::Taken),
            refused @ Some(Offered::Refused(_)) => refused,
            // It is another version: that may take what the one before did not.
            _ => None,
        };
        if own.taken.as_ref().is_none_or(|taken| !Arc::ptr_eq(taken, table)) {
            own.before = own.taken.replace(Arc::clone(table));
        }
    }

    /// Nobody serves: who starts next gets what the file says.
    pub(crate) fn rest(&self, name: &str) {
        if let Some(own) = self.lock().of.get_mut(name) {
            own.is_serving = false;
        }
    }

    /// What the version that serves with this one was not offered yet.
    pub(crate) fn pending(&self, name: &str, serving: &Arc<Table>) -> Option<Arc<Table>> {
        let inside = self.lock();
        let own = inside.of.get(name)?;
        let is_new = own.offered.is_none() && own.wanted.value != serving.value;
        is_new.then(|| Arc::clone(&own.wanted))
    }

    /// What became of a table that was offered.
    pub(crate) fn note(&self, name: &str, table: &Arc<Table>, offered: Offered) {
        let mut inside = self.lock();
        if let Some(own) = inside.of.get_mut(name).filter(|own| Arc::ptr_eq(&own.wanted, table)) {
            own.offered = Some(offered);
        }
    }

    /// Why what the file says is not in force for the version that serves with this one.
    pub(crate) fn trouble(&self, name: &str, serving: &Arc<Table>) -> Option<Trouble> {
        let inside = self.lock();
        let own = inside.of.get(name).filter(|own| own.wanted.value != serving.value)?;
        own.offered.as_ref()?.trouble().cloned()
    }

    /// Holds a table against the schema of a manifest.
    pub(crate) fn fits(&self, name: &str, table: &Table, manifest: &Manifest) -> Result<(), Trouble> {
        fits(name, table, manifest, &self.lock().source)
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a table fits the schema of a manifest; else where in the file it does not, and what was wanted.
pub(crate) fn fits(name: &str, table: &Table, manifest: &Manifest, source: &Source) -> Result<(), Trouble> {
    let Some(schema) = &manifest.config else { return Ok(()) };
    // Verified before: a manifest whose schema cannot be read is of no candidate.
    let schema =
        Schema::read(schema).map_err(|unread| Trouble::new(Code::ConfigSchema, unread.to_string()))?;
    schema.check(&table.value).map_err(|Misfit { path, what }| {
        let key = std::iter::once(format!("plugin.{name}")).chain(path).collect::<Vec<_>>().join(".");
        let place = source.place(&key);
        let text = format!(
            "failed to configure version {}: {place}: `{key}` {what}; mend it there, and it is tried again by itself",
            manifest.version
        );
        Trouble::new(Code::ConfigMisfit, text)
    })
}

#[cfg(test)]
mod tests;
