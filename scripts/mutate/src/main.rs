//! What `cargo xtask mutate` runs: libraries that were changed in all ways, offered to a host that serves meanwhile.
//!
//! ```text
//!  this ── files ─► plugins folder ─► hotbay run ◄── calls without a pause ── this
//!    └◄── what became of each, by `list` and `events` ──┘   looked at from outside: does it live, does it grow
//! ```
//!
//! Each file follows from the seed and its number alone.

mod random;
mod layout;
mod strip;
mod mutation;
mod served;
mod caller;
mod offer;
mod report;
mod libraries;
mod part;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Parser;

use libraries::Libraries;
use report::Report;

#[derive(Debug, Parser)]
#[command(name = "hotbay-mutate", about = "What `cargo xtask mutate` runs; see its --help")]
struct Options {
    /// The host
    #[arg(long)]
    hotbay: PathBuf,
    /// The plugin `echo`, which is called
    #[arg(long)]
    healthy: PathBuf,
    /// A library that is changed; may be given several times
    #[arg(long, required = true)]
    library: Vec<PathBuf>,
    #[arg(long, default_value_t = 2000)]
    files: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first file
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Files that lie in the folder at once
    #[arg(long, default_value_t = 240)]
    batch: u64,
    /// A call that takes longer is wrong
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    late_ms: u64,
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

fn main() -> ExitCode {
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
    if options.files < 8 || options.batch == 0 {
        bail!("8 files are the least, and a batch has one at least");
    }
    let libraries = Libraries::read(&options.healthy, &options.library)?;
    let begun = Instant::now();
    let mut report = Report {
        files: options.files,
        seed: options.seed,
        host_deaths: 0,
        failed_calls: 0,
        seconds: 0.0,
        left_out: libraries.left_out.clone(),
        parts: Vec::new(),
        complaints: Vec::new(),
    };
    // A quarter of them is for what no probe can tell, and a signature does.
    let signed = options.files / 4;
    let run = part::Run {
        hotbay: &options.hotbay,
        libraries: &libraries,
        seed: options.seed,
        batch: options.batch,
        late: Duration::from_millis(options.late_ms),
    };
    run.part(&part::STRUCTURAL, options.from, options.files - signed, &mut report)?;
    run.part(&part::SIGNED, options.from, signed, &mut report)?;
    report.seconds = (begun.elapsed().as_secs_f64() * 10.0).round() / 10.0;
    match &options.output {
        Some(_) => println!("{}", serde_json::to_string(&report)?),
        None => report.print(),
    }
    Ok(report.is_clean())
}
