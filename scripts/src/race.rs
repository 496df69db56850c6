//! `cargo xtask race`: a plugin's file is exchanged without a pause while a host loads it, and what runs is compared with what
//! was verified. What runs is `scripts/race`; here it is built.

use anyhow::Result;

use crate::{cargo, program};

/// Exchange a plugin's file a million times while a host loads it, and look whether what runs is what was verified
///
/// One thread exchanges the file with one of four others, in bursts of some dozens, each exchange in one step (rename): two
/// versions of a plugin, a library that is refused for its manifest and leaves a mark when it is mapped all the same, and that
/// one cut off, which ends who maps it. A host in the same process sees the file move and loads what it finds good. After each
/// load the version is asked what it is, and compared with the digest that the host tells. That the library leaves a mark is seen
/// first, by a probe.
///
/// exchanges and loads are what there was, at least what was asked for; loads of which another came before they were looked at are
/// not counted. unverified is how many of them run something else than what was verified. refused is how often the host met one
/// of the two files that are no good.
///
/// Ends with 1 when a load was unverified, when the mark is there, or when no file that is no good was met.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often the file is exchanged, at least
    #[arg(long, default_value_t = 1_000_000)]
    exchanges: u64,
    /// How many loads are looked at, at least
    #[arg(long, default_value_t = 20_000)]
    loads: u64,
    /// `json` for one object on stdout instead of the table
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    eprintln!("Building the host and three libraries, in release ...");
    let mut host = cargo::artefacts_of(&["--release", "-p", "hotbay-race", "--bin", "hotbay-race"])?;
    let fixtures = ["stateless", "stateless_next", "marks_in_initializer"];
    let mut build = vec!["--release", "-p", "hotbay-fixtures"];
    build.extend(fixtures.iter().flat_map(|fixture| ["--example", *fixture]));
    let mut libraries = cargo::artefacts_of(&build)?;
    let mut race = std::process::Command::new(host.take("hotbay-race")?);
    for (argument, fixture) in ["--old", "--new", "--hostile"].iter().zip(fixtures) {
        race.arg(argument).arg(libraries.take(fixture)?);
    }
    race.args(["--exchanges", &options.exchanges.to_string(), "--loads", &options.loads.to_string()]);
    program::run(&mut race, options.output.as_deref())
}
