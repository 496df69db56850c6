//! Miri: the parts with `unsafe` that run without a library, watched for undefined behaviour.
//!
//! What it cannot do stays out: opening libraries, sockets, and the barrier on other processors, in whose place the lease
//! fences as on systems without one.

use std::process::{Command, Stdio};

use crate::cargo::root;

/// The contract's ABI layer, and the lease. Counters, gate and receipt hold nothing unsafe.
const TESTS: [&str; 2] = ["abi::", "kernel::lease::tests"];

/// The run, where a nightly toolchain with Miri is installed.
pub(crate) fn command() -> Option<Command> {
    let there = nightly().args(["miri", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !there.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut command = nightly();
    command.args([
        "miri",
        "test",
        "-p",
        "hotbay-plugin-api",
        "-p",
        "hotbay",
        "--no-default-features",
        "--lib",
        "--",
    ]);
    command.args(TESTS);
    // Threads note when they began, which is in a file.
    command.env("MIRIFLAGS", "-Zmiri-disable-isolation");
    Some(command)
}

/// Miri comes with nightly toolchains only.
fn nightly() -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", "nightly", "cargo"]).current_dir(root());
    command
}
