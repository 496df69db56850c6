//! `hotbay subscribe PATTERN…`

use std::ops::ControlFlow;

use super::events::until_over;
use super::output::{Output, narrate, one_line};
use super::when::stamp;
use crate::bus::{MessageView, Pattern};
use crate::control::client::{Client, ClientError};
use crate::control::exit::Exit;
use crate::control::line::Line;
use crate::control::protocol::{Failure, Request};
use crate::error::Code;

/// Messages that may wait for a terminal.
const ROOM: usize = 10_000;

pub(super) fn subscribe(
    client: &Client,
    patterns: Vec<Pattern>,
    queue: Option<String>,
    count: Option<u64>,
    out: &Output,
) -> anyhow::Result<()> {
    let subjects = patterns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let request = Request::Subscribe { patterns, queue, capacity: ROOM };
    let (mut written, mut left, mut dropped) = (Ok(()), count, 0);
    let subscribed = || narrate(&format!("subscribed to {subjects}"));
    let followed = client.messages(&request, subscribed, |message, bytes| {
        if message.dropped > dropped {
            let missed = message.dropped - dropped;
            narrate(&format!("{missed} messages were missed: they came faster than they were taken"));
            dropped = message.dropped;
        }
        written =
            if out.is_json() { json_line(message, bytes, out) } else { out.text(&line(&message, bytes)) };
        left = left.map(|left| left.saturating_sub(1));
        if written.is_err() || left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match (followed, count.zip(left)) {
        (Err(ClientError::Over { after }), Some((count, left))) => {
            let (ms, came) = (after.as_millis(), count - left);
            let message = format!(
                "failed to get as many messages as were asked for, {count}, within {ms} ms: {came} came; wait longer with `--timeout`"
            );
            Err(Failure::new(Exit::TimedOut, Code::TooFewCame, message).into())
        }
        (followed, _) => {
            until_over(followed)?;
            written
        }
    }
}

fn json_line(message: MessageView, bytes: &[u8], out: &Output) -> anyhow::Result<()> {
    out.text(&serde_json::to_string(&Line::new(message, bytes))?)
}

/// A message on one line.
fn line(message: &MessageView, bytes: &[u8]) -> String {
    let content = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => format!("{} bytes", bytes.len()),
    };
    let headers: String = message.headers.iter().map(|(name, value)| format!("  {name}={value}")).collect();
    let at = stamp(message.unix_us / 1000);
    one_line(&format!("{at}  {:<20}  {:<12}  {content}{headers}", message.topic, message.sender))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::MessageId;

    #[test]
    fn a_message_is_a_line_whatever_is_in_it() {
        let message = MessageView {
            id: MessageId { run: 1, number: 2 },
            topic: "orders.created".to_owned(),
            sender: "shop".to_owned(),
            unix_us: 0,
            headers: vec![("trace".to_owned(), "1\n2".to_owned())],
            causes: Vec::new(),
            dropped: 0,
        };
        let text = line(&message, b"a\nb");
        assert!(text.ends_with("a b  trace=1 2") && text.contains("orders.created"), "{text}");
        assert!(line(&message, b"\xff\xfe").contains("2 bytes"));
    }
}
