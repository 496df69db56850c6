//! Where settings stand: the file, and in it the line of each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a configuration was read from.
#[derive(Clone, Default)]
pub(crate) struct Source {
    /// The file, absolute; also one that is not there and would be read if it were.
    pub(crate) file: Option<PathBuf>,
    /// As it is told to people.
    named: Option<PathBuf>,
    // What the command line says over it.
    over: BTreeSet<&'static str>,
    // By dotted key: line and column.
    places: Arc<BTreeMap<String, (usize, usize)>>,
    // What is no table, by dotted key.
    values: Arc<BTreeMap<String, Value>>,
}

impl Source {
    /// Of a text that was parsed before.
    pub(super) fn of(text: &str, table: &toml::Table) -> Self {
        let (mut places, mut values) = (BTreeMap::new(), BTreeMap::new());
        if let Ok(whole) = DeTable::parse(text) {
            // In one pass: each line is counted once.
            let lines: Vec<usize> =
                std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
            let place = |offset: usize| {
                let line = lines.partition_point(|start| *start <= offset);
                let before = text.get(lines[line - 1]..offset).unwrap_or_default();
                (line, before.chars().count() + 1)
            };
            note_places(whole.get_ref(), "", &place, &mut places);
        }
        note_values(table, "", &mut values);
        Self { places: Arc::new(places), values: Arc::new(values), ..Self::default() }
    }

    /// The same, of this file.
    pub(super) fn in_file(mut self, path: &Path) -> Self {
        self.file = std::path::absolute(path).ok();
        self.named = Some(path.to_owned());
        self
    }

    /// The same, of the file of another.
    pub(super) fn within(mut self, other: &Source) -> Self {
        (self.file, self.named, self.over) = (other.file.clone(), other.named.clone(), other.over.clone());
        self
    }

    /// The command line says something else of this setting.
    #[cfg(feature = "cli")]
    pub(crate) fn say_over(&mut self, key: &'static str) {
        self.over.insert(key);
    }

    pub(super) fn is_over(&self, key: &str) -> bool {
        self.over.contains(key)
    }

    /// The file and the line of a setting, or of the nearest table around it; without either, what there is to say.
    pub(crate) fn place(&self, key: &str) -> String {
        let file = match &self.named {
            Some(path) => path.display().to_string(),
            None => "the configuration".to_owned(),
        };
        let mut key = key;
        loop {
            if let Some((line, column)) = self.places.get(key) {
                return format!("{file}:{line}:{column}");
            }
            match key.rsplit_once('.') {
                Some((around, _)) => key = around,
                None => return file,
            }
        }
    }

    /// The line of a setting, where it is in the file.
    pub(crate) fn line(&self, key: &str) -> Option<usize> {
        self.places.get(key).map(|(line, _)| *line)
    }

    /// The file, as it was named.
    pub(crate) fn named(&self) -> Option<&Path> {
        self.named.as_deref()
    }

    /// What stands in the file, by dotted key.
    pub(crate) fn values(&self) -> &BTreeMap<String, Value> {
        &self.values
    }

    /// The keys whose values are others there, or are in one of the two only.
    pub(crate) fn changed(&self, other: &Source) -> BTreeSet<String> {
        let keys = self.values.keys().chain(other.values.keys());
        keys.filter(|key| self.values.get(*key) != other.values.get(*key)).cloned().collect()
    }
}

fn note_places(
    table: &DeTable<'_>,
    around: &str,
    place: &impl Fn(usize) -> (usize, usize),
    into: &mut BTreeMap<String, (usize, usize)>,
) {
    for (key, value) in table {
        let name = within(around, key.get_ref());
        into.insert(name.clone(), place(key.span().start));
        note_value(value, &name, place, into);
    }
}

fn note_value(
    value: &Spanned<DeValue<'_>>,
    name: &str,
    place: &impl Fn(usize) -> (usize, usize),
    into: &mut BTreeMap<String, (usize, usize)>,
) {
    match value.get_ref() {
        DeValue::Table(table) => note_places(table, name, place, into),
        DeValue::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let name = within(name, &at.to_string());
                into.insert(name.clone(), place(item.span().start));
                note_value(item, &name, place, into);
            }
        }
        _ => {}
    }
}

fn note_values(table: &toml::Table, around: &str, into: &mut BTreeMap<String, Value>) {
    for (key, value) in table {
        let name = within(around, key);
        match value {
            // One without keys sets nothing, but in what a plugin reads.
            toml::Value::Table(inner) if !inner.is_empty() || !name.starts_with("plugin.") => {
                note_values(inner, &name, into);
            }
            other => {
                let json = super::file::json(other.clone());
                into.insert(name, json.unwrap_or_else(|_| Value::String(other.to_string())));
            }
        }
    }
}

/// A key within a table. One with a dot of its own is told in quotes.
pub(super) fn within(around: &str, key: &str) -> String {
    let key = if key.contains('.') { format!("\"{key}\"") } else { key.to_owned() };
    if around.is_empty() { key } else { format!("{around}.{key}") }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.named).finish()
    }
}
