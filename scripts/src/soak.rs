//! `cargo xtask soak`: two versions of a plugin replace each other many times under load, and a checker in a process of
//! its own judges what the clients saw. What runs is `scripts/soak`; here it is built.

use anyhow::Result;

use crate::{cargo, program};

/// Replace two versions of a plugin by each other many times under load, and look for what was lost or kept
///
/// A process with a host and four clients, two that call inline and two that go through the lane, sends numbered messages,
/// per key one after the other. Another process judges their history; a third replaces the plugin's file, takes the receipts
/// and looks at the host from outside. The plugin keeps per key what was applied, and says it with each answer: what is lost,
/// applied twice or out of order shows there, and once more in its state at the end. Beside them numbered messages are published to a topic of
/// the plugin's, which publishes what it applied; they are judged in the same way, and counted apart.
///
/// All of it is built in release, as users run it: the figures of a debug build are nobody's.
///
/// pause_us is how long requests took, as their clients saw it, that were under way in a swap: from the rename of the file to
/// the receipt. gate_us is how long those waited that a gate held up, by the receipts. swap_us is from the rename to the first
/// answer of the new version. The slope of resident memory is by least squares over the swaps after a warm-up of 250, or of a
/// quarter of them; maps, threads and fds are counted at rest, after the warm-up and after the last swap. Linux counts them,
/// elsewhere they are null.
///
/// Ends with 1 when a request failed, or a request or message was lost, duplicated or reordered, when a swap was rolled back, or when an old
/// version is still in memory.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often the file is replaced
    #[arg(long, default_value_t = 1000)]
    swaps: u64,
    /// Messages per second, of all clients together
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: u32,
    /// Messages per second that are published beside them; 0 for none
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(0..=1_000_000))]
    messages: u32,
    /// `json` for one object on stdout instead of the table
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    eprintln!("Building the host and two versions of the plugin `ledger`, in release ...");
    let mut host = cargo::artefacts_of(&["--release", "-p", "hotbay-soak", "--bin", "hotbay-soak"])?;
    // Apart from the host, as an author builds a plugin: in one build its dependencies would get the host's features.
    let plugins = ["--release", "-p", "hotbay-fixtures", "--example", "ledger", "--example", "ledger_next"];
    let mut plugins = cargo::artefacts_of(&plugins)?;
    let mut soak = std::process::Command::new(host.take("hotbay-soak")?);
    soak.arg("drive")
        .arg("--old")
        .arg(plugins.take("ledger")?)
        .arg("--new")
        .arg(plugins.take("ledger_next")?);
    soak.args(["--swaps", &options.swaps.to_string(), "--rate", &options.rate.to_string()]);
    soak.args(["--messages", &options.messages.to_string()]);
    program::run(&mut soak, options.output.as_deref())
}
