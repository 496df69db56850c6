//! The log of a plugin in tests, with fields and spans.

use std::sync::PoisonError;

use serde_json::Value;

use super::{Running, host};
use crate::Export;
use crate::abi::{ExtensionPtr, HostHandle, LinesExtension, RawField, RawLine};

/// A line that the plugin wrote by `tracing`.
#[derive(Debug, Clone, PartialEq)]
pub struct Logged {
    /// 1 error … 5 trace.
    pub level: u32,
    /// Its text.
    pub text: String,
    /// What stands beside it, an object.
    pub fields: Value,
    /// The spans that it was written within, the outermost first, each with its fields.
    pub spans: Vec<(String, Value)>,
}

impl<P: Export> Running<P> {
    /// The lines that the plugin wrote by `tracing`, oldest first. In a program of several tests the last plugin that was created gets
    /// those of all.
    #[must_use]
    pub fn lines(&self) -> Vec<Logged> {
        self.host.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

static LINES: LinesExtension = LinesExtension { write };

pub(super) fn table() -> ExtensionPtr {
    ExtensionPtr::of_lines(&LINES)
}

extern "C" fn write(handle: HostHandle, line: &RawLine<'_>) {
    let spans = line.spans.iter().map(|span| (span.name.as_str().to_owned(), object(&span.fields)));
    let logged = Logged {
        level: line.level,
        text: line.text.as_str().to_owned(),
        fields: object(&line.fields),
        spans: spans.collect(),
    };
    let host = host(handle);
    let words =
        line.fields.iter().map(|field| format!(" {}={}", field.name, field.value)).collect::<String>();
    host.log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{}{words}", logged.text));
    host.lines.lock().unwrap_or_else(PoisonError::into_inner).push(logged);
}

fn object(fields: &[RawField<'_>]) -> Value {
    let value = |field: &RawField<'_>| {
        let text = || Value::String(field.value.as_str().to_owned());
        if field.is_json {
            serde_json::from_str(field.value.as_str()).unwrap_or_else(|_| text())
        } else {
            text()
        }
    };
    fields.iter().map(|field| (field.name.as_str().to_owned(), value(field))).collect()
}
