//! The process that drives: replaces the file again and again, takes the receipts, looks at the host from outside, and
//! reports.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use hotbay::kernel::view::{Outcome, Receipt, Retired};
use hotbay_census::{Census, resident, slope};

use crate::host::micros;
use crate::record::{Said, Verdict};
use crate::report::{Gate, Report, Span};

/// How long anything may take before it counts as hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two tries.
const LOOK: Duration = Duration::from_millis(1);

/// Swaps until allocators and the host's own memory of events and receipts have found their size; a quarter of a short run.
const WARM: u64 = 250;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often the file is replaced
    #[arg(long)]
    swaps: u64,
    /// Messages per second, of all clients together
    #[arg(long)]
    rate: u32,
    /// Messages that are published per second beside them
    #[arg(long, default_value_t = 1000)]
    messages: u32,
    /// Version 1 of the ledger
    #[arg(long)]
    old: PathBuf,
    /// Version 2 of the ledger
    #[arg(long)]
    new: PathBuf,
    /// `json` for one object on stdout
    #[arg(short, long)]
    output: Option<Output>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Json,
}

/// Whether all of it held.
pub(crate) fn run(options: &Options) -> Result<bool> {
    let report = soak(options)?;
    match options.output {
        Some(Output::Json) => println!("{}", serde_json::to_string(&report)?),
        None => report.print(),
    }
    Ok(report.is_clean())
}

fn soak(options: &Options) -> Result<Report> {
    let versions = [fs::read(&options.old), fs::read(&options.new)];
    let [old, new] = versions.map(|read| read.context("failed to read a version of the plugin"));
    let versions = [old?, new?];
    let folder = tempfile::Builder::new().prefix("hotbay-soak-").tempdir()?;
    fs::create_dir(folder.path().join("plugins"))?;
    replace(folder.path(), &versions[0])?.rename()?;
    let mut pair = Pair::start(folder.path(), options)?;
    let host = pair.host.id();
    match pair.next(None)? {
        Said::Begun => {}
        said => bail!("the clients were not answered; the checker says {said:?}"),
    }

    let warm = WARM.min(options.swaps / 4);
    let (mut sums, mut memory, mut start) = (Sums::default(), Vec::new(), None);
    let begun = Instant::now();
    for swap in 1..=options.swaps {
        if swap == warm + 1 {
            start = Census::at_rest(host);
        }
        let ready = replace(folder.path(), &versions[usize::from(swap % 2 == 1)])?;
        pair.announce()?;
        ready.rename()?;
        match pair.next(Some(swap))? {
            Said::Swapped(receipt) => {
                sums.add(&receipt);
                if receipt.outcome == Outcome::RolledBack {
                    // The digest is not tried again, so no other swap would follow.
                    break;
                }
            }
            said => bail!("failed at swap {swap}: the checker says {said:?}"),
        }
        if swap > warm {
            memory.extend(resident(host));
        }
        if swap % (options.swaps / 10).max(1) == 0 {
            let kib =
                memory.last().map_or_else(String::new, |bytes| format!(", memory {} KiB", bytes / 1024));
            eprintln!("{swap} swaps in {} s{kib}", begun.elapsed().as_secs());
        }
    }
    let end = Census::at_rest(host);
    let verdict = pair.finish()?;
    let mut report = sums.report(verdict, &memory);
    report.spans(start, end);
    Ok(report)
}

/// A file beside the plugins folder, ready to take its place there.
struct Ready {
    beside: PathBuf,
    place: PathBuf,
}

