//! `cargo test`, red only for a reason: what failed is run once more, alone, and told loudly when it then passes.
//!
//! A machine under load, or wine, breaks a test now and then that has nothing to say about the change. Such a test is named
//! (`WARNING UNSTEADY target: name`), so that somebody mends it; one that fails again fails the run. cargo runs each test
//! program through [`runner`], which knows its tests.

mod attempt;
mod output;
pub(crate) mod runner;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use attempt::{Attempt, Ended, Limits};
use serde_json::{Value, json};

/// So long after their deadline the tests are waited for: who ends them then also says which they were.
const GRACE: Duration = Duration::from_secs(60);

/// How tests are run.
#[derive(Debug)]
pub(crate) struct How {
    /// For what they are built.
    pub(crate) target: String,
    /// How often what failed is run once more.
    pub(crate) again: u32,
    /// When no time is left.
    pub(crate) until: SystemTime,
    /// What runs them: a wine.
    pub(crate) through: Option<PathBuf>,
    /// What ends all that runs there.
    pub(crate) server: Option<PathBuf>,
}

impl How {
    /// A test program that says nothing for so long hangs. Much longer than a test waits for anything, or a compiler takes.
    const SILENCE: Duration = Duration::from_secs(300);

    /// Runs `cargo WORDS`, which is a `cargo test` of programs; `build` makes cargo's command of arguments.
    pub(crate) fn test(&self, words: &[&str], build: impl Fn(&[&str]) -> Command) -> Result<()> {
        let folder = tempfile::tempdir().context("failed to make a folder for what tests report")?;
        let report = folder.path().join("report");
        File::create(&report).context("failed to make a file for what tests report")?;
        let config = self.config(&report)?;
        let mut cargo = build(&[&["--config", &config], words].concat());
        // Most tests wait for a process more than they compute. Not beside wine's one server, which all of them would wait for.
        if self.through.is_none() && std::env::var_os("RUST_TEST_THREADS").is_none() {
            let processors = std::thread::available_parallelism().map_or(1, usize::from);
            cargo.env("RUST_TEST_THREADS", (2 * processors).to_string());
        }
        let mut child = cargo.spawn().context("failed to run cargo")?;
        let status = loop {
            if let Some(status) = child.try_wait().context("failed to wait for cargo")? {
                break status;
            }
            if SystemTime::now() > self.until + GRACE {
                let _ = child.kill();
                let _ = child.wait();
                bail!("failed to see the end of the tests in time; `--minutes` gives them more");
            }
            std::thread::sleep(Duration::from_millis(50));
        };
        let outcome = Outcome::read(&report)?;
        if !outcome.failed.is_empty() {
            println!("\n== what failed said at last:\n{}\n", outcome.last.join("\n"));
        }
        outcome.tell();
        if !outcome.failed.is_empty() {
            bail!("{} failed: {}", count(outcome.failed.len(), "test"), outcome.failed.join(", "));
        }
        if !status.success() {
            bail!("failed to build the tests, or to run them: {status}");
        }
        if outcome.ran == 0 {
            bail!("failed to find a test to run");
        }
        Ok(())
    }

    /// What makes cargo run test programs through us.
    fn config(&self, report: &Path) -> Result<String> {
        let this = std::env::current_exe().context("failed to find this program")?;
        let until = self.until.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut runner = vec![text(&this)?, "run-tests".to_owned(), "--report".to_owned(), text(report)?];
        runner.extend(["--again".to_owned(), self.again.to_string()]);
        runner.extend(["--until".to_owned(), until.to_string()]);
        runner.extend(["--silence".to_owned(), Self::SILENCE.as_secs().to_string()]);
        for (name, program) in [("--through", &self.through), ("--server", &self.server)] {
            if let Some(program) = program {
                runner.extend([name.to_owned(), text(program)?]);
            }
        }
        runner.push("--".to_owned());
        // A list of JSON is one of TOML.
        Ok(format!("target.{}.runner={}", self.target, json!(runner)))
    }
}

/// Runs the tests in the documentation, of which cargo itself makes the programs: all once more when one of them failed.
pub(crate) fn doc_tests(again: u32, until: SystemTime, cargo: impl Fn() -> Command) -> Result<()> {
    let limits = Limits { until, silence: How::SILENCE };
    let mut failed_once = Vec::new();
    for round in 0..=again {
        let attempt = Attempt::run(cargo(), limits, || ())?;
        let failed: Vec<String> =
            attempt.said.failed().iter().map(|name| format!("doc-tests: {name}")).collect();
        let is_good = matches!(attempt.ended, Ended::Itself(status) if status.success());
        let mut outcome =
            Outcome { ran: attempt.said.ran(), unsteady: failed_once, failed, last: Vec::new() };
        if is_good && outcome.failed.is_empty() {
            outcome.tell();
            return Ok(());
        }
        // Where none is known, it was not built.
        if round == again || outcome.failed.is_empty() {
            outcome.unsteady.clear();
            outcome.tell();
            bail!("the tests in the documentation failed: {:?}", attempt.ended);
        }
        println!("\n== once more: {}", outcome.failed.join(", "));
        failed_once = outcome.failed;
    }
    Ok(())
}

/// What came of tests.
#[derive(Debug, Default)]
struct Outcome {
    /// How many ran.
    ran: usize,
    /// Those that failed, and passed when they were run once more.
    unsteady: Vec<String>,
    /// Those that failed in the end.
    failed: Vec<String>,
    /// The last lines of programs in which tests failed.
    last: Vec<String>,
}

impl Outcome {
    /// In lines that stand out and can be looked for.
    fn tell(&self) {
        for test in &self.unsteady {
            println!("WARNING UNSTEADY {test}");
        }
        for test in &self.failed {
            println!("FAILED {test}");
        }
    }

    /// Adds this to a report.
    fn add_to(&self, report: &Path) -> Result<()> {
        let line =
            json!({ "ran": self.ran, "unsteady": self.unsteady, "failed": self.failed, "last": self.last });
        File::options()
            .append(true)
            .open(report)
            .and_then(|mut file| writeln!(file, "{line}"))
            .context("failed to report what came of the tests")
    }

    /// Everything in a report.
    fn read(report: &Path) -> Result<Self> {
        let lines = std::fs::read_to_string(report).context("failed to read what came of the tests")?;
        let mut all = Self::default();
        for line in lines.lines() {
            let line: Value = serde_json::from_str(line).context("failed to read what came of the tests")?;
            let texts = |name: &str| {
                line[name].as_array().into_iter().flatten().filter_map(Value::as_str).map(ToOwned::to_owned)
            };
            all.ran += usize::try_from(line["ran"].as_u64().unwrap_or_default())?;
            all.unsteady.extend(texts("unsteady"));
            all.failed.extend(texts("failed"));
            all.last.extend(texts("last"));
        }
        Ok(all)
    }
}

fn text(path: &Path) -> Result<String> {
    let text = path.to_str().with_context(|| format!("failed to name {} to cargo", path.display()))?;
    Ok(text.to_owned())
}

fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
