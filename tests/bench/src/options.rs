//! The command line.

use std::path::PathBuf;

/// What is measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// Calls on one thread
    Call,
    /// Requests through a lane
    Request,
    /// Calls on two threads
    Scale,
    /// Swaps under a caller
    Swap,
}

/// Measures calls, requests and swaps.
#[derive(Debug, clap::Parser)]
pub(crate) struct Options {
    /// Only this
    group: Option<Group>,
    /// The folder with the compiled plugins
    #[arg(long)]
    pub(crate) libraries: PathBuf,
    /// Rounds of calls; swaps per row
    #[arg(long)]
    pub(crate) rounds: Option<u32>,
    /// `json` for one array on stdout
    #[arg(short, long)]
    output: Option<Output>,
    /// One process of several: the first swap of a large state, and later ones
    #[arg(long, hide = true)]
    pub(crate) large_state: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Json,
}

impl Options {
    pub(crate) fn wants(&self, group: Group) -> bool {
        self.group.is_none_or(|only| only == group)
    }

    pub(crate) fn json(&self) -> bool {
        self.output == Some(Output::Json)
    }
}
