//! What a soak found: the JSON of `-o json`, which is a contract, and the table.

use hotbay_census::Census;
use serde::Serialize;

use crate::record::{Messages, Quantiles};

/// All figures. The first ten fields are what others read; more may come after them.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) swaps: u64,
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    pub(crate) lost: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) pause_us: Quantiles,
    pub(crate) rss_slope_bytes_per_swap: Option<f64>,
    pub(crate) maps: Option<Span>,
    pub(crate) threads: Option<Span>,
    pub(crate) fds: Option<Span>,
    /// Old generations that were seen to be out of memory.
    pub(crate) unloaded: u64,
    /// From the file's rename to the first answer of the new generation.
    pub(crate) swap_us: Quantiles,
    /// How long requests waited at gates, by the receipts: the median of their medians, and the longest.
    pub(crate) gate_us: Gate,
    pub(crate) seconds: f64,
    /// Messages per second that there were.
    pub(crate) rate: f64,
    /// What became of messages that were published.
    pub(crate) messages: Messages,
    /// Resident memory of the host, bytes.
    pub(crate) rss: Option<Span<u64>>,
    /// What was wrong, in words.
    pub(crate) complaints: Vec<String>,
}

/// After the warm-up, and after the last swap.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Span<T = usize> {
    pub(crate) start: T,
    pub(crate) end: T,
}

#[derive(Debug, Default, Clone, Copy, Serialize)]
pub(crate) struct Gate {
    pub(crate) p50: u64,
    pub(crate) max: u64,
}

impl Report {
    pub(crate) fn spans(&mut self, start: Option<Census>, end: Option<Census>) {
        let span = |of: fn(Census) -> usize| Some(Span { start: of(start?), end: of(end?) });
        self.maps = span(|census| census.maps);
        self.threads = span(|census| census.threads);
        self.fds = span(|census| census.fds);
    }

    /// Whether all of it held.
    pub(crate) fn is_clean(&self) -> bool {
        let Messages { refused, lost, duplicated, reordered, .. } = self.messages;
        let wrong = [self.failed, self.lost, self.duplicated, self.reordered];
        let wrong_messages = [refused, lost, duplicated, reordered];
        wrong == [0; 4]
            && wrong_messages == [0; 4]
            && self.unloaded == self.swaps
            && self.complaints.is_empty()
    }

    pub(crate) fn print(&self) {
        let row = |name: &str, value: String| println!("{name:<12} {value}");
        let spread = |of: &Quantiles| {
            format!("p50 {} µs, p99 {} µs, p999 {} µs, max {} µs", of.p50, of.p99, of.p999, of.max)
        };
        let not_counted = || "not counted: it takes Linux".to_owned();
        let span = |of: Option<Span>| {
            of.map_or_else(not_counted, |span| {
                format!("{} at the start, {} at the end", span.start, span.end)
            })
        };
        row(
            "swaps",
            format!("{} in {:.0} s, {} old versions unloaded", self.swaps, self.seconds, self.unloaded),
        );
        row("requests", format!("{}, {:.0} per second", self.requests, self.rate));
        row("failed", self.failed.to_string());
        row("lost", self.lost.to_string());
        row("duplicated", self.duplicated.to_string());
        row("reordered", self.reordered.to_string());
        let Messages { sent, refused, lost, duplicated, reordered } = self.messages;
        row(
            "messages",
            format!(
                "{sent}, {refused} not taken, {lost} lost, {duplicated} duplicated, {reordered} reordered"
            ),
        );
        row("pause", spread(&self.pause_us));
        row("at the gate", format!("p50 {} µs, max {} µs", self.gate_us.p50, self.gate_us.max));
        row("swap", spread(&self.swap_us));
        let memory = match (self.rss_slope_bytes_per_swap, self.rss) {
            (Some(slope), Some(rss)) => {
                format!(
                    "{slope} bytes per swap; {} KiB at the start, {} KiB at the end",
                    rss.start / 1024,
                    rss.end / 1024
                )
            }
            _ => "not measured: it takes Linux and some swaps".to_owned(),
        };
        row("memory", memory);
        row("maps", span(self.maps));
        row("threads", span(self.threads));
        row("descriptors", span(self.fds));
        for complaint in &self.complaints {
            row("WRONG", complaint.clone());
        }
    }
}
