//! The JSON schema by which a plugin says what its table may hold: as much of the language as configurations need. A schema that uses
//! more is refused with its plugin, so that nothing of it is passed over in silence.

mod fit;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub(crate) use fit::Misfit;

/// No schema goes deeper, nor does a look at a table.
const DEPTH: usize = 64;

/// Words that say nothing about what fits.
const REMARKS: &[&str] = &[
    "$schema",
    "$id",
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    // An annotation, by JSON Schema itself.
    "format",
];

const TYPES: &[&str] = &["string", "boolean", "integer", "number", "array", "object", "null"];

/// A schema of which every word is understood.
#[derive(Debug, Clone)]
pub(crate) struct Schema {
    root: Value,
}

/// A schema that is not taken: where in it, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` {why}")]
pub(crate) struct Unread {
    pub(crate) place: String,
    pub(crate) why: String,
}

impl Schema {
    /// Takes a schema, if it is whole and no word of it is unknown.
    pub(crate) fn read(root: &Value) -> Result<Self, Unread> {
        Door { root }.schema(root, "#", 0)?;
        Ok(Self { root: root.clone() })
    }

    /// Holds a table against it.
    pub(crate) fn check(&self, table: &Value) -> Result<(), Misfit> {
        fit::check(&self.root, table)
    }
}

/// What a reference of the same schema means.
fn referred<'a>(root: &'a Value, reference: &str) -> Option<&'a Value> {
    root.pointer(reference.strip_prefix('#')?)
}

/// A schema on its way in.
struct Door<'a> {
    root: &'a Value,
}

impl Door<'_> {
    fn schema(&self, schema: &Value, place: &str, depth: usize) -> Result<(), Unread> {
        let words = match schema {
            Value::Bool(_) => return Ok(()),
            Value::Object(words) => words,
            _ => return Err(unread(place, "is no schema: it is neither an object nor true or false")),
        };
        if depth > DEPTH {
            return Err(unread(place, "is nested too deep"));
        }
        words
            .iter()
            .try_for_each(|(word, value)| self.word(word, value, &format!("{place}/{word}"), depth + 1))
    }

    fn word(&self, word: &str, value: &Value, place: &str, depth: usize) -> Result<(), Unread> {
        let wants = |fits: bool, what: &str| match fits {
            true => Ok(()),
            false => Err(unread(place, &format!("is to be {what}"))),
        };
        match word {
            "type" => {
                let known = |kind: &Value| kind.as_str().is_some_and(|kind| TYPES.contains(&kind));
                let fits = match value {
                    Value::Array(kinds) => !kinds.is_empty() && kinds.iter().all(known),
                    kind => known(kind),
                };
                wants(fits, "a type of JSON, or a list of such")
            }
            "enum" => wants(value.as_array().is_some_and(|all| !all.is_empty()), "a list of values"),
            "const" => Ok(()),
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" => {
                wants(value.is_number(), "a number")
            }
            "multipleOf" => wants(value.as_f64().is_some_and(|by| by > 0.0), "a number above 0"),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                wants(value.is_u64(), "a whole number from 0")
            }
            "uniqueItems" => wants(value.is_boolean(), "true or false"),
            "required" => {
                let names = value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
                wants(names, "a list of names")
            }
            "properties" | "$defs" | "definitions" => {
                wants(value.is_object(), "an object of schemas")?;
                let named = value.as_object().into_iter().flatten();
                named
                    .into_iter()
                    .try_for_each(|(name, of)| self.schema(of, &format!("{place}/{name}"), depth))
            }
            "additionalProperties" | "items" | "not" => self.schema(value, place, depth),
            "allOf" | "anyOf" | "oneOf" => {
                wants(value.as_array().is_some_and(|all| !all.is_empty()), "a list of schemas")?;
                let all = value.as_array().into_iter().flatten().enumerate();
                all.into_iter().try_for_each(|(at, of)| self.schema(of, &format!("{place}/{at}"), depth))
            }
            "$ref" => {
                let there = value.as_str().and_then(|reference| referred(self.root, reference));
                wants(there.is_some(), "the place of a schema in this one, such as `#/$defs/name`")
            }
            _ if REMARKS.contains(&word) => Ok(()),
            _ => Err(unread(place, "is a word of JSON Schema that this host does not understand")),
        }
    }
}

fn unread(place: &str, why: &str) -> Unread {
    Unread { place: place.to_owned(), why: why.to_owned() }
}
