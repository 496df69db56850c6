//! `cargo xtask test`: all that CI does, in the order that is fastest from cold on two cores.
//!
//! clippy and rustdoc only need metadata of the dependencies and share it; the build makes code of them, once for
//! libraries, binaries, examples and tests; the tests then run what is there.

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;

use crate::cargo::{cargo, has, root};
use crate::rustc::host;
use crate::steady::{self, How};

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
    /// The storage's own tests with its other cipher; skipped, and said so, where no C compiler is
    AwsLc,
    /// Everything that the tests need
    Build,
    /// All tests but those in the documentation
    Test,
    /// The tests in the documentation
    DocTest,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run only this step; may be given several times
    #[arg(long, value_name = "STEP")]
    only: Vec<Step>,
    /// Leave this step out; may be given several times
    #[arg(long, value_name = "STEP")]
    skip: Vec<Step>,
    /// Print the times before the last tests, so that a log ends with the tests' own words
    #[arg(long)]
    ci: bool,
    /// Do not run tests that failed once more: for hunting those that fail now and then
    #[arg(long)]
    once: bool,
    /// End the tests, as failed, after so many minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    minutes: u64,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let usual = |step: &Step| options.only.is_empty() && *step != Step::Peers;
    let chosen = |step: &Step| usual(step) || options.only.contains(step);
    let steps: Vec<Step> = Step::value_variants().iter().copied().filter(chosen).collect();
    let (mut times, mut failed) = (Vec::new(), None);
    for &step in &steps {
        let name = step.name();
        if options.ci && step == Step::DocTest {
            print_times(&times);
        }
        if options.skip.contains(&step) {
            println!("\n== {name}: SKIPPED, --skip says so");
            times.push((name, None));
            continue;
        }
        let begun = Instant::now();
        let Some(done) = run_step(step, options, steps.contains(&Step::Build)) else {
            println!("\n== {name}: SKIPPED, {}", missing(step));
            times.push((name, None));
            continue;
        };
        times.push((name, Some(begun.elapsed())));
        if let Err(error) = done {
            failed.get_or_insert((name, error));
            // Who mends a test wants to know of the others.
            if step != Step::Test {
                break;
            }
        }
    }
    if !options.ci || !steps.contains(&Step::DocTest) || failed.is_some() {
        print_times(&times);
    }
    match failed {
        Some((name, error)) => {
            bail!("failed at step `{name}`, {error:#}; again only this: cargo xtask test --only {name}")
        }
        None => Ok(()),
    }
}

/// What is not there, and what that leaves unchecked.
fn missing(step: Step) -> &'static str {
    match step {
        Step::Miri => {
            "Miri is not installed (`rustup toolchain install nightly --component miri`): the unsafe parts were not run under it"
        }
        Step::AwsLc => {
            "there is no C compiler (`cc`): that both ciphers read each other's files was not tried"
        }
        _ => "cargo-deny is not installed: licences, bans and sources were not checked",
    }
}

/// The tests and what they need, nothing else.
pub(crate) fn build_and_test(once: bool, minutes: u64) -> Result<()> {
    let only = vec![Step::Build, Step::Test, Step::DocTest];
    run(&Options { only, skip: Vec::new(), ci: false, once, minutes })
}

/// Runs a step; `None` when the tool for it is not installed.
fn run_step(step: Step, options: &Options, prebuilt: bool) -> Option<Result<()>> {
    let again = u32::from(!options.once);
    let until = SystemTime::now() + Duration::from_secs(60 * options.minutes);
    let Some(mut command) = command(step)? else {
        // The tests' support builds host and plugins itself when a single test is run by hand.
        let prebuilt = prebuilt.then_some(("HOTBAY_TEST_PREBUILT", "1"));
        let cargo = |words: &[&str]| {
            println!("\n== {}: cargo {}", step.name(), words.join(" "));
            let mut command = cargo(words);
            command.envs(prebuilt);
            command
        };
        return Some(match step {
            Step::DocTest => steady::doc_tests(again, until, || cargo(DOC_TESTS)),
            _ => host().and_then(|target| {
                How { target, again, until, through: None, server: None }.test(TESTS, cargo)
            }),
        });
    };
    println!("\n== {}: cargo {}", step.name(), words(&command));
    let status = command.status().context("failed to run cargo");
    Some(status.and_then(|status| if status.success() { Ok(()) } else { bail!("{status}") }))
}

/// All of them: who mends one wants to know of the others.
const TESTS: &[&str] = &["test", "--workspace", "--no-fail-fast", "--lib", "--bins", "--tests"];
const DOC_TESTS: &[&str] = &["test", "--workspace", "--no-fail-fast", "--doc"];

/// What a step runs, if that is one command and no tests; nothing at all when the tool for it is not installed.
fn command(step: Step) -> Option<Option<Command>> {
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
        Step::Miri => crate::miri::command()?,
        // What is in its files is looked at there; the others are the same with either.
        Step::AwsLc if has_c_compiler() => {
            cargo(&["test", "--package", "hotbay-state", "--features", "aws-lc", "--lib"])
        }
        Step::AwsLc => return None,
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
        Step::Test | Step::DocTest => return Some(None),
    };
    if step == Step::Doc {
        command.env("RUSTDOCFLAGS", "--deny warnings");
    }
    Some(Some(command))
}

/// Windows: the compiler of Visual Studio is on no path, and cannot be looked for like this.
fn has_c_compiler() -> bool {
    cfg!(unix) && Command::new("cc").arg("--version").output().is_ok_and(|compiler| compiler.status.success())
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
            Step::AwsLc => "aws-lc",
            Step::Build => "build",
            Step::Test => "test",
            Step::DocTest => "doc-test",
        }
    }
}
