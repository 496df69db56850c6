//! `hotbay request TOPIC`

use std::time::Duration;

use super::args::millis;
use super::output::Output;
use crate::control::client::Client;
use crate::control::protocol::Request;

pub(super) fn request(
    client: &Client,
    topic: String,
    data: Option<&str>,
    headers: Vec<(String, String)>,
    deadline: Duration,
    out: &Output,
) -> anyhow::Result<()> {
    let body = super::call::read(data)?;
    let request = Request::Ask { topic, headers, deadline_ms: millis(deadline) };
    out.bytes(&client.pass(&request, &body)?)
}
