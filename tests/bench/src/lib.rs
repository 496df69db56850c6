//! Measures calls, requests and swaps against their limits, interleaved in one process.
//!
//! A library beside its program, so that a program that brings other hosts of plugins can print the same table with more rows.

mod options;
mod report;
mod rounds;
mod pin;
mod bay;
mod bus;
mod leased;
mod limits;
mod ours;
mod pairs;
mod actor;
mod state;
mod swap;
mod peers;

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;

pub use bay::library;
use bay::{Bay, Place};
pub use limits::{REPLY, REQUEST};
use options::{Group, Options};
pub use ours::answered;
pub use peers::{Bring, Peer, Reload};
use report::Line;
pub use rounds::{Goal, Row, timed};

/// The program: `bring` prepares what is compared with, where there is any.
pub fn main(bring: Option<Bring>) -> ExitCode {
    // A candidate is mapped by this program first, in a process of its own.
    hotbay::probe::entry();
    let options = Options::parse();
    match run(&options, bring) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options, bring: Option<Bring>) -> Result<()> {
    if options.large_state {
        return swap::large::print_once(&options.libraries);
    }
    if options.gate {
        return state::print_gate_once(&options.libraries, options.rounds);
    }
    if let Some((way, file)) = options.map.zip(options.file.as_ref()) {
        return state::print_memory_once(way, file);
    }
    if !pin::works() {
        eprintln!("threads are not pinned: this system has no way to do so, and the figures scatter more");
    }
    let mut lines: Vec<Line> = Vec::new();
    // First: what comes later has a process to itself that is warm.
    if options.wants(Group::Swap) {
        lines.extend(swap::measure(&options.libraries, options.rounds)?);
    }
    let mut peers = Peer::default();
    if options.wants(Group::Peers) {
        peers = peers::all(bring, options);
    }
    lines.splice(0..0, peers::reload(&options.libraries, peers.reloads)?);
    let (rows, _bay) = rows(options, peers.rows)?;
    if !rows.is_empty() {
        // What is called goes above what is swapped.
        lines.splice(0..0, rounds::measure(rows, options.rounds.unwrap_or(CALL_ROUNDS))?);
    }
    if options.wants(Group::State) {
        lines.extend(state::measure(options)?);
    }
    if options.json() { report::json(&lines) } else { report::table(&lines) }
}

/// Each takes some milliseconds for each row.
const CALL_ROUNDS: u32 = 101;

/// With the host that they call.
fn rows(options: &Options, peers: Vec<Row>) -> Result<(Vec<Row>, Option<Bay>)> {
    let mut rows = Vec::new();
    let groups = [Group::Bus, Group::Call, Group::Peers, Group::Request, Group::Scale];
    if groups.iter().all(|group| !options.wants(*group)) {
        return Ok((rows, None));
    }
    let bay = Bay::open(Place::Temporary, &options.libraries, &["target"], |_| {})?;
    let target = || bay.host.handle("target").context("failed to find the plugin that is to be called");
    if options.wants(Group::Call) || options.wants(Group::Peers) {
        rows.extend(limits::rows());
        rows.extend(leased::rows());
        rows.extend(ours::rows(&bay.host, &target()?));
        rows.extend(peers);
    }
    if options.wants(Group::Scale) {
        rows.extend(pairs::rows(&target()?));
    }
    if options.wants(Group::Request) {
        rows.push(actor::row()?);
        rows.push(ours::request(&target()?));
    }
    if options.wants(Group::Bus) {
        rows.extend(bus::rows(&bay.host)?);
    }
    Ok((rows, Some(bay)))
}
