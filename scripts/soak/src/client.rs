//! A client: sends numbered messages at a pace, one after the other, and writes down what became of each.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hotbay::{CallError, Host};

use crate::host::{Clock, SERVICE};
use crate::record::{Record, Span};

/// After so long a request through the lane has failed. Far more than a swap takes: what is measured is how long it takes,
/// and not whether somebody gives up.
const DEADLINE: Duration = Duration::from_secs(10);

/// The way in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Way {
    /// On the client's own thread.
    Inline,
    /// Through the lane.
    Lane,
}

/// The one place where a message goes into the host.
fn send(host: &Host, way: Way, message: &[u8], reply: &mut Vec<u8>) -> Result<(), CallError> {
    match way {
        Way::Inline => host.call(SERVICE, "apply", message, reply),
        Way::Lane => {
            *reply = host.request(SERVICE, "apply", message.to_vec(), DEADLINE)?;
            Ok(())
        }
    }
}

/// What a client needs.
#[derive(Debug)]
pub(crate) struct Client<'a, W> {
    pub(crate) host: &'a Host,
    pub(crate) way: Way,
    /// Nobody else sends under these.
    pub(crate) keys: Vec<u32>,
    /// From one message to the next.
    pub(crate) period: Duration,
    pub(crate) clock: Clock,
    pub(crate) history: &'a Mutex<W>,
    pub(crate) done: &'a AtomicBool,
}

impl<W: Write> Client<'_, W> {
    /// Sends until it is told to end. One message at a time: so the order per key is defined. A message that is due while
    /// the one before it still waits is sent right after.
    ///
    /// # Errors
    /// The history cannot be written.
    pub(crate) fn run(&self) -> Result<()> {
        let (mut due, mut lines, mut reply) = (Instant::now(), Vec::new(), Vec::new());
        let numbers = (1_u64..).flat_map(|number| self.keys.iter().map(move |&key| (key, number)));
        for (key, number) in numbers {
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
            }
            due += self.period;
            if self.done.load(Ordering::Relaxed) {
                break;
            }
            let message = format!("[{key},{number}]");
            // Written before it is sent: also a message that never comes back is in the history. The outcome of the one
            // before goes along, since a write wakes the checker.
            write(&mut lines, &Record::Sent(key, number))?;
            self.flush(&mut lines)?;
            reply.clear();
            let begun = self.clock.now();
            let sent = send(self.host, self.way, message.as_bytes(), &mut reply);
            let span = Span(begun, self.clock.now());
            let outcome = match sent.map(|()| serde_json::from_slice(&reply)) {
                Ok(Ok(seen)) => Record::Answered(key, number, span, seen),
                Ok(Err(error)) => Record::Failed(key, number, span, format!("no reply of a ledger: {error}")),
                Err(error) => Record::Failed(key, number, span, error.to_string()),
            };
            write(&mut lines, &outcome)?;
        }
        self.flush(&mut lines)
    }

    fn flush(&self, lines: &mut Vec<u8>) -> Result<()> {
        let mut history = self.history.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        history.write_all(lines).and_then(|()| history.flush()).context("failed to write the history")?;
        lines.clear();
        Ok(())
    }
}

/// Appends a record as a line.
pub(crate) fn write(lines: &mut Vec<u8>, record: &Record) -> Result<()> {
    serde_json::to_writer(&mut *lines, record).context("failed to write a record of the history")?;
    lines.push(b'\n');
    Ok(())
}
