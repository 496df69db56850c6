//! What was found: the JSON of `-o json`, which is a contract, and the table.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::mutation::Kind;

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    /// It was refused for what stands in it; nothing of it ran.
    Unread,
    /// It was refused for who vouches for it; nothing of it ran.
    Distrusted,
    /// A probe refused it, died of it, or hung; the host did not map it.
    Probed,
    /// It waits for a service that is not there.
    Waits,
    /// The host mapped it and gave it up.
    Faulted,
    /// It serves.
    Started,
    /// The host said nothing of it.
    NotSeen,
}

/// Outcomes in the order of the table's columns.
const COLUMNS: [(Outcome, &str); 7] = [
    (Outcome::Unread, "unread"),
    (Outcome::Distrusted, "distrusted"),
    (Outcome::Probed, "probed"),
    (Outcome::Waits, "waits"),
    (Outcome::Faulted, "faulted"),
    (Outcome::Started, "started"),
    (Outcome::NotSeen, "not_seen"),
];

/// How often each kind had each outcome.
pub(crate) type Counts = BTreeMap<Kind, BTreeMap<Outcome, u64>>;

/// After the warm-up and after the last batch, of one host at rest.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// One host, and what it was offered.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    /// `structural`, or `signed`.
    pub(crate) part: &'static str,
    pub(crate) files: u64,
    pub(crate) calls: u64,
    pub(crate) failed_calls: u64,
    pub(crate) late_calls: u64,
    pub(crate) longest_call_ms: u64,
    /// Libraries that could not be unmapped.
    pub(crate) pinned: u64,
    pub(crate) maps: Option<Span>,
    pub(crate) threads: Option<Span>,
    pub(crate) fds: Option<Span>,
    /// Resident memory, bytes.
    pub(crate) rss: Option<Span>,
    pub(crate) outcomes: Counts,
    /// Which libraries were judged in which ways.
    #[serde(skip)]
    pub(crate) met: BTreeSet<(String, Kind)>,
}

/// All of it.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) files: u64,
    pub(crate) seed: u64,
    pub(crate) host_deaths: u64,
    pub(crate) failed_calls: u64,
    pub(crate) seconds: f64,
    /// Libraries that were not offered.
    pub(crate) left_out: Vec<String>,
    pub(crate) parts: Vec<Part>,
    /// What was wrong, in words.
    pub(crate) complaints: Vec<String>,
}

impl Report {
    /// Whether all of it held.
    pub(crate) fn is_clean(&self) -> bool {
        self.host_deaths == 0 && self.failed_calls == 0 && self.complaints.is_empty()
    }

    pub(crate) fn print(&self) {
        for part in &self.parts {
            part.print();
        }
        let row = |name: &str, value: String| println!("{name:<14} {value}");
        row("files", format!("{} in {:.0} s, seed {}", self.files, self.seconds, self.seed));
        row("left out", self.left_out.join(", "));
        row("host deaths", self.host_deaths.to_string());
        row("failed calls", self.failed_calls.to_string());
        self.complaints.iter().for_each(|complaint| row("WRONG", complaint.clone()));
    }
}

impl Part {
    fn print(&self) {
        print!("{:<16}", self.part);
        COLUMNS.iter().for_each(|(_, name)| print!("{name:>11}"));
        println!();
        for (kind, outcomes) in &self.outcomes {
            print!("{:<16}", kind.name());
            for (outcome, _) in COLUMNS {
                print!("{:>11}", outcomes.get(&outcome).copied().unwrap_or_default());
            }
            println!();
        }
        let span = |of: Option<Span>, unit: u64| {
            of.map_or_else(
                || "not counted: it takes Linux".to_owned(),
                |span| format!("{} → {}", span.start / unit, span.end / unit),
            )
        };
        println!(
            "{} calls, {} failed, {} late, the longest {} ms; {} libraries pinned",
            self.calls, self.failed_calls, self.late_calls, self.longest_call_ms, self.pinned
        );
        println!(
            "maps {}, threads {}, descriptors {}, memory {} KiB\n",
            span(self.maps, 1),
            span(self.threads, 1),
            span(self.fds, 1),
            span(self.rss, 1024)
        );
    }
}
