//! What can be asked of state at rest, and of its keys.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum State {
    /// The newest snapshot of each service; needs no host and no key
    List,
    /// The snapshots of a service, what was set aside, and what was damaged; needs no host and no key
    Show {
        /// The service
        name: String,
    },
    /// Where two snapshots differ
    Diff {
        /// The service
        name: String,
        /// The older one, by its number [default: the one before]
        #[arg(long, value_name = "SEQUENCE")]
        from: Option<u64>,
        /// The newer one [default: the newest]
        #[arg(long, value_name = "SEQUENCE")]
        to: Option<u64>,
        /// Also show what is there, in the clear
        #[arg(long)]
        plain: bool,
    },
    /// Write a snapshot to a file, sealed; `-` for stdout
    Export {
        /// The service
        name: String,
        /// The file, which must not exist
        file: PathBuf,
        /// Which one, by its number [default: the newest]
        #[arg(long, value_name = "SEQUENCE")]
        at: Option<u64>,
        /// In the clear: whoever has the file can read it
        #[arg(long)]
        plain: bool,
    },
    /// Make the content of a file the newest snapshot of a service that does not run; the one before is kept aside
    Import {
        /// The service
        name: String,
        /// What `export` wrote, or what was set aside or lies in quarantine and still opens
        file: PathBuf,
        /// It is in the clear: bytes that the plugin takes
        #[arg(long, requires = "schema", requires = "from_version")]
        plain: bool,
        /// The schema that it is in
        #[arg(long, requires = "plain")]
        schema: Option<u32>,
        /// The version of the plugin that it is from
        #[arg(long, requires = "plain", value_name = "VERSION")]
        from_version: Option<String>,
    },
    /// Make an earlier snapshot of a service that does not run the newest; the one before is kept aside
    Restore {
        /// The service
        name: String,
        /// Which one, by its number; `hotbay state show NAME` tells them
        #[arg(long, value_name = "SEQUENCE")]
        to: u64,
    },
    /// Open every file and say what is wrong with it; needs no host, and touches nothing. Ends with 1 if anything is
    Verify {
        /// The service [default: all]
        name: Option<String>,
    },
    /// Have the host write a service's state now; returns when it is durable
    Snapshot {
        /// The service
        name: String,
    },
    /// Remove snapshots that are older than those that are kept; refused for a service whose newest does not open
    Prune {
        /// The service [default: all]
        name: Option<String>,
        /// How many stay, the newest among them [default: `state.keep`]
        #[arg(long, value_name = "COUNT")]
        keep: Option<usize>,
        /// Also remove what was set aside and what lies in quarantine
        #[arg(long)]
        aside: bool,
    },
}

impl State {
    /// Whether it is answered by what lies there or by a host, whatever the settings are.
    pub(in crate::cli) fn only_looks(&self) -> bool {
        matches!(self, State::List | State::Show { .. } | State::Snapshot { .. })
    }
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Keys {
    /// Make the first key
    Init,
    /// The keys, and how many files need each
    List,
    /// Make a new key that seals from now on, and seal anew what the ones before sealed; cut off, it goes on when the host starts
    Rotate {
        /// Make no new key: only seal anew what a rotation left, where no host runs
        #[arg(long)]
        resume: bool,
    },
    /// Forget a key, for good; refused while any file of the home needs it. What was exported sealed needs it, too: nobody looks there
    Retire {
        /// Its id, or the begin of it
        id: String,
    },
}
