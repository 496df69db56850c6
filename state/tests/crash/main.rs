//! A writer of snapshots is killed at its system calls, and each of them fails: what it said to be durable is there after.
//!
//! Writes come up short, and, with the feature `fault-injection`, it dies and fails at each point that the storage has for that.
//!
//! Without an argument a small part of the walk; `full [SYSCALL]` is all of it, as `cargo xtask crash` runs it.

#![allow(clippy::unwrap_used, reason = "this program is nothing but a test")]

#[cfg(feature = "fault-injection")]
mod faults;
mod short;
mod walk;
mod writer;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["writer", folder] => writer::write(folder.as_ref()),
        // Whoever lists tests, or asks for another one by its name, gets none of it.
        [first, ..] if first != "full" && !"crash".contains(first) && !first.starts_with("--") => {}
        [..] if words.contains(&"--list") => {}
        ["full", ref only @ ..] => return walk::walk(true, only.first().copied()),
        _ => return walk::walk(false, None),
    }
    ExitCode::SUCCESS
}
