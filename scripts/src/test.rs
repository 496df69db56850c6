//! `cargo xtask test`: all that CI does, in the order that is fastest from cold on two cores.
//!
//! clippy and rustdoc only need metadata of the dependencies and share it; the build makes code of them, once for
//! libraries, binaries, examples and tests; the tests then run what is there.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cargo::{cargo, has, root};

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Step {
    /// Formatting
    Fmt,
    /// Formatting of the workspaces of their own, the bench and its peers
    FmtApart,
    /// Lints, warnings as errors
    Clippy,
    /// Documentation, warnings as errors
    Doc,
    /// Licences, banned crates and sources; skipped, and said so, where cargo-deny is not installed
    Deny,
    /// Lints of the bench, a workspace of its own: nothing of it is built or run here
    Bench,
    /// Memory rules of the unsafe parts, in the source; skipped, and said so, where Miri is not installed
    Miri,
    /// Lints of the peers that the bench measures; only when asked for, since their dependencies take minutes
    Peers,
    /// Everything that the tests need
    Build,
    /// All tests, those in the documentation too
    Test,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run only this step; may be given several times
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Print the times before the tests, so that a log ends with the tests' own words
    #[arg(long)]
    ci: bool,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let usual = |step: &Step| options.only.is_empty() && *step != Step::Peers;
    let chosen = |step: &Step| usual(step) || options.only.contains(step);
    let steps: Vec<Step> = Step::value_variants().iter().copied().filter(chosen).collect();
    let mut times = Vec::new();
    for &step in &steps {
        let name = step.name();
        let prebuilt = steps.contains(&Step::Build);
        if options.ci && step == Step::Test {
            print_times(&times);
        }
        let Some(mut command) = command(step, prebuilt) else {
            println!("\n== {name}: SKIPPED, {}", missing(step));
            times.push((name, None));
            continue;
        };
        println!("\n== {name}: cargo {}", words(&command));
        let begun = Instant::now();
        let status = command.status().context("failed to run cargo")?;
        times.push((name, Some(begun.elapsed())));
        if !status.success() {
            print_times(&times);
            bail!("failed at step `{name}`, {status}; again only this: cargo xtask test --only {name}");
        }
    }
    if !(options.ci && steps.contains(&Step::Test)) {
        print_times(&times);
    }
    Ok(())
}

/// What is not there, and what that leaves unchecked.
fn missing(step: Step) -> &'static str {
    match step {
        Step::Miri => {
            "Miri is not installed (`rustup toolchain install nightly --component miri`): the unsafe parts were not run under it"
        }
        _ => "cargo-deny is not installed: licences, bans and sources were not checked",
    }
}

/// The tests and what they need, nothing else.
pub(crate) fn build_and_test() -> Result<()> {
    run(&Options { only: vec![Step::Build, Step::Test], ci: false })
}

/// What a step runs; `None` when the tool for it is not installed.
fn command(step: Step, prebuilt: bool) -> Option<Command> {
    let mut command = match step {
        Step::Fmt => cargo(&["fmt", "--all", "--check"]),
        Step::FmtApart => {
            // With them go the packages that they depend on by path: `tests/bench` as well.
            cargo(&["fmt", "--all", "--check", "--manifest-path", "tests/peers/Cargo.toml"])
        }
        Step::Clippy => cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
        Step::Doc => cargo(&["doc", "--workspace", "--no-deps"]),
        Step::Deny if has("deny") => cargo(&["deny", "check", "licenses", "bans", "sources"]),
        Step::Deny => return None,
        Step::Miri => return crate::miri::command(),
        // A release build, with link-time optimisation, takes minutes: the lints know that it compiles.
        Step::Bench | Step::Peers => {
            let manifest =
                if step == Step::Bench { "tests/bench/Cargo.toml" } else { "tests/peers/Cargo.toml" };
            let bench = ["--manifest-path", manifest, "--all-targets", "--locked"];
            let mut command = cargo(&[&["clippy"], bench.as_slice(), &["--", "--deny", "warnings"]].concat());
            // What both workspaces depend on is checked once.
            if std::env::var_os("CARGO_TARGET_DIR").is_none() {
                command.env("CARGO_TARGET_DIR", root().join("target"));
            }
            command
        }
        // Not ourselves: Windows does not let a program that runs be replaced.
        Step::Build => cargo(&["build", "--workspace", "--all-targets", "--exclude", "xtask"]),
        // All of them: who mends one wants to know of the others.
        Step::Test => cargo(&["test", "--workspace", "--no-fail-fast"]),
    };
    match step {
        Step::Doc => drop(command.env("RUSTDOCFLAGS", "--deny warnings")),
        // The tests' support builds host and plugins itself when a single test is run by hand.
        Step::Test if prebuilt => drop(command.env("HOTBAY_TEST_PREBUILT", "1")),
        _ => {}
    }
    Some(command)
}

fn words(command: &Command) -> String {
    command.get_args().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

fn print_times(times: &[(&str, Option<Duration>)]) {
    println!();
    for (name, time) in times {
        match time {
            Some(time) => println!("{name:<9}{:>8.1} s", time.as_secs_f64()),
            None => println!("{name:<9}   skipped"),
        }
    }
    let total: Duration = times.iter().filter_map(|(_, time)| *time).sum();
    println!("{:<9}{:>8.1} s\n", "together", total.as_secs_f64());
}

impl Step {
    fn name(self) -> &'static str {
        match self {
            Step::Fmt => "fmt",
            Step::FmtApart => "fmt-apart",
            Step::Clippy => "clippy",
            Step::Doc => "doc",
            Step::Deny => "deny",
            Step::Bench => "bench",
            Step::Miri => "miri",
            Step::Peers => "peers",
            Step::Build => "build",
            Step::Test => "test",
        }
    }
}
