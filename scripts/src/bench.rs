//! `cargo xtask bench`: what calls, requests and swaps cost, beside their limits. What runs is `tests/bench`, a
//! workspace of its own; here it is built.

use anyhow::{Context, Result, bail};

use crate::cargo;

/// Measure calls, requests and swaps against their limits
///
/// Calls, requests and pairs of threads are measured by turns in one process, in rounds that each begin with another row, on
/// pinned threads with clocks of their own (Linux; elsewhere they are not pinned). A ratio is the median of the rounds' ratios
/// to the row that it names, not a ratio of medians. Two threads are compared by what they gain over one; where the bare `dyn`
/// gains less than 1.5, a neighbour has the other processor, and it says "not measured".
///
/// Limits: `dyn` is a call of a `dyn Trait` into a reused buffer, `raw` an `extern "C"` function pointer into the caller's
/// buffer, `lock add` one uncontended atomic addition, `dyn owned` a `dyn` call with a vector as reply, `dyn first` one without
/// an atomic in its body, `actor` a tokio actor on a thread of its own, asked from outside of its runtime.
///
/// Ours: `call` by handle on the caller's thread, `call first` the same without an atomic in the plugin, `name owned` by name
/// with an owned reply, `hop` from a plugin through the host into a plugin, `request` through a lane with a deadline.
///
/// Swaps: `first answer` is from the rename of the file to the first answer of the new version, `worst call` the longest call of
/// one pinned caller from load to retire, against the longest in an equally long window without a swap. Then where the time
/// goes: when each event came, and the stages of the receipts.
///
/// Not measured: other hosts of plugins, more than two threads, more than one caller at a gate, other sizes of requests, a cold cache, and what
/// `nice`, `taskset` or a neighbour does to it. Differences of a few percent between two runs mean nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these
    #[arg(value_parser = ["call", "request", "scale", "swap"])]
    group: Option<String>,
    /// `json` for one array of `{name, ns, ...}` on stdout instead of the table
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
    /// Rounds of calls (101), and swaps of each kind (100)
    #[arg(long)]
    rounds: Option<u32>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    eprintln!("Building the bench, in release: some minutes the first time ...");
    let manifest = ["--manifest-path", "tests/bench/Cargo.toml"];
    let targets = ["--release", "--locked", "--bins", "--examples"];
    let mut built = cargo::artefacts_of(&[manifest.as_slice(), &targets].concat())?;
    let target = built.take("target")?;
    let libraries = target.parent().context("a library lies in a folder")?;
    let mut bench = std::process::Command::new(built.take("hotbay-bench")?);
    bench.arg("--libraries").arg(libraries).args(&options.group);
    if let Some(rounds) = options.rounds {
        bench.args(["--rounds", &rounds.to_string()]);
    }
    if let Some(format) = &options.output {
        bench.args(["--output", format]);
    }
    let status = bench.status().context("failed to run the bench")?;
    if !status.success() {
        bail!("failed to measure; why is said above");
    }
    Ok(())
}
