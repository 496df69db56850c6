//! Whether a value fits a schema, and in words what was wanted where it does not.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{DEPTH, referred};
use crate::config::hint::meant;

/// A schema that takes more looks than this at one table is not worth it: alternatives within alternatives multiply.
const LOOKS: usize = 100_000;

/// A value that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Misfit {
    /// Where it is, from the table on: keys, and numbers of a list.
    pub(crate) path: Vec<String>,
    /// What is wrong with it, and what was wanted: goes on after the name of the key.
    pub(crate) what: String,
}

pub(super) fn check(root: &Value, table: &Value) -> Result<(), Misfit> {
    Look { root, left: LOOKS, path: Vec::new() }.value(root, table, 0)
}

struct Look<'a> {
    root: &'a Value,
    left: usize,
    path: Vec<String>,
}

impl Look<'_> {
    fn misfit(&self, what: impl Into<String>) -> Misfit {
        Misfit { path: self.path.clone(), what: what.into() }
    }

    fn value(&mut self, schema: &Value, value: &Value, depth: usize) -> Result<(), Misfit> {
        if self.left == 0 || depth > DEPTH {
            return Err(self.misfit("cannot be checked: the plugin's schema goes round in circles"));
        }
        self.left -= 1;
        let words = match schema {
            Value::Object(words) => words,
            Value::Bool(false) => return Err(self.misfit("is not to be there")),
            _ => return Ok(()),
        };
        if let Some(of) = words.get("$ref").and_then(Value::as_str).and_then(|of| referred(self.root, of)) {
            self.value(of, value, depth + 1)?;
        }
        if !is_wanted(words, value) {
            return Err(self.misfit(format!("is {}, and is to be {}", told(value), wanted(words))));
        }
        self.alternatives(words, value, depth)?;
        match value {
            Value::Array(items) => self.items(words, items, depth),
            Value::Object(entries) => self.entries(words, entries, depth),
            _ => Ok(()),
        }
    }

    fn alternatives(
        &mut self,
        words: &Map<String, Value>,
        value: &Value,
        depth: usize,
    ) -> Result<(), Misfit> {
        let list = |word: &str| words.get(word).and_then(Value::as_array).map(Vec::as_slice);
        for of in list("allOf").unwrap_or_default() {
            self.value(of, value, depth + 1)?;
        }
        for (word, at_most) in [("anyOf", usize::MAX), ("oneOf", 1)] {
            let Some(all) = list(word) else { continue };
            let mut first = None;
            let mut fitting = 0;
            for of in all {
                let before = self.path.len();
                match self.value(of, value, depth + 1) {
                    Ok(()) => fitting += 1,
                    Err(misfit) => drop(first.get_or_insert(misfit)),
                }
                self.path.truncate(before);
            }
            if fitting > at_most {
                return Err(
                    self.misfit(format!("is {}, which fits more than one of what it may be", told(value)))
                );
            }
            if fitting == 0 {
                // With one alternative that is no `null` there is nothing else that could have been meant.
                let real = all.iter().filter(|of| of.get("type").and_then(Value::as_str) != Some("null"));
                return Err(match first {
                    Some(first) if real.count() == 1 => first,
                    _ => self.misfit(format!(
                        "is {}, which fits none of the {} things it may be",
                        told(value),
                        all.len()
                    )),
                });
            }
        }
        if let Some(not) = words.get("not") {
            let before = self.path.len();
            let fits = self.value(not, value, depth + 1).is_ok();
            self.path.truncate(before);
            if fits {
                return Err(self.misfit(format!("is {}, which it is not to be", told(value))));
            }
        }
        Ok(())
    }

    fn items(&mut self, words: &Map<String, Value>, items: &[Value], depth: usize) -> Result<(), Misfit> {
        self.count(words, ("minItems", "maxItems"), items.len(), "values")?;
        if words.get("uniqueItems") == Some(&Value::Bool(true))
            && items.iter().enumerate().any(|(at, item)| items[..at].contains(item))
        {
            return Err(self.misfit("holds a value twice"));
        }
        let Some(of) = words.get("items") else { return Ok(()) };
        for (at, item) in items.iter().enumerate() {
            self.within(at.to_string(), of, item, depth)?;
        }
        Ok(())
    }

    fn entries(
        &mut self,
        words: &Map<String, Value>,
        entries: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), Misfit> {
        self.count(words, ("minProperties", "maxProperties"), entries.len(), "keys")?;
        let properties = words.get("properties").and_then(Value::as_object);
        let others = words.get("additionalProperties");
        let known: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
        for (name, entry) in entries {
            match (properties.and_then(|all| all.get(name)), others) {
                (Some(of), _) => self.within(name.clone(), of, entry, depth)?,
                (None, Some(Value::Bool(false))) => {
                    self.path.push(name.clone());
                    return Err(self.misfit(match (meant(name, &known), known.is_empty()) {
                        (Some(meant), _) => format!("is unknown, did you mean `{meant}`?"),
                        (None, false) => format!("is unknown; known are {}", known.join(", ")),
                        (None, true) => "is unknown, as any key would be".to_owned(),
                    }));
                }
                (None, Some(of)) => self.within(name.clone(), of, entry, depth)?,
                (None, None) => {}
            }
        }
        let required = words.get("required").and_then(Value::as_array).into_iter().flatten();
        for name in required.filter_map(Value::as_str) {
            if !entries.contains_key(name) {
                let of = properties.and_then(|all| all.get(name)).and_then(Value::as_object);
                let what = of.map(|of| format!(": it is to be {}", wanted(of))).unwrap_or_default();
                self.path.push(name.to_owned());
                return Err(self.misfit(format!("is missing{what}")));
            }
        }
        Ok(())
    }

    fn within(&mut self, name: String, of: &Value, value: &Value, depth: usize) -> Result<(), Misfit> {
        self.path.push(name);
        self.value(of, value, depth + 1)?;
        self.path.pop();
        Ok(())
    }

    fn count(
        &self,
        words: &Map<String, Value>,
        (least, most): (&str, &str),
        count: usize,
        what: &str,
    ) -> Result<(), Misfit> {
        let bound = |word| words.get(word).and_then(Value::as_u64);
        let count = count as u64;
        match (bound(least), bound(most)) {
            (Some(least), _) if count < least => {
                Err(self.misfit(format!("has {count} {what}, and is to have at least {least}")))
            }
            (_, Some(most)) if count > most => {
                Err(self.misfit(format!("has {count} {what}, and is to have at most {most}")))
            }
            _ => Ok(()),
        }
    }
}

