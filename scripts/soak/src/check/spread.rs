//! A distribution: how often each value was seen, exactly.

use std::collections::BTreeMap;

use crate::record::Quantiles;

/// Values in whole microseconds; there are few different ones however many were seen.
#[derive(Debug, Default)]
pub(crate) struct Spread {
    counts: BTreeMap<u64, u64>,
    total: u64,
}

impl Spread {
    pub(crate) fn add(&mut self, value: u64) {
        *self.counts.entry(value).or_default() += 1;
        self.total += 1;
    }

    /// The smallest value that so many of a thousand do not exceed.
    fn quantile(&self, of_thousand: u64) -> u64 {
        let rank = (self.total * of_thousand).div_ceil(1000).max(1);
        let mut seen = 0;
        for (&value, count) in &self.counts {
            seen += count;
            if seen >= rank {
                return value;
            }
        }
        0
    }

    pub(crate) fn quantiles(&self) -> Quantiles {
        let max = self.counts.keys().next_back().copied().unwrap_or_default();
        Quantiles { p50: self.quantile(500), p99: self.quantile(990), p999: self.quantile(999), max }
    }
}
