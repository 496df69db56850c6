//! The process that hosts: an embedding program with its clients. Its stdout is the history, its stdin brings the driver's
//! word.

use std::io::{BufRead as _, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use hotbay::kernel::view::{Phase, Receipt};
use hotbay::{Config, Host};

use crate::client::{Client, Way, write};
use crate::mail::Mail;
use crate::record::{Entry, Record};

/// The service that is soaked.
pub(crate) const SERVICE: &str = "ledger";

/// The clients: half of them inline, half through the lane.
const WAYS: [Way; 4] = [Way::Inline, Way::Lane, Way::Inline, Way::Lane];

/// Keys of each client.
const KEYS: u32 = 4;

/// How long anything may take that is not measured.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Holds `plugins/`; the home is made beside it
    #[arg(long)]
    folder: PathBuf,
    /// Messages per second, of all clients together
    #[arg(long)]
    rate: u32,
    /// Messages that are published per second
    #[arg(long)]
    messages: u32,
}

/// The host's clock: microseconds since it began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn now(self) -> u64 {
        micros(self.0.elapsed())
    }

    /// A moment that another process of this machine has read from the calendar.
    fn of_unix(self, unix_us: u64) -> u64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.now().saturating_sub(micros(now).saturating_sub(unix_us))
    }
}

/// In whole microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut config = Config::default();
    config.plugins = options.folder.join("plugins");
    config.home = options.folder.join(".hotbay");
    let host = Host::start(config)?;
    if !host.ready(PATIENCE) || generation(&host).is_none() {
        let reason = host.list().into_iter().find_map(|row| row.reason).unwrap_or_default();
        bail!("failed to start the service `{SERVICE}`: {reason}");
    }

    let (clock, done) = (Clock(Instant::now()), AtomicBool::new(false));
    let history = Mutex::new(std::io::stdout());
    let mail = Mail::new(&host, &history)?;
    std::thread::scope(|scope| -> Result<()> {
        scope.spawn(|| report_swaps(&host, clock, &history, &done));
        let clients: Vec<_> = WAYS
            .iter()
            .zip(0..)
            .map(|(&way, number)| {
                let client = Client {
                    host: &host,
                    way,
                    keys: (number * KEYS..(number + 1) * KEYS).collect(),
                    period: Duration::from_secs(WAYS.len() as u64) / options.rate.max(1),
                    clock,
                    history: &history,
                    done: &done,
                };
                scope.spawn(move || client.run())
            })
            .collect();
        let published = (options.messages > 0)
            .then(|| [scope.spawn(|| mail.publish(options.messages, &done)), scope.spawn(|| mail.hear())]);
        // The clients end in any case, also when the driver is gone.
        let listened = listen(clock, &history);
        done.store(true, Ordering::Relaxed);
        for client in clients {
            client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        }
        for thread in published.into_iter().flatten() {
            thread.join().map_err(|_| anyhow::anyhow!("who publishes or hears panicked"))??;
        }
        listened
    })?;
    record(&history, &last_call(&host)?)?;
    host.shutdown();
    Ok(())
}

/// Takes the driver's word until it says no more.
fn listen(clock: Clock, history: &Mutex<impl Write>) -> Result<()> {
    for line in std::io::stdin().lock().lines() {
        let unix_us: u64 = line?.parse().context("failed to read when a file was replaced")?;
        record(history, &Record::Replaced(clock.of_unix(unix_us)))?;
    }
    Ok(())
}

/// Writes each swap down as it ends.
fn report_swaps(host: &Host, clock: Clock, history: &Mutex<impl Write>, done: &AtomicBool) {
    let events = host.events(0);
    let mut newest = None;
    while !done.load(Ordering::Relaxed) {
        let Ok(event) = events.recv_timeout(Duration::from_millis(100)) else { continue };
        let of_swap = event.service.as_deref() == Some(SERVICE);
        if !of_swap || !["swapped", "rolled_back"].contains(&event.kind.as_str()) {
            continue;
        }
        let Some(receipt) = receipt_after(host, newest.as_ref()) else { continue };
        if record(history, &Record::Swapped(clock.now(), Box::new(receipt.clone()))).is_err() {
            return;
        }
        newest = Some(receipt);
    }
}

/// The receipt that comes after that one: the event is out a moment before the loop has it.
fn receipt_after(host: &Host, before: Option<&Receipt>) -> Option<Receipt> {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let newest = host.status(SERVICE).ok()?.last_swap;
        if newest.as_ref() != before {
            return newest;
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    None
}

/// The plugin's own account of all messages, from the generation that serves at the end.
fn last_call(host: &Host) -> Result<Record> {
    let reply = host.request(SERVICE, "entries", Vec::new(), PATIENCE)?;
    let (handovers, entries): (u64, Vec<(u32, Entry)>) =
        serde_json::from_slice(&reply).context("failed to read the plugin's last answer")?;
    let generation = generation(host).context("failed to find the generation that serves")?;
    Ok(Record::Final { generation, handovers, entries })
}

fn generation(host: &Host) -> Option<u64> {
    let rows = host.list();
    rows.iter().find(|row| row.name == SERVICE && row.phase == Phase::Running)?.generation
}

pub(crate) fn record(history: &Mutex<impl Write>, record: &Record) -> Result<()> {
    let mut line = Vec::new();
    write(&mut line, record)?;
    let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
    history.write_all(&line).and_then(|()| history.flush()).context("failed to write the history")
}
