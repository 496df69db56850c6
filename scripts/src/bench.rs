//! `cargo xtask bench`: what calls, requests, swaps and state cost, beside their limits and beside other hosts of plugins. What runs is
//! `tests/bench`, and `tests/peers` for what is compared with: workspaces of their own; here they are built.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::cargo::{self, Artefacts};

/// Measure calls, requests, swaps and state against their limits
///
/// Calls, requests and pairs of threads are measured by turns in one process, in rounds that each begin with another row, on
/// pinned threads with clocks of their own (Linux; elsewhere they are not pinned). A ratio is the median of the rounds' ratios
/// to the row that it names, not a ratio of medians. Two threads are compared by what they gain over one; where the bare `dyn`
/// gains less than 1.5, a neighbour has the other processor, and it says "not measured".
///
/// Limits: `dyn` is a call of a `dyn Trait` into a reused buffer, `raw` an `extern "C"` function pointer into the caller's
/// buffer, `lock add` one uncontended atomic addition, `dyn owned` a `dyn` call with a vector as reply, `dyn first` one without
/// an atomic in its body, `actor` a tokio actor on a thread of its own, asked from outside of its runtime. `leased` is `dyn` behind the barest
/// lease that there can be, `leased, counted` the same with a guard against panics and the two counts that a receipt is made of, and no
/// library: what `call` could come down to.
///
/// Ours: `call` by handle on the caller's thread, `call first` the same without an atomic in the plugin, `name owned` by name
/// with an owned reply, `hop` from a plugin through the host into a plugin, `request` through a lane with a deadline.
///
/// Peers: each does the same job as `call`, by the way in that its own guide shows; who cannot be built here has a row that says
/// why. `abi_stable, ArcSwap` is a function of a root module behind an `ArcSwap` guard, with an `RVec` as reply.
/// `hot-lib-reloader` is the call that its macro writes. `polyplug` is the caller that `polyplugc` writes, with the reply in a
/// register, under a `crossbeam_epoch` guard, so that what is called is not unloaded meanwhile, which its guide leaves to the
/// caller; `polyplug, no guard` is without; `polyplug owned` has bytes as reply, which the plugin allocates. `wasmtime` is a typed
/// function, the request copied into the module's memory and the reply out of it; `wasmtime, shared` has a lock around it. `reload`
/// is from the rename of the file to the first answer, ours (as `first answer`) and theirs by turns; polyplug's is left out, since it
/// answers with the old code when the file is replaced in its place, and a module of wasmtime is replaced by its embedder.
///
/// Bus: a sender and four receivers on threads of their own, 64 bytes in an envelope, nothing lost; `broadcast 1:4` is tokio's with an envelope of the
/// same fields, in bursts that fit its ring, `bus 1:4` the bus with mailboxes of the same room. Per message that is sent.
///
/// Swaps: `first answer` is from the rename of the file to the first answer of the new version, while nobody takes events (but for the one of
/// 10 MiB), and of one of the two versions; `worst call` the longest call of one pinned caller from load to retire, against the longest in an
/// equally long window without a swap. Then where the time goes: when each event came, and the stages of the receipts.
///
/// State: `seal` and `open` are the storage's, into memory that is there; `bare seal` and `bare open` are the crate of the cipher, one
/// message and no file format; `copy` is a memcpy. One row of each on one processor, and of sealing and opening on two, against what
/// two threads with half of it each gain with the bare cipher. The rows of `aws-lc` are the same with the storage's feature of that name, from
/// a second program that runs after the first.
///
/// `bare file` is a temporary file, an fsync, a rename and an fsync of the folder, of as many bytes as the capsule has; `sealed file` is
/// what the storage does with a capsule, with the four before it kept, and `snapshot` seals it as well, on one processor. All three on
/// the disk that the programs were built on.
///
/// `gate closed` is how long a caller waits who calls all the time, by the receipts of swaps with 10 MiB of state (bytes as they are), beside two
/// copies of it, a seal and an open in the same process; `first swap` is one for each of five fresh processes. `kept on a disk` compares
/// by turns with a host whose home folder is in memory (`/dev/shm`, Linux), so that nothing of it comes to a disk.
///
/// `map by hand` writes 100,000 entries (text to number) into a vector and reads them again, without Hotbay; `map as MessagePack` and `map as
/// JSON` are a plugin's state, exported by one and imported by another. The map is in order, so that equal state is equal bytes; `hash map`
/// is one without, for which serde makes room for no more than 32,768 entries ahead, where by hand there is room for all. `memory` is the
/// most that a process takes while it does that with the map by pieces, sealed and opened on the way, against what the map takes when it is there (Linux).
///
/// Not measured: relib and what Cargo cannot bring, more than two threads, more than one caller at a gate, other sizes of requests, a cold cache, and what
/// `nice`, `taskset` or a neighbour does to it. Differences of a few percent between two runs mean nothing.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these
    #[arg(value_parser = GROUPS)]
    groups: Vec<String>,
    /// `json` for one array of `{name, ns, ...}` on stdout instead of the table; `ns` is null in a row that was not measured, and in one that has `bytes`
    #[arg(short, long, value_name = "FORMAT", value_parser = ["json"])]
    output: Option<String>,
    /// Rounds of calls (101), and swaps of each kind (100)
    #[arg(long)]
    rounds: Option<u32>,
}

