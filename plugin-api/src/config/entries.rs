//! A table while its keys are taken out of it, one by one.

use std::collections::BTreeMap;

use serde::de::Error;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::Setting;

/// The keys of a table that were not taken yet. `config!` reads its structs by it.
#[derive(Debug)]
pub struct Entries {
    left: BTreeMap<String, Value>,
    taken: Vec<&'static str>,
}

impl Entries {
    /// All of a table.
    ///
    /// # Errors
    /// It is none.
    pub fn read<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Ok(Self { left: BTreeMap::deserialize(from)?, taken: Vec::new() })
    }

    /// Takes the value of a key, or its default.
    ///
    /// # Errors
    /// It is of another kind, out of its range, or missing without a default.
    pub fn take<S: Setting, E: Error>(
        &mut self,
        name: &'static str,
        range: Option<(i64, i64)>,
        default: Option<fn() -> S>,
    ) -> Result<S, E> {
        self.taken.push(name);
        let Some(value) = self.left.remove(name) else {
            let absent = default.map(|default| default()).or_else(S::absent);
            return absent.ok_or_else(|| E::custom(format_args!("`{name}` is missing")));
        };
        match (range, value.as_i64()) {
            (Some((low, high)), Some(number)) if !(low..=high).contains(&number) => {
                return Err(E::custom(format_args!(
                    "`{name}` is {number}, and is to be from {low} to {high}"
                )));
            }
            _ => {}
        }
        serde_json::from_value(value).map_err(|error| E::custom(format_args!("`{name}`: {error}")))
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// Something is.
    pub fn end<E: Error>(self) -> Result<(), E> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => {
                let known = self.taken.join("`, `");
                Err(E::custom(format_args!("unknown key `{name}`; known are `{known}`")))
            }
        }
    }
}
