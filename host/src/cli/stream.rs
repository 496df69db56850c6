//! `hotbay stream NAME.METHOD`

use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;

use tokio::sync::mpsc;

use super::args::{Stream, millis};
use super::call::{opened, read};
use super::failed::Otherwise as _;
use super::output::{Output, narrate};
use crate::control::client::Client;
use crate::control::line::Item;
use crate::control::protocol::Request;
use crate::error::Code;
use crate::os;

/// Lines that are read before they can be sent.
const AHEAD: usize = 16;

pub(super) fn stream(
    client: &Client,
    asked: Stream,
    lifetime: Option<std::time::Duration>,
    out: &Output,
) -> anyhow::Result<()> {
    let Stream { target, data, lines, count, once } = asked;
    let body = read(data.as_deref())?;
    let (sender, items) = mpsc::channel(AHEAD);
    let told = format!("opened {}.{}", target.service, target.method);
    if let Some(from) = lines {
        // Opened here, so that one that is not there is told before anything begins.
        let from: Box<dyn BufRead + Send> = match from.as_str() {
            "-" => Box::new(BufReader::new(io::stdin())),
            file => Box::new(BufReader::new(opened(file)?)),
        };
        // It is not waited for: stdin may never end.
        os::spawn("hotbay-lines", move || send_lines(from, &sender))
            .otherwise(Code::NoThread, || "failed to start a thread that reads lines")?;
    }
    let request = Request::Stream {
        service: target.service,
        method: target.method,
        lifetime_ms: lifetime.map(millis),
        once,
    };
    let (mut written, mut left) = (Ok(()), count);
    client.items(
        &request,
        &body,
        items,
        || narrate(&told),
        |item| {
            written = if out.is_json() { json_line(item, out) } else { line(item, out) };
            left = left.map(|left| left.saturating_sub(1));
            if written.is_err() || left == Some(0) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )?;
    written
}

/// Each line is an item, without its end. What cannot be read any more ends them.
fn send_lines(mut from: impl BufRead, sender: &mpsc::Sender<Vec<u8>>) {
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).is_ok_and(|len| len > 0) {
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if sender.blocking_send(std::mem::take(&mut line)).is_err() {
            return;
        }
    }
}

/// An item as it is, and the end of a line.
fn line(item: &[u8], out: &Output) -> anyhow::Result<()> {
    out.bytes(&[item, b"\n"].concat())
}

fn json_line(item: &[u8], out: &Output) -> anyhow::Result<()> {
    out.text(&serde_json::to_string(&Item::new(item))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_an_item_also_the_last_one_without_an_end_and_such_as_are_no_text() {
        let (sender, mut items) = mpsc::channel(AHEAD);
        send_lines(&b"a\nb c\r\n\n\xff\xfe\nlast"[..], &sender);
        drop(sender);
        let mut all = Vec::new();
        while let Some(item) = items.blocking_recv() {
            all.push(item);
        }
        assert_eq!(all, [&b"a"[..], b"b c", b"", b"\xff\xfe", b"last"]);
    }
}