const GROUPS: [&str; 7] = ["bus", "call", "peers", "request", "scale", "state", "swap"];

pub(crate) fn run(options: &Options) -> Result<()> {
    let groups: Vec<&str> = match options.groups.as_slice() {
        [] => GROUPS.to_vec(),
        some => some.iter().map(String::as_str).collect(),
    };
    let wants_state = groups.contains(&"state");
    eprintln!("Building the bench, in release: some minutes the first time ...");
    let bench = Program::of("bench", "target", cargo::artefacts_of(&release("tests/bench/Cargo.toml"))?)?;
    let libraries = bench.libraries.clone();
    let runs = if groups.contains(&"peers") {
        eprintln!("Building the peers, in release: more minutes the first time ...");
        let built = cargo::artefacts_or_why_not(&release("tests/peers/Cargo.toml"));
        match built.and_then(|built| Program::of("peers", "plugged", built)) {
            // A fresh probe starts the program again, and one with the peers in it takes longer to start.
            Ok(peers) => {
                let (own, calls) = groups.iter().partition(|group| ["state", "swap"].contains(*group));
                vec![(peers, calls), (bench, own)]
            }
            Err(why) => vec![(bench.without_peers(&why), groups)],
        }
    } else {
        vec![(bench, groups)]
    };
    let mut lines: Vec<serde_json::Value> = Vec::new();
    let mut show = |program: &Program, groups: &[&str], is_first: bool| {
        if options.output.is_some() {
            lines.extend(program.lines(options, &libraries, groups)?);
            return Ok(());
        }
        if !is_first {
            println!();
        }
        program.table(options, &libraries, groups)
    };
    for (at, (program, groups)) in runs.iter().filter(|(_, groups)| !groups.is_empty()).enumerate() {
        show(program, groups, at == 0)?;
    }
    if wants_state {
        // A program has one of the two ciphers, and both are built at the same place: after the other has run.
        eprintln!("Building the bench with the other cipher, for its rows of state ...");
        let built = [&release("tests/bench/Cargo.toml")[..], &["--features", "aws-lc"]].concat();
        match cargo::artefacts_or_why_not(&built).and_then(|built| Program::of("bench", "target", built)) {
            Ok(other) => show(&other, &["state"], false)?,
            Err(why) if options.output.is_some() => lines.push(not_measured("aws-lc", &why)),
            Err(why) => println!("\naws-lc  not measured ({why:#})"),
        }
    }
    if options.output.is_some() {
        println!("{}", serde_json::to_string(&lines)?);
    }
    Ok(())
}

/// A row as the bench prints it, of what could not be built.
fn not_measured(name: &str, why: &anyhow::Error) -> serde_json::Value {
    let nothing = serde_json::Value::Null;
    serde_json::json!({
        "name": name, "ns": nothing, "ratio": nothing, "to": nothing, "goal": nothing, "holds": nothing, "note": format!("{why:#}"),
    })
}

fn release(manifest: &str) -> [&str; 6] {
    ["--manifest-path", manifest, "--release", "--locked", "--bins", "--examples"]
}

/// A program that measures.
struct Program {
    file: PathBuf,
    /// Where its plugins lie.
    libraries: PathBuf,
    /// Why it measures no peers.
    without_peers: Option<String>,
}

impl Program {
    fn of(name: &str, plugin: &str, mut built: Artefacts) -> Result<Self> {
        let file = built.take(&format!("hotbay-{name}"))?;
        let plugin = built.take(plugin)?;
        let libraries = plugin.parent().context("a library lies in a folder")?.to_owned();
        Ok(Self { file, libraries, without_peers: None })
    }

    fn without_peers(self, why: &anyhow::Error) -> Self {
        Self { without_peers: Some(format!("{why:#}")), ..self }
    }

    /// Prints its table.
    fn table(&self, options: &Options, libraries: &Path, groups: &[&str]) -> Result<()> {
        let status = self.command(options, libraries, groups).status().context("failed to run the bench")?;
        if !status.success() {
            bail!("failed to measure; why is said above");
        }
        Ok(())
    }

    /// What it prints as one array.
    fn lines(&self, options: &Options, libraries: &Path, groups: &[&str]) -> Result<Vec<serde_json::Value>> {
        let mut bench = self.command(options, libraries, groups);
        let output = bench.args(["--output", "json"]).stderr(Stdio::inherit()).output();
        let output = output.context("failed to run the bench")?;
        if !output.status.success() {
            bail!("failed to measure; why is said above");
        }
        serde_json::from_slice(&output.stdout).context("failed to read what the bench printed")
    }

    fn command(&self, options: &Options, libraries: &Path, groups: &[&str]) -> Command {
        let mut bench = Command::new(&self.file);
        bench.args(groups).arg("--libraries").arg(libraries).arg("--peers").arg(&self.libraries);
        if let Some(why) = &self.without_peers {
            bench.args(["--without-peers", why]);
        }
        if let Some(rounds) = options.rounds {
            bench.args(["--rounds", &rounds.to_string()]);
        }
        bench
    }
}
