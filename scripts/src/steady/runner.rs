//! What cargo runs each test program with: the program, and once more those of its tests that failed.
//!
//! It stands between cargo and the program (as cargo's `runner`), so that cargo itself gives folder and environment to each
//! run, goes on with the next program, and tells by its own words and exit code what failed in the end.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::{Context as _, Result};

use super::Outcome;
use super::attempt::{Attempt, Ended, Limits};
use super::output::listed;

/// What more than so many tests of one program fail by is no unsteadiness.
const MOST: usize = 8;

/// The harness's own code for tests that failed.
const FAILED: i32 = 101;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where what came of it is added to
    #[arg(long)]
    report: PathBuf,
    /// How often what failed is run once more
    #[arg(long)]
    again: u32,
    /// When no time is left, in seconds since 1970
    #[arg(long)]
    until: u64,
    /// How long it may say nothing, in seconds
    #[arg(long)]
    silence: u64,
    /// What runs it: a wine
    #[arg(long)]
    through: Option<PathBuf>,
    /// What ends all that runs there, with `-k`
    #[arg(long)]
    server: Option<PathBuf>,
    /// The test program, and what is for its harness
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<String>,
}

/// Answers the exit code.
pub(crate) fn run(options: &Options) -> Result<i32> {
    let (path, arguments) = options.command.split_first().context("no test program is named")?;
    let program = Program { options, path: Path::new(path), name: name_of(path) };
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let mut attempt = program.attempt(&arguments)?;
    let ran = attempt.said.ran();
    let mut bad = program.judge(&attempt, None, &arguments);
    let (mut failed_once, mut fault) = (Vec::new(), None);
    for _ in 0..options.again {
        let Some(Bad { tests, is_final: false, .. }) = &bad else { break };
        let tests = tests.clone();
        let labels = bad.as_ref().map_or_else(Vec::new, Bad::labels);
        println!("\n== once more, alone: {}: {}", program.name, labels.join(", "));
        failed_once.extend(labels);
        fault = fault.or(attempt.said.fault_of_wine());
        attempt = if let Some(tests) = &tests {
            let mut arguments = vec!["--exact", "--include-ignored", "--test-threads=1"];
            arguments.extend(tests.iter().map(String::as_str));
            program.attempt(&arguments)?
        } else {
            // What the first left behind is not to be in its way.
            program.end();
            program.attempt(&arguments)?
        };
        bad = program.judge(&attempt, tests, &arguments);
    }
    let failed = bad.as_ref().map_or_else(Vec::new, Bad::labels);
    // Each once, in the order of names.
    let unsteady: BTreeSet<String> = failed_once.into_iter().filter(|name| !failed.contains(name)).collect();
    let fault = fault.filter(|_| options.through.is_some());
    let why = fault.map_or_else(String::new, |words| format!(" (wine said `{words}`)"));
    let name = &program.name;
    let outcome = Outcome {
        ran: ran.max(attempt.said.ran()),
        unsteady: unsteady.iter().map(|test| format!("{name}: {test}{why}")).collect(),
        failed: failed.iter().map(|test| format!("{name}: {test}")).collect(),
        last: if failed.is_empty() { Vec::new() } else { attempt.last },
    };
    outcome.tell();
    outcome.add_to(&options.report)?;
    Ok(if outcome.failed.is_empty() { 0 } else { FAILED })
}

/// A test program.
struct Program<'a> {
    options: &'a Options,
    path: &'a Path,
    name: String,
}

impl Program<'_> {
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = match &self.options.through {
            Some(wine) => {
                let mut command = Command::new(wine);
                command.arg(self.path);
                command
            }
            None => Command::new(self.path),
        };
        command.args(arguments);
        command
    }

    fn attempt(&self, arguments: &[&str]) -> Result<Attempt> {
        let limits = Limits {
            until: UNIX_EPOCH + Duration::from_secs(self.options.until),
            silence: Duration::from_secs(self.options.silence),
        };
        Attempt::run(self.command(arguments), limits, || self.end())
    }

    /// Ends what runs in wine: its programs are no children of ours.
    fn end(&self) {
        if let Some(server) = &self.options.server {
            let _ = Command::new(server).arg("-k").stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }

    /// What went wrong, of all or of those that were `asked` for by name.
    fn judge(&self, attempt: &Attempt, asked: Option<Vec<String>>, arguments: &[&str]) -> Option<Bad> {
        let said = &attempt.said;
        let broken = |how: String, is_final| Some(Bad { tests: asked.clone(), how, is_final });
        match attempt.ended {
            Ended::Itself(status) if status.success() && !said.is_cut_off() => {
                // A test that is not there has not passed.
                let missing = asked.as_ref().is_some_and(|tests| said.passed() != tests.len());
                missing.then(|| broken("not all were found again".to_owned(), true)).flatten()
            }
            Ended::Itself(status) => match said.all_failed() {
                Some(tests) if status.code() == Some(FAILED) => {
                    let is_final = tests.len() > MOST;
                    Some(Bad { tests: Some(tests), how: String::new(), is_final })
                }
                _ => broken(format!("it ended in the middle, {status}"), false),
            },
            Ended::Silent => {
                let stuck = self.stuck(attempt, arguments);
                broken(format!("silent for {} s; had not ended: {stuck}", self.options.silence), false)
            }
            Ended::Late => {
                broken(format!("no time was left; had not ended: {}", self.stuck(attempt, arguments)), true)
            }
        }
    }

    /// The tests that had begun and not ended, as far as that can be told.
    fn stuck(&self, attempt: &Attempt, arguments: &[&str]) -> String {
        let long = attempt.said.stuck();
        if !long.is_empty() {
            return long.join(", ");
        }
        let unknown = "tests that ran for less than a minute".to_owned();
        if self.options.through.is_some() {
            return unknown;
        }
        let listed_now = self
            .command(&[arguments, &["--list", "--format", "terse"]].concat())
            .stdin(Stdio::null())
            .output();
        // They begin in this order.
        let names =
            listed_now.map(|ran| attempt.said.unfinished(listed(&String::from_utf8_lossy(&ran.stdout))));
        match names {
            Ok(names) if names.len() > MOST => {
                format!("{} and {} more", names[..MOST].join(", "), names.len() - MOST)
            }
            Ok(names) if !names.is_empty() => names.join(", "),
            _ => unknown,
        }
    }
}

/// What went wrong in an attempt.
#[derive(Debug)]
struct Bad {
    /// These tests; `None` for the program as a whole.
    tests: Option<Vec<String>>,
    how: String,
    /// To try once more makes no sense.
    is_final: bool,
}

impl Bad {
    fn labels(&self) -> Vec<String> {
        match &self.tests {
            Some(tests) => tests.clone(),
            None => vec![format!("all of it: {}", self.how)],
        }
    }
}

/// `deps/e2e-0123456789abcdef` is of the target `e2e`.
fn name_of(program: &str) -> String {
    let stem = Path::new(program).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    stem.rsplit_once('-').map_or(stem.clone(), |(name, _)| name.to_owned())
}

#[cfg(unix)] // Windows: has no such shell, and the programs of these tests are scripts.
#[cfg(test)]
mod tests;