fn replace(folder: &Path, bytes: &[u8]) -> Result<Ready> {
    let name = format!("{}ledger{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let ready = Ready { beside: folder.join("beside"), place: folder.join("plugins").join(name) };
    fs::write(&ready.beside, bytes).context("failed to write the next version")?;
    Ok(ready)
}

impl Ready {
    fn rename(self) -> Result<()> {
        let begun = Instant::now();
        loop {
            match fs::rename(&self.beside, &self.place) {
                // Windows may refuse it while the host reads the file: whoever installs there tries again.
                Err(error)
                    if cfg!(windows)
                        && error.kind() == std::io::ErrorKind::PermissionDenied
                        && begun.elapsed() < PATIENCE =>
                {
                    std::thread::sleep(LOOK);
                }
                done => return done.context("failed to put the next version into the plugins folder"),
            }
        }
    }
}

/// The two other processes. They do not outlive this value.
struct Pair {
    host: Child,
    checker: Child,
    /// `None` once the host was told to end.
    word: Option<ChildStdin>,
    said: Receiver<Said>,
}

/// As many as `hotbay run` allows glibc's heap: else each of the many threads that come and go may once get one more, and
/// what is measured is when that was.
fn arenas() -> usize {
    2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

impl Pair {
    fn start(folder: &Path, options: &Options) -> Result<Self> {
        let program = std::env::current_exe().context("failed to find this program")?;
        let failed = "failed to start a process of this program";
        let mut checker = Command::new(&program)
            .arg("check")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(failed)?;
        let (Some(history), Some(out)) = (checker.stdin.take(), checker.stdout.take()) else { bail!(failed) };
        let host = Command::new(&program)
            .args(["host", "--rate", &options.rate.to_string()])
            .args(["--messages", &options.messages.to_string(), "--folder"])
            .arg(folder)
            .env("MALLOC_ARENA_MAX", arenas().to_string())
            .stdin(Stdio::piped())
            // The checker's alone: when the host ends, however, the history ends.
            .stdout(Stdio::from(history))
            .spawn();
        let (send, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(Result::ok) {
                if serde_json::from_str(&line).is_ok_and(|said| send.send(said).is_err()) {
                    return;
                }
            }
        });
        match host {
            Ok(mut host) => Ok(Self { word: host.stdin.take(), host, checker, said }),
            Err(error) => {
                let _ = checker.wait();
                Err(error).context(failed)
            }
        }
    }

    /// What the checker says next.
    fn next(&mut self, swap: Option<u64>) -> Result<Said> {
        let what = swap.map_or_else(|| "the first answer".to_owned(), |swap| format!("swap {swap}"));
        match self.said.recv_timeout(PATIENCE) {
            Ok(said) => Ok(said),
            Err(RecvTimeoutError::Timeout) => bail!("waited {} s for {what}", PATIENCE.as_secs()),
            Err(RecvTimeoutError::Disconnected) => {
                bail!(
                    "the checker ended while it was waited for {what}; the host: {:?}",
                    self.host.try_wait()?
                )
            }
        }
    }

    /// Says that the file is replaced now.
    fn announce(&mut self) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let Some(word) = &mut self.word else { bail!("the host was told to end") };
        writeln!(word, "{}", micros(now)).context("failed to talk to the host: it has ended")
    }

    /// Lets the clients end, then the host; what the checker found.
    fn finish(mut self) -> Result<Verdict> {
        self.word = None;
        let verdict = loop {
            match self.next(None)? {
                Said::Verdict(verdict) => break verdict,
                Said::Begun | Said::Swapped(_) => {}
            }
        };
        let ended = self.host.wait()?;
        if !ended.success() {
            bail!("the host ended with {ended}; {:?}", verdict.complaints);
        }
        Ok(*verdict)
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // After an orderly end both are gone already.
        for child in [&mut self.host, &mut self.checker] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What all receipts say together.
#[derive(Default)]
struct Sums {
    swaps: u64,
    unloaded: u64,
    pinned: Vec<String>,
    waits: Vec<u64>,
    longest: u64,
}

impl Sums {
    fn add(&mut self, receipt: &Receipt) {
        self.swaps += 1;
        match receipt.retired {
            Retired::Unloaded => self.unloaded += 1,
            Retired::Pinned => self.pinned.push(format!(
                "generation {} is still in memory: {}",
                receipt.from.generation,
                receipt.retired_reason.as_deref().unwrap_or("no reason")
            )),
        }
        if receipt.requests.waited > 0 {
            self.waits.push(receipt.pause_us.p50);
        }
        self.longest = self.longest.max(receipt.pause_us.max);
    }

    fn report(mut self, verdict: Verdict, memory: &[u64]) -> Report {
        self.waits.sort_unstable();
        self.pinned.truncate(5);
        let seconds = Duration::from_micros(verdict.lasted_us).as_secs_f64();
        let tenth = |value: f64| (value * 10.0).round() / 10.0;
        #[allow(clippy::cast_precision_loss, reason = "a count of requests, far below 2^53")]
        let rate = verdict.requests as f64 / seconds.max(f64::MIN_POSITIVE);
        Report {
            swaps: self.swaps,
            requests: verdict.requests,
            failed: verdict.failed,
            lost: verdict.lost,
            duplicated: verdict.duplicated,
            reordered: verdict.reordered,
            pause_us: verdict.pause_us,
            rss_slope_bytes_per_swap: slope(memory).map(tenth),
            maps: None,
            threads: None,
            fds: None,
            unloaded: self.unloaded,
            swap_us: verdict.swap_us,
            gate_us: Gate {
                p50: self.waits.get(self.waits.len() / 2).copied().unwrap_or(0),
                max: self.longest,
            },
            seconds: tenth(seconds),
            rate: tenth(rate),
            messages: verdict.messages,
            rss: memory.first().zip(memory.last()).map(|(&start, &end)| Span { start, end }),
            complaints: [verdict.complaints, self.pinned].concat(),
        }
    }
}