/// Whether a value is one of what the words without alternatives say.
fn is_wanted(words: &Map<String, Value>, value: &Value) -> bool {
    let of_type = |kind: &str| match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|n| n.fract() == 0.0),
        "number" => value.is_number(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => value.is_null(),
    };
    let typed = match words.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(of_type),
        Some(Value::String(kind)) => of_type(kind),
        _ => true,
    };
    let listed =
        words.get("enum").and_then(Value::as_array).is_none_or(|all| all.iter().any(|of| equal(of, value)));
    let fixed = words.get("const").is_none_or(|of| equal(of, value));
    typed && listed && fixed && is_in_range(words, value) && is_of_length(words, value)
}

fn is_in_range(words: &Map<String, Value>, value: &Value) -> bool {
    if !value.is_number() {
        return true;
    }
    let holds = |word: &str, fits: fn(Ordering) -> bool| {
        words.get(word).is_none_or(|bound| compared(value, bound).is_some_and(fits))
    };
    let multiple = words.get("multipleOf").and_then(Value::as_f64).is_none_or(|by| {
        let times = value.as_f64().unwrap_or_default() / by;
        (times - times.round()).abs() < 1e-9
    });
    holds("minimum", Ordering::is_ge)
        && holds("maximum", Ordering::is_le)
        && holds("exclusiveMinimum", Ordering::is_gt)
        && holds("exclusiveMaximum", Ordering::is_lt)
        && multiple
}

fn is_of_length(words: &Map<String, Value>, value: &Value) -> bool {
    let Some(text) = value.as_str() else { return true };
    let bound = |word| words.get(word).and_then(Value::as_u64);
    let length = text.chars().count() as u64;
    bound("minLength").is_none_or(|least| length >= least)
        && bound("maxLength").is_none_or(|most| length <= most)
}

/// Numbers as they are: whole ones beyond 2^53 do not become others.
fn compared(a: &Value, b: &Value) -> Option<Ordering> {
    match (a.as_i64(), b.as_i64()) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

/// As JSON Schema has it: 1 and 1.0 are equal.
fn equal(a: &Value, b: &Value) -> bool {
    a == b || (a.is_number() && b.is_number() && compared(a, b) == Some(Ordering::Equal))
}

/// A value in a few words.
fn told(value: &Value) -> String {
    match value {
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a table".to_owned(),
        Value::String(text) if text.chars().count() > 60 => {
            format!("\"{}…\"", text.chars().take(60).collect::<String>())
        }
        other => other.to_string(),
    }
}

/// What a schema wants, in words.
fn wanted(words: &Map<String, Value>) -> String {
    if let Some(fixed) = words.get("const") {
        return told(fixed);
    }
    if let Some(all) = words.get("enum").and_then(Value::as_array) {
        let all: Vec<String> = all.iter().map(told).collect();
        return format!("one of {}", all.join(", "));
    }
    let word = |kind: &str| match kind {
        "string" => "text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a table",
        _ => "nothing",
    };
    let kind = match words.get("type") {
        Some(Value::String(kind)) => word(kind).to_owned(),
        Some(Value::Array(kinds)) => {
            let kinds: Vec<&str> =
                kinds.iter().filter_map(Value::as_str).filter(|k| *k != "null").map(word).collect();
            kinds.join(" or ")
        }
        _ => "a value".to_owned(),
    };
    let bound = |word: &str| words.get(word).map(ToString::to_string);
    let range = match (bound("minimum"), bound("maximum")) {
        (Some(least), Some(most)) => format!(" from {least} to {most}"),
        (Some(least), None) => format!(" from {least}"),
        (None, Some(most)) => format!(" up to {most}"),
        (None, None) => String::new(),
    };
    let mut more = String::new();
    for (key, words) in [
        ("exclusiveMinimum", " above"),
        ("exclusiveMaximum", " below"),
        ("multipleOf", " in steps of"),
        ("minLength", " of at least so many characters:"),
        ("maxLength", " of at most so many characters:"),
    ] {
        if let Some(bound) = bound(key) {
            more += &format!("{words} {bound}");
        }
    }
    format!("{kind}{range}{more}")
}
