//! The command line.

use std::path::PathBuf;

/// What is measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// Calls on one thread
    Call,
    /// Messages from one to four
    Bus,
    /// Requests through a lane
    Request,
    /// Calls on two threads
    Scale,
    /// Other hosts of plugins, beside calls on one thread
    Peers,
    /// State: sealed and opened, on the disk, behind a gate, as a map
    State,
    /// Swaps under a caller
    Swap,
}

/// Measures calls, requests and swaps.
#[derive(Debug, clap::Parser)]
pub(crate) struct Options {
    /// Only these
    groups: Vec<Group>,
    /// The folder with the compiled plugins
    #[arg(long)]
    pub(crate) libraries: PathBuf,
    /// The folder with the compiled plugins of other hosts
    #[arg(long)]
    pub(crate) peers: Option<PathBuf>,
    /// Why no other host is measured
    #[arg(long, default_value = "this program was built without it")]
    pub(crate) without_peers: String,
    /// Rounds of calls; swaps per row
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// `json` for one array on stdout
    #[arg(short, long)]
    output: Option<Output>,
    /// One process of several: the first swap of a large state, and later ones
    #[arg(long, hide = true)]
    pub(crate) large_state: bool,
    /// One process of several: how long the gate is closed for much state
    #[arg(long, hide = true)]
    pub(crate) gate: bool,
    /// One process of two: what memory a map takes
    #[arg(long, hide = true, requires = "file")]
    pub(crate) map: Option<Way>,
    /// Where that map is
    #[arg(long, hide = true)]
    pub(crate) file: Option<PathBuf>,
}

/// Where state goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// Out of a plugin
    Out,
    /// Into one
    In,
}

impl Way {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Way::Out => "out",
            Way::In => "in",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Json,
}

impl Options {
    pub(crate) fn wants(&self, group: Group) -> bool {
        self.groups.is_empty() || self.groups.contains(&group)
    }

    pub(crate) fn json(&self) -> bool {
        self.output == Some(Output::Json)
    }
}
