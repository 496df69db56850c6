//! How long the gate is closed for a swap with much state, beside what has to be done meanwhile: two copies, a seal, an open.

use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use hotbay::config::ProbeMode;
use hotbay_state::Key;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{STAMP, bytes, key};
use crate::bay::Place;
use crate::report::{Amount, Line, median};
use crate::swap::nanos;
use crate::swap::series::{Bench, Subject, Swap};

const BYTES: usize = 10 << 20;

/// Processes: each has one first swap.
const FIRSTS: u32 = 5;

/// Swaps after the first, in each.
const LATER: u32 = 10;

const LIMIT: f64 = 1.5;
const FIRST_LIMIT: f64 = 2.5;
const DISK_LIMIT: f64 = 1.2;

/// One swap and what it is compared with, nanoseconds.
#[derive(Debug, Serialize, Deserialize)]
struct Round {
    gate: f64,
    /// Of a host whose home folder is in memory, so that nothing comes to a disk.
    without_disk: Option<f64>,
    control: f64,
}

/// Of one process.
#[derive(Debug, Serialize, Deserialize)]
struct Rounds {
    first: Round,
    later: Vec<Round>,
}

/// In a fresh process: swaps, and prints the times.
pub(crate) fn print_once(libraries: &Path, rounds: Option<u32>) -> Result<()> {
    let subject = |place| Subject { plugin: "bytes", bytes: BYTES, probe: ProbeMode::Cached, place };
    let mut on_disk = Bench::open(libraries, &subject(Place::Disk))?;
    let mut control = Control::new()?;
    // Its own pages are there before it is measured, and so is everything that the host will find there again.
    control.once();
    let first = swap(&mut on_disk)?;
    let first = Round { gate: first, without_disk: None, control: nanos(control.once()) };
    let mut in_memory = match Place::Memory.is_there() {
        true => Some(Bench::open(libraries, &subject(Place::Memory))?),
        false => None,
    };
    // Until both verdicts are known, of both.
    swap(&mut on_disk)?;
    if let Some(bench) = &mut in_memory {
        swap(bench)?;
        swap(bench)?;
    }
    let later: Result<Vec<Round>> = (0..rounds.unwrap_or(LATER).max(1))
        .map(|_| {
            Ok(Round {
                gate: swap(&mut on_disk)?,
                without_disk: in_memory.as_mut().map(swap).transpose()?,
                control: nanos(control.once()),
            })
        })
        .collect();
    println!("{}", serde_json::to_string(&Rounds { first, later: later? })?);
    Ok(())
}

/// How long its caller waited at the gate, nanoseconds.
fn swap(bench: &mut Bench) -> Result<f64> {
    let mut swaps = [bench.swap()?];
    bench.add_receipts(&mut swaps, 1)?;
    let [Swap { receipt, .. }] = swaps;
    let receipt = receipt.context("a swap leaves a receipt")?;
    if receipt.state_bytes != BYTES as u64 || receipt.pause_us.max == 0 {
        bail!("a swap of other state, or at which nobody waited: {receipt:?}");
    }
    Ok(nanos(Duration::from_micros(receipt.pause_us.max)))
}

/// What a swap cannot do without, in memory that is there.
struct Control {
    key: Key,
    from: Vec<u8>,
    plain: Zeroizing<Vec<u8>>,
    capsule: Vec<u8>,
    to: Vec<u8>,
}

impl Control {
    fn new() -> Result<Self> {
        let room = usize::try_from(hotbay_state::max_sealed_len(BYTES as u64))?;
        let plain = Zeroizing::new(vec![1; BYTES]);
        Ok(Self { key: key()?, from: bytes(BYTES), plain, capsule: vec![1; room], to: vec![1; BYTES] })
    }

    fn once(&mut self) -> Duration {
        let begun = Instant::now();
        self.plain.copy_from_slice(black_box(&self.from));
        let sealed = hotbay_state::seal_into(&self.key, &STAMP, &self.plain, &mut self.capsule);
        black_box(sealed.expect("the stamp is good"));
        let opened = hotbay_state::open_into(&self.key, STAMP.service, &self.capsule, &mut self.plain);
        black_box(opened.expect("it was sealed a moment ago"));
        self.to.copy_from_slice(black_box(&self.plain));
        black_box(&self.to);
        begun.elapsed()
    }
}

pub(super) fn measure(libraries: &Path, rounds: Option<u32>) -> Result<Vec<Line>> {
    let processes: Result<Vec<Rounds>> = (0..FIRSTS).map(|_| in_a_fresh_process(libraries, rounds)).collect();
    let processes = processes?;
    let later: Vec<&Round> = processes.iter().flat_map(|process| &process.later).collect();
    let firsts: Vec<&Round> = processes.iter().map(|process| &process.first).collect();
    let what = "two copies, seal, open";
    let mut control = Line::new(format!("{what}, 10 MiB"), Amount::Long(of(&later, |round| round.control)));
    control.note = Some("on as many processors as a swap has".to_owned());
    let against = |name: &str, rounds: &[&Round], limit: f64| {
        let ratio = of(rounds, |round| round.gate / round.control);
        let mut line = Line::new(name, Amount::Long(of(rounds, |round| round.gate)));
        line.compare(what, ratio);
        line.judge(format!("≤ {limit} × {what}"), Some(ratio <= limit));
        line
    };
    Ok(vec![
        control,
        against("gate closed, 10 MiB", &later, LIMIT),
        against("gate closed, first swap of 10 MiB", &firsts, FIRST_LIMIT),
        beside_memory(&later),
    ])
}

/// With a disk to write to, and without.
fn beside_memory(rounds: &[&Round]) -> Line {
    let name = "gate closed, 10 MiB, kept on a disk";
    let both: Vec<(f64, f64)> =
        rounds.iter().filter_map(|round| Some((round.gate, round.without_disk?))).collect();
    if both.is_empty() {
        let reason = "there is no folder in memory here, to compare with".to_owned();
        return Line::not_measured(name, reason);
    }
    let of = |value: fn(&(f64, f64)) -> f64| median(&both.iter().map(value).collect::<Vec<_>>());
    let ratio = of(|(disk, memory)| disk / memory);
    let mut line = Line::new(name, Amount::Long(of(|(disk, _)| *disk)));
    line.compare("kept in memory", ratio);
    line.judge(format!("≤ {DISK_LIMIT} × kept in memory"), Some(ratio <= DISK_LIMIT));
    line.note = Some(format!("kept in memory {}", Amount::Long(of(|(_, memory)| *memory))));
    line
}

fn of(rounds: &[&Round], value: impl Fn(&Round) -> f64) -> f64 {
    median(&rounds.iter().map(|round| value(round)).collect::<Vec<_>>())
}

fn in_a_fresh_process(libraries: &Path, rounds: Option<u32>) -> Result<Rounds> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let mut command = Command::new(program);
    command.arg("--gate").arg("--libraries").arg(libraries);
    if let Some(rounds) = rounds {
        command.arg("--rounds").arg(rounds.to_string());
    }
    let output = command.output().context("failed to start a process of this program")?;
    if !output.status.success() {
        bail!("failed to swap much state: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("failed to read the times of a process")
}
