//! `hotbay logs`, and `hotbay log-level`

use std::ops::ControlFlow;

use serde_json::Value;

use super::events::until_over;
use super::output::{Output, narrate, one_line};
use super::when::stamp;
use crate::config::level::Spell;
use crate::control::client::{Client, Heard};
use crate::control::protocol::Request;
use crate::kernel::lines::{Line, Span};

pub(super) fn logs(
    client: &Client,
    service: Option<String>,
    past: usize,
    follow: bool,
    out: &Output,
) -> anyhow::Result<()> {
    let mut written = Ok(());
    let followed = client.lines(past, follow, service, |heard| {
        match heard {
            Heard::Line(line) => {
                written = if out.is_json() { json_line(&line, out) } else { out.text(&words(&line)) };
            }
            Heard::Missed(count) => {
                narrate(&format!("{count} lines were missed: they came faster than they were taken"));
            }
        }
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    until_over(followed)?;
    written
}

pub(super) fn set_level(
    client: &Client,
    name: String,
    level: Option<Spell>,
    out: &Output,
) -> anyhow::Result<()> {
    let is_set = level.is_some();
    let now: Value = client.ask(&Request::LogLevel { name: name.clone(), level })?;
    if out.is_json() {
        return out.json(&now);
    }
    let level = now["level"].as_str().unwrap_or("?");
    let how_long = match is_set {
        true => "until the host ends, or the file says another one",
        false => "as the file says",
    };
    out.text(&one_line(&format!("{name} logs {level}, {how_long}")))
}

/// As JSON, a line of the log is a line: a reader needs no end to begin.
fn json_line(line: &Line, out: &Output) -> anyhow::Result<()> {
    out.text(&serde_json::to_string(line)?)
}

/// A line of the log on one line.
fn words(line: &Line) -> String {
    let who = match (&line.service, line.generation) {
        (Some(service), Some(generation)) => format!("{service}#{generation}"),
        (Some(service), None) => service.clone(),
        (None, _) => "-".to_owned(),
    };
    let fields: String = line.fields.iter().map(|(name, value)| format!(" {name}={}", word(value))).collect();
    let within: Vec<String> = line.spans.iter().map(span).collect();
    let within = if within.is_empty() { String::new() } else { format!("  in {}", within.join(":")) };
    let level = line.level.to_uppercase();
    one_line(&format!("{}  {level:<5}  {who:<14}  {}{fields}{within}", stamp(line.unix_ms), line.text))
}

fn span(span: &Span) -> String {
    let fields: Vec<String> =
        span.fields.iter().map(|(name, value)| format!("{name}={}", word(value))).collect();
    if fields.is_empty() { span.name.clone() } else { format!("{}{{{}}}", span.name, fields.join(" ")) }
}

fn word(value: &Value) -> String {
    match value {
        Value::String(text) if !text.contains([' ', '=']) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_stays_a_line_whatever_is_in_it() {
        let line: Line = serde_json::from_value(serde_json::json!({
            "sequence": 1, "unix_ms": 0, "level": "info", "service": "echo", "generation": 2,
            "text": "a\nb", "fields": {"bytes": 5, "name": "x y"}, "spans": [{"name": "order", "fields": {"id": 7}}, {"name": "item"}],
        }))
        .unwrap();
        let text = words(&line);
        assert!(text.ends_with("echo#2          a b bytes=5 name=\"x y\"  in order{id=7}:item"), "{text}");
    }
}
