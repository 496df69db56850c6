//! What `cargo xtask soak` runs, in three processes of this one program:
//!
//! ```text
//!  drive ── replaces files ─► plugins folder ─► host: hotbay, and clients that call it
//!    │  └── "now I replace" ─────────────────►   │ history: each message, each swap, as they happen
//!    └◄── receipts, and the verdict ── check ◄───┘
//! ```
//!
//! Who judges has seen nothing but the history, and shares no memory with whom it judges.

mod record;
mod drive;
mod host;
mod client;
mod mail;
mod check;
mod report;

use std::process::ExitCode;

use clap::Parser;

#[derive(Debug, Parser)]
#[command(name = "hotbay-soak", about = "What `cargo xtask soak` runs; see its --help")]
enum Role {
    /// Replace files under load and report
    Drive(drive::Options),
    /// A host and its clients; writes the history to stdout
    #[command(hide = true)]
    Host(host::Options),
    /// Reads a history from stdin and judges it
    #[command(hide = true)]
    Check,
}

fn main() -> ExitCode {
    // First of all: this program is also started as the probe of new files.
    hotbay::probe::entry();
    let clean = match Role::parse() {
        Role::Drive(options) => drive::run(&options),
        Role::Host(options) => host::run(&options).map(|()| true),
        Role::Check => check::run().map(|()| true),
    };
    match clean {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
