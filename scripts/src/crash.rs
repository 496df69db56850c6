//! `cargo xtask crash`: a writer of snapshots is killed at each of its system calls, and each of them fails.

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;

/// Kill a writer of snapshots at each of its system calls, and fail each of them, and look what is left
///
/// A process saves snapshots into a store and says after each that it is durable. strace (`-e inject=SYSCALL:signal=KILL:when=N`)
/// kills it at the first of its system calls of a kind, then at the second, until it passes; likewise for each kind that it makes, from its first instruction to
/// its last. After each, another process opens the store: the newest snapshot that was said to be durable, or a newer one, must be there, whole; the next
/// save must work; and what was left half written must be gone. The same with EIO, ENOSPC and EINTR in place of the kill, once and again and again.
/// A file that could not be forced to the disk must never be said to be durable.
///
/// Then writes come up short: a limit on the length of files (`RLIMIT_FSIZE`) is met all over a file, where the system takes what fits of a
/// write and refuses or kills the next; and the storage's own points for faults let single writes, or all, take a few bytes only, run into a
/// full disk or a power cut after them, and kill the writer, or fail, at each step of a snapshot.
///
/// It is a test of `hotbay-state`, which takes a small part of it with each run of the tests. It needs strace, and so Linux.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only the system calls of this name
    #[arg(long, value_name = "SYSCALL")]
    only: Option<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let mut command = cargo(&[
        "test",
        "-p",
        "hotbay-state",
        "--features",
        "fault-injection",
        "--test",
        "crash",
        "--",
        "full",
    ]);
    command.args(&options.only);
    let status = command.status().context("failed to run cargo")?;
    if !status.success() {
        bail!("not all of it held; what did not is said above");
    }
    Ok(())
}
