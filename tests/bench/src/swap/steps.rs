//! Where the time of a swap goes.

use std::collections::BTreeMap;
use std::time::Duration;

use super::nanos;
use super::series::Swap;
use crate::report::{Amount, Line, median};

/// What happens between the rename and the first answer, by the host's events, and how long the receipts' stages are.
pub(crate) fn lines(title: &str, swaps: &[Swap]) -> Vec<Line> {
    let mut order: Vec<&str> = Vec::new();
    let mut reached: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    let mut stages: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for swap in swaps {
        for (kind, at) in &swap.events {
            if !order.contains(&kind.as_str()) {
                order.push(kind);
            }
            reached.entry(kind).or_default().push(*at);
        }
        for (stage, micros) in swap.receipt.iter().flat_map(|receipt| &receipt.stages_us) {
            stages.entry(stage).or_default().push(nanos(Duration::from_micros(*micros)));
        }
    }
    let reached = order.into_iter().map(|kind| {
        let times: Vec<f64> = reached[kind].iter().map(|at| nanos(*at)).collect();
        Line::new(format!("{title}: rename to {kind}"), Amount::Long(median(&times)))
    });
    let stages = stages
        .iter()
        .map(|(stage, times)| Line::new(format!("{title}: stage {stage}"), Amount::Long(median(times))));
    reached.chain(stages).collect()
}
