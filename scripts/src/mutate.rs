//! `cargo xtask mutate`: libraries that were changed in all ways are offered to a host that serves meanwhile. What runs is
//! `scripts/mutate`; here it is built.

use std::process::Command;

use anyhow::Result;

use crate::{cargo, program};

/// Offer libraries that were changed in all ways to a host that serves meanwhile, and look whether it lives
///
/// A host (`hotbay run`) in a process of its own has one healthy plugin, which is called without a pause; each call must be answered right
/// and in time. Into its plugins folder come files, some two hundred at a time: each fixture of the tests in each way of being wrong. The
/// host is waited for until it has said what became of each; then they are taken away, and the next come.
///
/// Five fixtures are left out, and named: `hangs_in_finalizer` keeps the system's loader for good, `forgets_tokio` and `keeps_a_thread` a thread that holds their
/// library, `exports_without_end` is never stopped, since its state cannot be kept, and `takes_mappings` takes all that there are. They do so as soon as they run, and some ways of
/// being wrong change nothing of that; whoever came behind would be judged for what they do. What becomes of them is in tests of their names.
///
/// Three quarters are changed in their structure, unsigned, and the host may take them: cut off, ended in zeros, with others bytes in their
/// headers, tables or manifest, with parts moved, said to be of another machine, or no library at all. What of these is harmless starts, which is
/// right. A quarter has flipped bits in its code, which no reader and no probe can tell; that host has `trust.unsigned = "refuse"`, and they come
/// with the signature of what they were, or without: each must be refused before it is mapped.
///
/// unread: refused for what stands in it, nothing of it ran; distrusted: for who vouches for it, likewise; probed: a probe refused it, died of
/// it or hung; waits: it requires what is not there; faulted: the host mapped it and gave it up; started: it served. What the host holds is counted
/// after the first 800 files and after the last, while none of them is there; Linux counts it, elsewhere it is null.
///
/// Each file follows from the seed and its number: `--from N --files 8` offers some of them again.
///
/// Ends with 1 when the host died, when a call failed or took longer than two seconds, when a library with flipped code was not refused, when the host said
/// nothing of a file, when it grew, or when as many files were asked for as there are pairs of a fixture and a way of being wrong, and one of these was
/// never met.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How many
    #[arg(long, default_value_t = 100_000)]
    files: u64,
    /// Which of all that there could be
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The number of the first
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// `json` for one object on stdout instead of the table
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    eprintln!(
        "Building the host, the plugin `echo` and all fixtures, in release: some minutes the first time ..."
    );
    let host = ["--release", "-p", "hotbay", "-p", "hotbay-mutate", "--bins"];
    let mut host = cargo::artefacts_of(&host)?;
    let healthy = cargo::artefacts_of(&["--release", "-p", "hotbay-echo"])?.take("echo")?;
    let fixtures = cargo::artefacts_of(&["--release", "-p", "hotbay-fixtures", "--examples"])?;
    let mut mutate = Command::new(host.take("hotbay-mutate")?);
    mutate.arg("--hotbay").arg(host.take("hotbay")?).arg("--healthy").arg(healthy);
    for library in fixtures.files() {
        mutate.arg("--library").arg(library);
    }
    let Options { files, seed, from, output } = options;
    for (name, number) in [("--files", files), ("--seed", seed), ("--from", from)] {
        mutate.args([name, &number.to_string()]);
    }
    program::run(&mut mutate, output.as_deref())
}
