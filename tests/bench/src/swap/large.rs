//! The first swap of a large state against later ones. A process has only one first: several are started.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use hotbay::config::ProbeMode;
use serde::{Deserialize, Serialize};

use super::series::{Bench, Subject, Swap};
use super::{median_of, nanos};
use crate::bay::Place;
use crate::report::{Amount, Line, median};

const BYTES: usize = 10 << 20;

/// Processes.
const FIRSTS: u32 = 5;

/// Swaps after the first.
const LATER: u32 = 10;

const LIMIT: f64 = 2.5;

/// Of one process, nanoseconds.
#[derive(Debug, Serialize, Deserialize)]
struct Times {
    /// The longest call in the first swap's window.
    first: f64,
    /// The median of the later ones.
    later: f64,
    /// From rename to the first answer.
    first_answer: f64,
    later_answer: f64,
}

/// In a fresh process: swaps, and prints the times.
pub(crate) fn print_once(libraries: &Path) -> Result<()> {
    let place = Place::Temporary;
    let subject = Subject { plugin: "stateful", bytes: BYTES, probe: ProbeMode::Cached, place };
    let mut bench = Bench::open(libraries, &subject)?;
    let first = bench.swap()?;
    // Back to the version that was there first: now both verdicts are known.
    bench.swap()?;
    let later: Result<Vec<Swap>> = (0..LATER).map(|_| bench.swap()).collect();
    let later = later?;
    let times = Times {
        first: nanos(first.worst),
        later: median_of(&later, |swap| swap.worst),
        first_answer: nanos(first.first_answer),
        later_answer: median_of(&later, |swap| swap.first_answer),
    };
    println!("{}", serde_json::to_string(&times)?);
    Ok(())
}

pub(crate) fn measure(libraries: &Path) -> Result<Vec<Line>> {
    let times: Result<Vec<Times>> = (0..FIRSTS).map(|_| in_a_fresh_process(libraries)).collect();
    let times = times?;
    let of = |value: fn(&Times) -> f64| median(&times.iter().map(value).collect::<Vec<_>>());
    let mut worst = Line::new("worst call, first swap of 10 MiB", Amount::Long(of(|times| times.first)));
    let ratio = of(|times| times.first / times.later);
    worst.compare("later ones", ratio);
    worst.judge(format!("≤ {LIMIT} × later ones"), Some(ratio <= LIMIT));
    worst.note = Some(format!("later ones {}", Amount::Long(of(|times| times.later))));
    let mut answer =
        Line::new("first answer, first swap of 10 MiB", Amount::Long(of(|times| times.first_answer)));
    answer.compare("later ones", of(|times| times.first_answer / times.later_answer));
    answer.note = Some(format!(
        "later ones {}; the first with a fresh probe",
        Amount::Long(of(|times| times.later_answer))
    ));
    Ok(vec![worst, answer])
}

fn in_a_fresh_process(libraries: &Path) -> Result<Times> {
    let program = std::env::current_exe().context("failed to find this program")?;
    let output = Command::new(program)
        .arg("--large-state")
        .arg("--libraries")
        .arg(libraries)
        .output()
        .context("failed to start a process of this program")?;
    if !output.status.success() {
        bail!("failed to swap a large state: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("failed to read the times of a process")
}
