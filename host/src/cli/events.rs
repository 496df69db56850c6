//! `hotbay events`

use std::ops::ControlFlow;

use super::output::{Output, coded, one_line};
use super::when::stamp;
use crate::control::client::Client;
use crate::kernel::view::Event;

pub(super) fn events(client: &Client, past: usize, follow: bool, out: &Output) -> anyhow::Result<()> {
    let mut written = Ok(());
    client.events(past, follow, |event| {
        written = if out.is_json() { json_line(&event, out) } else { out.text(&line(&event)) };
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    written
}

/// As JSON, an event is a line: a reader needs no end to begin.
fn json_line(event: &Event, out: &Output) -> anyhow::Result<()> {
    out.text(&serde_json::to_string(event)?)
}

/// An event on one line.
pub(super) fn line(event: &Event) -> String {
    let service = event.service.as_deref().unwrap_or("-");
    let text = coded(event.code.as_deref(), &event.text);
    one_line(&format!("{}  {:<11}  {service:<12}  {text}", stamp(event.unix_ms), event.kind))
}
