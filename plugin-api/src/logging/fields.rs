//! What stands beside a line or a span: names and values.

use std::fmt::{Debug, Write as _};

use tracing::field::Visit;

/// A field.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    pub(crate) value: String,
    /// Whether the value is JSON: text in quotes, a number, true or false. Else it is words, as `Display` or `Debug` has them.
    pub(crate) is_json: bool,
}

/// Fields as they are recorded, the message apart.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) message: String,
    pub(crate) others: Vec<Field>,
}

impl Fields {
    fn add(&mut self, field: &tracing::field::Field, value: String, is_json: bool) {
        let name = field.name();
        match self.others.iter_mut().find(|other| other.name == name) {
            Some(other) => (other.value, other.is_json) = (value, is_json),
            None => self.others.push(Field { name, value, is_json }),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
        if field.name() == "message" {
            let _ = write!(self.message, "{value:?}");
        } else {
            self.add(field, format!("{value:?}"), false);
        }
    }

    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        if field.name() == "message" {
            self.message.push_str(value);
        } else {
            self.add(field, serde_json::Value::from(value).to_string(), true);
        }
    }

    fn record_i64(&mut self, field: &tracing::field::Field, value: i64) {
        self.add(field, value.to_string(), true);
    }

    fn record_u64(&mut self, field: &tracing::field::Field, value: u64) {
        self.add(field, value.to_string(), true);
    }

    fn record_f64(&mut self, field: &tracing::field::Field, value: f64) {
        // JSON has no number that is none.
        self.add(field, value.to_string(), value.is_finite());
    }

    fn record_bool(&mut self, field: &tracing::field::Field, value: bool) {
        self.add(field, value.to_string(), true);
    }
}

/// Fields in a line, `key=value …`, for hosts that take no others.
pub(crate) fn in_words<'a>(fields: impl Iterator<Item = &'a Field>) -> String {
    let mut words = String::new();
    for Field { name, value, .. } in fields {
        let space = if words.is_empty() { "" } else { " " };
        let _ = write!(words, "{space}{name}={value}");
    }
    words
}
