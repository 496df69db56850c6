//! `hotbay publish TOPIC`

use std::time::Duration;

use super::args::millis;
use super::output::{Output, narrate};
use crate::bus::Published;
use crate::control::client::Client;
use crate::control::protocol::Request;

pub(super) fn publish(
    client: &Client,
    topic: String,
    data: Option<&str>,
    headers: Vec<(String, String)>,
    confirm: bool,
    deadline: Duration,
    out: &Output,
) -> anyhow::Result<()> {
    let body = super::call::read(data)?;
    let request = Request::Publish { topic, headers, confirm, deadline_ms: millis(deadline) };
    let published: Published = client.ask_with(&request, &body)?;
    if out.is_json() {
        return out.json(&published);
    }
    let refused = match published.refused {
        0 => String::new(),
        refused => format!(", {refused} did not: `hotbay topics` shows them"),
    };
    let mailboxes = if published.taken == 1 { "mailbox" } else { "mailboxes" };
    narrate(&format!("{}: {} {mailboxes} took it{refused}", published.id, published.taken));
    Ok(())
}
