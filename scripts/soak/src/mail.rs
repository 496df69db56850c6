//! The publisher: numbered messages to a topic of the plugin's, and whoever hears what the plugin publishes of them.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use hotbay::Host;
use hotbay::bus::{Pattern, Subscribe, Subscription};

use crate::host::record;
use crate::record::{Record, Seen};

/// Keys that are published to; clients have others.
const KEYS: std::ops::Range<u32> = 1000..1004;

/// After so long a message has not been taken, or is not heard of any more. Far more than a swap takes.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is published, and what is heard of it.
#[derive(Debug)]
pub(crate) struct Mail<'a, W> {
    host: &'a Host,
    heard: Subscription,
    history: &'a Mutex<W>,
    /// Messages that the plugin's mailbox took, and whether there will be more.
    taken: AtomicU64,
    is_over: AtomicBool,
}

impl<'a, W: Write> Mail<'a, W> {
    pub(crate) fn new(host: &'a Host, history: &'a Mutex<W>) -> Result<Self> {
        let subscribe = Subscribe::new("soak", vec![Pattern::parse("soak.applied")?]).capacity(65_536);
        let heard = host.subscribe(subscribe)?;
        Ok(Self { host, heard, history, taken: AtomicU64::new(0), is_over: AtomicBool::new(false) })
    }

    /// Publishes so many per second until it is told to end. Order is per key, and all keys share one thread and one mailbox.
    ///
    /// # Errors
    /// The history cannot be written.
    pub(crate) fn publish(&self, rate: u32, done: &AtomicBool) -> Result<()> {
        let published = self.publish_all(rate, done);
        self.is_over.store(true, Ordering::SeqCst);
        published
    }

    fn publish_all(&self, rate: u32, done: &AtomicBool) -> Result<()> {
        let (publisher, mut due) = (self.host.publisher("soak"), Instant::now());
        for (key, number) in (1_u64..).flat_map(|number| KEYS.map(move |key| (key, number))) {
            if let Some(early) = due.checked_duration_since(Instant::now()) {
                std::thread::sleep(early);
            }
            due += Duration::from_secs(1) / rate;
            if done.load(Ordering::Relaxed) {
                break;
            }
            // Written before it is published: also one that is never heard of is in the history.
            record(self.history, &Record::Mailed(key, number))?;
            let message = format!("[{key},{number}]");
            match publisher.confirm("soak.apply", message.as_bytes(), DEADLINE) {
                Ok(published) if published.taken == 1 => drop(self.taken.fetch_add(1, Ordering::SeqCst)),
                Ok(published) => {
                    let why = format!("{} mailboxes took it", published.taken);
                    record(self.history, &Record::Refused(key, number, why))?;
                }
                Err(error) => record(self.history, &Record::Refused(key, number, error.to_string()))?,
            }
        }
        Ok(())
    }

    /// Writes down what the plugin says, until all is heard of, or nothing comes any more.
    ///
    /// # Errors
    /// The history cannot be written, or what is heard is nothing that a ledger says.
    pub(crate) fn hear(&self) -> Result<()> {
        let (mut heard, mut all, mut last) = (0, VecDeque::new(), Instant::now());
        while last.elapsed() < DEADLINE {
            if self.is_over.load(Ordering::SeqCst) && heard >= self.taken.load(Ordering::SeqCst) {
                return Ok(());
            }
            if self.heard.receive_all(&mut all, Duration::from_millis(20)).is_err() {
                continue;
            }
            last = Instant::now();
            for message in all.drain(..) {
                let (key, number, seen): (u32, u64, Seen) = serde_json::from_slice(message.payload())
                    .context("failed to read what the plugin published")?;
                record(self.history, &Record::Heard(key, number, seen))?;
                heard += 1;
            }
        }
        Ok(())
    }
}
