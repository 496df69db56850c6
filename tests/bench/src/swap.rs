//! Swaps under one pinned caller: how long until the new version answers, and what the caller notices.

mod caller;
pub(crate) mod large;
pub(crate) mod series;
mod steps;

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use hotbay::config::ProbeMode;

use crate::bay::Place;
use crate::report::{Amount, Line, median};
use series::{Subject, Swap, series};

/// Of each kind, unless the command line says otherwise.
const SWAPS: u32 = 100;

pub(crate) fn measure(libraries: &Path, swaps: Option<u32>) -> Result<Vec<Line>> {
    let swaps = swaps.unwrap_or(SWAPS).max(1);
    let size = std::fs::metadata(crate::bay::library(libraries, "stateless"))?.len();
    eprintln!("{swaps} swaps of each kind; the plugin without state has {} KB, stripped", size / 1000);
    let stateless =
        Subject { plugin: "stateless", bytes: 0, probe: ProbeMode::Cached, place: Place::Temporary };
    let probed = Subject { probe: ProbeMode::Always, ..stateless };
    let stateful = Subject { plugin: "stateful", bytes: 1024, ..stateless };
    let heavy = Subject { bytes: 10_000_000, ..stateless };
    let [stateless, probed, stateful, heavy] =
        [stateless, probed, stateful, heavy].map(|subject| series(libraries, &subject, swaps));
    let (stateless, probed, stateful, heavy) = (stateless?, probed?, stateful?, heavy?);

    let mut lines = vec![
        first_answer("first answer", &stateless).within(2.5),
        first_answer("first answer, fresh probe", &probed).within(10.0),
        first_answer("first answer, 1 KiB", &stateful),
        worst_call("worst call", &stateless, 2.0),
        worst_call("worst call, constructor of 10 MB", &heavy, 2.0),
        worst_call("worst call, 1 KiB", &stateful, 3.0),
    ];
    lines.extend(large::measure(libraries)?);
    for (title, swaps) in [("cached", &stateless), ("fresh probe", &probed), ("1 KiB", &stateful)] {
        lines.extend(steps::lines(title, swaps));
    }
    Ok(lines)
}

impl Line {
    /// A goal in milliseconds.
    fn within(mut self, limit: f64) -> Self {
        let ns = match self.amount.0 {
            Some(Amount::PerCall(ns) | Amount::Long(ns)) => Some(ns),
            Some(Amount::Bytes(_)) | None => None,
        };
        self.judge(format!("≤ {limit} ms"), ns.map(|ns| ns <= limit * 1e6));
        self
    }
}

/// From the rename of the file to the first answer of the new version.
fn first_answer(name: &str, swaps: &[Swap]) -> Line {
    Line::new(name, Amount::Long(median_of(swaps, |swap| swap.first_answer)))
}

/// The longest call between load and retire, against the longest in an equally long window without a swap.
fn worst_call(name: &str, swaps: &[Swap], limit: f64) -> Line {
    let (worst, quiet) = (median_of(swaps, |swap| swap.worst), median_of(swaps, |swap| swap.quiet));
    let ratios: Vec<f64> = swaps.iter().map(|swap| nanos(swap.worst) / nanos(swap.quiet)).collect();
    let ratio = median(&ratios);
    let mut line = Line::new(name, Amount::Long(worst));
    line.compare("no swap", ratio);
    line.judge(format!("≤ {limit} × no swap"), Some(ratio <= limit));
    line.note = Some(format!("without a swap {}", Amount::Long(quiet)));
    line
}

fn median_of(swaps: &[Swap], of: impl Fn(&Swap) -> Duration) -> f64 {
    median(&swaps.iter().map(|swap| nanos(of(swap))).collect::<Vec<_>>())
}

pub(crate) fn nanos(time: Duration) -> f64 {
    time.as_secs_f64() * 1e9
}
