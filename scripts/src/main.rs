//! The workspace's own commands: `cargo xtask` lists them.
//!
//! In Rust rather than in a shell, so that they also run on Windows.

mod cargo;
mod test;
mod steady;
mod check_targets;
mod windows;
mod bay;
mod client;
mod demo;
mod up;
mod miri;
mod rustc;
mod soak;
mod race;
mod mutate;
mod program;
mod crash;
mod cross_toolchain;
mod bench;
mod errors;

use std::process::ExitCode;

use clap::Parser;

/// The workspace's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Check and test everything, as CI does
    Test(test::Options),
    /// Type-check the workspace for Windows, macOS, and Linux on aarch64
    CheckTargets(check_targets::Options),
    Windows(windows::Options),
    /// Show the main job: load, call, replace under load, restart; with the state carried on
    Demo,
    /// Build host and examples, drop these into the plugins folder, and run the host
    Up(up::Options),
    Soak(soak::Options),
    Race(race::Options),
    Mutate(mutate::Options),
    Crash(crash::Options),
    CrossToolchain(cross_toolchain::Options),
    Bench(bench::Options),
    /// Write the page of errors anew, from the code
    Errors,
    /// Run a test program, and what fails in it once more: cargo calls this
    #[command(hide = true)]
    RunTests(steady::runner::Options),
}

fn main() -> ExitCode {
    let done = match Command::parse() {
        Command::Test(options) => test::run(&options),
        Command::CheckTargets(options) => check_targets::run(&options),
        Command::Windows(options) => windows::run(&options),
        Command::Demo => demo::run(),
        Command::Up(options) => up::run(&options),
        Command::Soak(options) => soak::run(&options),
        Command::Race(options) => race::run(&options),
        Command::Mutate(options) => mutate::run(&options),
        Command::Crash(options) => crash::run(&options),
        Command::CrossToolchain(options) => cross_toolchain::run(&options),
        Command::Bench(options) => bench::run(&options),
        Command::Errors => errors::run(),
        Command::RunTests(options) => match steady::runner::run(&options) {
            Ok(code) => std::process::exit(code),
            Err(error) => Err(error),
        },
    };
    if let Err(error) = done {
        // Not by `Debug`: a backtrace of these commands helps nobody.
        eprintln!("error: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
