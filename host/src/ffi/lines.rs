//! Lines of plugins on their way into the host's log.

use std::fmt::Write as _;

use abi_stable::std_types::RStr;
use hotbay_plugin_api::abi::{ExtensionPtr, HostHandle, LinesExtension, RawField, RawLine};
use serde_json::Value;

use super::HostSide;
use super::host_side::{guarded, side};
use crate::bus::Trace;
use crate::config::level::spelt_number;
use crate::kernel::lines::{Fields, LINES, Line, Span};

/// So many spans and fields of a line are taken.
const MOST: usize = 64;

// Lines of plugins have this target; `HOTBAY_LOG=hotbay::plugin=debug` shows more of them.
macro_rules! at_level {
    ($level:expr, $event:ident!($($args:tt)*)) => {
        match $level {
            1 => tracing::$event!(target: "hotbay::plugin", tracing::Level::ERROR, $($args)*),
            2 => tracing::$event!(target: "hotbay::plugin", tracing::Level::WARN, $($args)*),
            3 => tracing::$event!(target: "hotbay::plugin", tracing::Level::INFO, $($args)*),
            4 => tracing::$event!(target: "hotbay::plugin", tracing::Level::DEBUG, $($args)*),
            _ => tracing::$event!(target: "hotbay::plugin", tracing::Level::TRACE, $($args)*),
        }
    };
}

static TABLE: LinesExtension = LinesExtension { write };

pub(super) fn table() -> ExtensionPtr {
    ExtensionPtr::of_lines(&TABLE)
}

fn is_wanted(side: &HostSide, level: u32) -> bool {
    level <= side.level() && at_level!(level, enabled!())
}

pub(super) extern "C" fn log_enabled(handle: HostHandle, level: u32) -> bool {
    guarded(false, || is_wanted(side(handle), level))
}

pub(super) extern "C" fn log(
    handle: HostHandle,
    level: u32,
    target: RStr<'_>,
    text: RStr<'_>,
    fields: RStr<'_>,
) {
    guarded((), || {
        let side = side(handle);
        if !is_wanted(side, level) {
            return;
        }
        let (name, generation) = (side.name(), side.generation());
        let space = if fields.is_empty() { "" } else { " " };
        let text = format!("{text}{space}{fields}");
        let trace = trace();
        at_level!(level, event!(plugin = %name, generation, at = at(target.as_str()), trace, "{text}"));
        LINES.push(line(side, level, target.as_str(), text));
    });
}

extern "C" fn write(handle: HostHandle, raw: &RawLine<'_>) {
    guarded((), || {
        let (side, level) = (side(handle), raw.level);
        if !is_wanted(side, level) {
            return;
        }
        let (name, generation, target) = (side.name(), side.generation(), raw.target.as_str());
        let mut words = raw.text.as_str().to_owned();
        in_words(&raw.fields, &mut words);
        let mut within = String::new();
        for span in raw.spans.iter().take(MOST) {
            let colon = if within.is_empty() { "" } else { ":" };
            let mut fields = String::new();
            in_words(&span.fields, &mut fields);
            let fields = fields.trim_start();
            let _ = match fields.is_empty() {
                true => write!(within, "{colon}{}", span.name),
                false => write!(within, "{colon}{}{{{fields}}}", span.name),
            };
        }
        let within = (!within.is_empty()).then_some(within);
        let trace = trace();
        at_level!(level, event!(plugin = %name, generation, at = at(target), trace, within, "{words}"));
        let mut line = line(side, level, target, raw.text.as_str().to_owned());
        line.fields = kept(&raw.fields);
        let span = |name: RStr<'_>, fields: &[RawField<'_>]| Span {
            name: name.as_str().to_owned(),
            fields: kept(fields),
        };
        line.spans = raw.spans.iter().take(MOST).map(|raw| span(raw.name, &raw.fields)).collect();
        LINES.push(line);
    });
}

fn at(target: &str) -> Option<&str> {
    (!target.is_empty()).then_some(target)
}

/// The name of the trace that the line's thread is within.
fn trace() -> Option<String> {
    Trace::current().map(|trace| trace.id())
}

fn line(side: &HostSide, level: u32, target: &str, text: String) -> Line {
    Line {
        sequence: 0,
        unix_ms: 0,
        level: spelt_number(level).to_owned(),
        service: Some(side.name().to_string()),
        generation: Some(side.generation()),
        target: target.to_owned(),
        text,
        fields: Default::default(),
        spans: Vec::new(),
    }
}

fn kept(fields: &[RawField<'_>]) -> std::collections::BTreeMap<String, Value> {
    let mut kept = Fields::default();
    for field in fields.iter().take(MOST) {
        let text = || Value::String(field.value.as_str().to_owned());
        let value = match field.is_json {
            true => serde_json::from_str(field.value.as_str()).unwrap_or_else(|_| text()),
            false => text(),
        };
        kept.add(field.name.as_str(), value);
    }
    kept.all()
}

/// `key=value` behind a text.
fn in_words(fields: &[RawField<'_>], into: &mut String) {
    for field in fields.iter().take(MOST) {
        let (name, value) = (field.name.as_str(), field.value.as_str());
        let _ = write!(into, " {name}={value}");
    }
}
