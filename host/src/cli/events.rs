//! `hotbay events`

use std::ops::ControlFlow;

use super::output::{Output, coded, one_line};
use super::when::stamp;
use crate::control::client::{Client, ClientError};
use crate::kernel::view::Event;

pub(super) fn events(client: &Client, past: usize, follow: bool, out: &Output) -> anyhow::Result<()> {
    let mut written = Ok(());
    let followed = client.events(past, follow, |event| {
        written = if out.is_json() { json_line(&event, out) } else { out.text(&line(&event)) };
        if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    until_over(followed)?;
    written
}

/// What is followed for as long as `--timeout` says ends well when that is over: nothing more was asked for.
pub(super) fn until_over(followed: Result<(), ClientError>) -> Result<(), ClientError> {
    match followed {
        Err(ClientError::Over { .. }) => Ok(()),
        followed => followed,
    }
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
