//! State sealed and opened, on the disk, written and read, and behind a gate: each beside the same without Hotbay.

mod bare;
mod cipher;
mod durable;
mod gate;
mod map;
mod memory;

use anyhow::{Context as _, Result};
use hotbay_state::{Key, Stamp};

use crate::options::Options;
use crate::report::Line;
use crate::rounds;

pub(crate) use gate::print_once as print_gate_once;
pub(crate) use memory::print_once as print_memory_once;

/// Of what takes microseconds, and of what waits for a disk or fills memory.
const ROUNDS: u32 = 101;
const SLOW_ROUNDS: u32 = 31;

pub(crate) fn measure(options: &Options) -> Result<Vec<Line>> {
    let mut lines = rounds::measure(cipher::rows()?, options.rounds.unwrap_or(ROUNDS))?;
    // With the other cipher it is its rows that are wanted: all else was measured by the program before.
    if cfg!(feature = "aws-lc") {
        return Ok(lines);
    }
    let slow = options.rounds.unwrap_or(SLOW_ROUNDS);
    lines.extend(rounds::measure(durable::rows()?, slow)?);
    lines.extend(gate::measure(&options.libraries, options.rounds)?);
    lines.extend(rounds::measure(map::rows(), slow)?);
    lines.extend(memory::measure(&options.libraries)?);
    Ok(lines)
}

const STAMP: Stamp<'_> = Stamp {
    service: "bench",
    plugin: "bench",
    plugin_version: "1.0.0",
    schema: 1,
    sequence: 1,
    generation: 1,
    content_type: "application/octet-stream",
};

fn key() -> Result<Key> {
    Key::new(&[7; 32]).context("32 bytes are a key")
}

/// So many bytes that are not all the same.
fn bytes(len: usize) -> Vec<u8> {
    (0_u8..=250).cycle().take(len).collect()
}
