//! The JSON schema of a plugin's configuration, at compile time: the author's own text, or made of the type.

use super::json::{Json, is_json};
use crate::config::{ConfigSchema, Field, Kind};

impl<const N: usize> Json<N> {
    /// Writes the schema, or `null` where there is none.
    pub(super) const fn schema(&mut self, schema: &ConfigSchema) {
        match schema {
            ConfigSchema::None => self.raw("null"),
            ConfigSchema::Text(text) => {
                assert!(is_json(text), "the schema of the configuration is not JSON");
                self.raw(text);
            }
            ConfigSchema::Made(kind) => {
                assert!(
                    matches!(kind, Kind::Table(_)),
                    "a configuration is a table: a struct of `config!`, with a field for each key"
                );
                self.kind(kind, None);
            }
        }
    }

    const fn kind(&mut self, kind: &Kind, field: Option<&Field>) {
        self.byte(b'{');
        self.inside(kind, field);
        if let Some(Field { doc, default, .. }) = field {
            if !doc.is_empty() {
                self.raw(",\"description\":\"");
                let mut at = 0;
                while at < doc.len() {
                    if at > 0 {
                        self.byte(b' ');
                    }
                    // Rust keeps the blank after `///`.
                    let line = doc[at].as_bytes();
                    let has_blank = !line.is_empty() && line[0] == b' ';
                    self.part(line, has_blank as usize);
                    at += 1;
                }
                self.byte(b'"');
            }
            // It is there as Rust writes it, which for words and numbers is JSON.
            match default {
                Some(default) if is_json(default) => {
                    self.raw(",\"default\":");
                    self.raw(default);
                }
                _ => {}
            }
        }
        self.byte(b'}');
    }

    /// What a value is, without the braces around it.
    const fn inside(&mut self, kind: &Kind, field: Option<&Field>) {
        let range = match field {
            Some(field) => field.range,
            None => None,
        };
        assert!(range.is_none() || kind.is_whole_number(), "a range is for whole numbers");
        match kind {
            Kind::Text => self.raw("\"type\":\"string\""),
            Kind::Flag => self.raw("\"type\":\"boolean\""),
            Kind::Number => self.raw("\"type\":\"number\""),
            Kind::Integer { min, max } => {
                let (min, max) = match range {
                    Some((low, high)) => {
                        assert!(
                            low <= high && low >= *min && high <= *max,
                            "the range does not fit its type"
                        );
                        (low, high)
                    }
                    None => (*min, *max),
                };
                self.raw("\"type\":\"integer\"");
                if min > i64::MIN {
                    self.raw(",\"minimum\":");
                    self.signed(min);
                }
                if max < i64::MAX {
                    self.raw(",\"maximum\":");
                    self.signed(max);
                }
            }
            Kind::List(of) => {
                self.raw("\"type\":\"array\",\"items\":");
                self.kind(of, None);
            }
            Kind::Map(of) => {
                self.raw("\"type\":\"object\",\"additionalProperties\":");
                self.kind(of, None);
            }
            Kind::Maybe(of) => self.inside(of, field),
            Kind::Choice(words) => {
                self.raw("\"enum\":");
                self.strings(words);
            }
            Kind::Table(fields) => self.table(fields),
            Kind::Any => self.raw("\"title\":\"any value\""),
        }
    }

    const fn table(&mut self, fields: &[Field]) {
        self.raw("\"type\":\"object\",\"properties\":{");
        let mut at = 0;
        while at < fields.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.string(fields[at].name);
            self.byte(b':');
            self.kind(&fields[at].kind, Some(&fields[at]));
            at += 1;
        }
        self.raw("},\"required\":[");
        let (mut at, mut first) = (0, true);
        while at < fields.len() {
            if fields[at].is_required() {
                if !first {
                    self.byte(b',');
                }
                self.string(fields[at].name);
                first = false;
            }
            at += 1;
        }
        self.raw("],\"additionalProperties\":false");
    }
}
