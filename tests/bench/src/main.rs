//! What `cargo xtask bench` runs: rows of limits and of ours, and no other host's.

use std::process::ExitCode;

fn main() -> ExitCode {
    hotbay_bench::main(None)
}
