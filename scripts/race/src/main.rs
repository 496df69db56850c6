//! What `cargo xtask race` runs: one thread exchanges a plugin's file without a pause, as an attacker or an installer in a
//! hurry would, while a host loads it again and again; another looks at each load, whether what runs is what was verified.
//!
//! The file is one of four: two versions of a plugin, whose digests are known; a library that is refused for its manifest, and
//! whose initialiser would say that it was mapped; and that one cut off, which ends who maps it. A host that checks one file
//! and maps another runs a version that is not the one of the digest it tells, says that the third was mapped, or dies.

mod exchange;
mod judge;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use hotbay::check::check;
use hotbay::{Config, Host};
use serde::Serialize;

use exchange::{Exchanger, Place};
use judge::Judge;

/// What the fixture `marks_in_initializer` leaves in the folder that the process runs in.
const MARK: &str = "marked.by.an.initializer";

/// Without a load for so long, it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Parser)]
#[command(name = "hotbay-race", about = "What `cargo xtask race` runs; see its --help")]
struct Options {
    /// A version of the plugin `stateless`
    #[arg(long)]
    old: PathBuf,
    /// Another
    #[arg(long)]
    new: PathBuf,
    /// The fixture `marks_in_initializer`
    #[arg(long)]
    hostile: PathBuf,
    #[arg(long, default_value_t = 20_000)]
    exchanges: u64,
    #[arg(long, default_value_t = 300)]
    loads: u64,
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

/// What was found.
#[derive(Debug, Serialize)]
struct Report {
    exchanges: u64,
    /// Loads of which it was seen what runs.
    loads: u64,
    /// Of these, how many ran something else than what was verified.
    unverified: u64,
    /// How often a file that is no good was met, and refused.
    refused: u64,
    seconds: f64,
    /// What was wrong, in words.
    complaints: Vec<String>,
}

fn main() -> ExitCode {
    // First of all: this program is also started as the probe of new files.
    hotbay::probe::entry();
    match run(&Options::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<bool> {
    let folder = tempfile::Builder::new().prefix("hotbay-race-").tempdir()?;
    let place = Place::make(folder.path(), options)?;
    enter(folder.path())?;
    let mut config = Config::default();
    config.plugins = place.folder();
    config.home = folder.path().join(".hotbay");
    // A file that moved under the reader's hand is looked at again at once.
    config.watch.settle = Duration::from_millis(1);
    let mut judge = Judge::of(&config, &place)?;
    let mark = Mark::of(folder.path(), &place.marking(), &config)?;

    let host = Host::start(config).context("failed to start the host")?;
    let events = host.events(0);
    if !host.ready(PATIENCE) {
        bail!("the host was not ready within {} s", PATIENCE.as_secs());
    }
    let begun = Instant::now();
    let exchanger = Exchanger::begin(place)?;
    let mut last = Instant::now();
    while judge.loads < options.loads || exchanger.count() < options.exchanges {
        let Ok(event) = events.recv_timeout(PATIENCE) else { bail!("nothing happens any more") };
        match event.kind.as_str() {
            "swapped" => {
                judge.look(&host)?;
                last = Instant::now();
            }
            "rejected" => judge.refused += 1,
            _ => {}
        }
        if last.elapsed() > PATIENCE {
            bail!("nothing was loaded for {} s: {:?}", PATIENCE.as_secs(), host.list());
        }
    }
    let exchanges = exchanger.end()?;
    host.shutdown();

    let Judge { loads, unverified, refused, mut complaints, .. } = judge;
    if mark.is_there() {
        complaints.push("the initialiser of a library that is refused has run".to_owned());
    }
    if refused == 0 {
        complaints.push("no file that is no good was met: this was no race".to_owned());
    }
    let report =
        Report { exchanges, loads, unverified, refused, seconds: begun.elapsed().as_secs_f64(), complaints };
    report.print(options)?;
    Ok(report.unverified == 0 && report.complaints.is_empty())
}

/// Where the mark is left, by a probe as well.
#[expect(clippy::disallowed_methods, reason = "no plugin is loaded yet, and no other thread has begun")]
fn enter(folder: &Path) -> Result<()> {
    std::env::set_current_dir(folder).context("failed to enter a folder of its own")
}

/// What a library leaves that should never have been mapped.
struct Mark(PathBuf);

impl Mark {
    /// With the proof that it would: a probe maps the same library while its manifest is in order.
    fn of(folder: &Path, marking: &Path, config: &Config) -> Result<Self> {
        let mark = Self(folder.join(MARK));
        let found = check(marking, config);
        if !found.accepted || !mark.is_there() {
            bail!("the fixture `marks_in_initializer` leaves no mark where it is mapped: {:?}", found.reason);
        }
        std::fs::remove_file(&mark.0)?;
        Ok(mark)
    }

    fn is_there(&self) -> bool {
        self.0.exists()
    }
}

impl Report {
    fn print(&self, options: &Options) -> Result<()> {
        if options.output.is_some() {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        let row = |name: &str, value: String| println!("{name:<12} {value}");
        row("exchanges", format!("{} in {:.0} s", self.exchanges, self.seconds));
        row("loads", self.loads.to_string());
        row("unverified", self.unverified.to_string());
        row("refused", self.refused.to_string());
        self.complaints.iter().for_each(|complaint| row("WRONG", complaint.clone()));
        Ok(())
    }
}
