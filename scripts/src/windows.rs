//! `cargo xtask windows`: everything built for Windows, and its tests run there: under wine where this is another system.
//!
//! The tests are Windows programs as well, so that they start `hotbay.exe` as tests do everywhere, and writers of files obey
//! the rules of Windows. cargo cannot run in there: what needs it (`hotbay new`, then a build) asks for it outside, see
//! [`outside`].

mod outside;
mod wine;

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;
use crate::rustc::has_standard_library;
use crate::steady::How;
use crate::test;
use outside::Outside;
use wine::Wine;

/// What is built; on Windows itself it is what its compiler builds for.
const TARGET: &str = "x86_64-pc-windows-gnu";

/// By this cargo knows what runs its programs.
const RUNNER: &str = "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUNNER";

/// Build everything for Windows and run the tests there, under wine where this is another system
///
/// Needs the target's standard library (`rustup target add x86_64-pc-windows-gnu`), its linker and wine (Debian:
/// `apt-get install gcc-mingw-w64-x86-64-win32 wine64`). On Windows it is `cargo xtask test --only build --only test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Run only these test targets (`e2e`, `journeys`); may be given several times
    #[arg(long, value_name = "TARGET")]
    test: Vec<String>,
    /// Leave out the parts of the tests that take long under wine, or are not steady there
    #[arg(long, conflicts_with = "test")]
    brief: bool,
    /// Where standard library, linker or wine are not installed, say so in large letters and end well
    #[arg(long)]
    where_possible: bool,
    /// End the tests, as failed, after so many minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 15)]
    minutes: u64,
    /// Do not run tests that failed once more: for hunting those that fail now and then
    #[arg(long)]
    once: bool,
    /// For the tests: a part of their names, and options of the harness
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    if cfg!(windows) {
        return test::build_and_test(options.once, options.minutes);
    }
    let wine = match prepared() {
        Ok(wine) => wine,
        Err(error) if options.where_possible && error.is::<Missing>() => {
            for line in [
                "=======================================================================================",
                " WINDOWS WAS NOT TESTED: nothing was built for it, and no test ran there.",
                &format!(" {error:#}"),
                "=======================================================================================",
            ] {
                println!("WARNING {line}");
            }
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    build(options.brief)?;
    let begun = Instant::now();
    let outside = Outside::listen(TARGET, &wine)?;
    let how = How {
        target: TARGET.to_owned(),
        // wine 8 now and then loses a pipe, also twice in a row: what fails three times fails.
        again: if options.once { 0 } else { 2 },
        until: SystemTime::now() + Duration::from_secs(60 * options.minutes),
        through: Some(wine.program().to_owned()),
        server: Wine::server(),
    };
    let stays = wine.stay()?;
    let tests = Tests { wine, outside, how, stays };
    if options.brief {
        tests.run_brief(begun)?;
    } else {
        let targets: Vec<&str> = match options.test.as_slice() {
            [] => vec!["--lib", "--bins", "--tests"],
            some => some.iter().flat_map(|test| ["--test", test]).collect(),
        };
        tests.run(&targets, &options.rest.iter().map(String::as_str).collect::<Vec<_>>())?;
    }
    println!("== windows: tested in {} s", begun.elapsed().as_secs());
    Ok(())
}

/// What is run in a brief run, in this order: targets, and parts of the names of their tests.
const BRIEF: [(&[&str], &[&str]); 6] = [
    // With them those that other packages than `hotbay-tests` have in `tests/`.
    // Pipes of a process to itself are not steady under wine; what goes through the real binary uses them.
    (&["--lib", "--bins"], &["--skip", "control::tests"]),
    (&["--test", "e2e"], &["drop_in::", "shutdown::", "windows::"]),
    // Ten thousand loads take two minutes there.
    (&["--test", "conformance"], &["--skip", "tables_of_two_lengths"]),
    (&["--test", "e2e"], &["soak::", "state::"]),
    (&["--test", "e2e"], &["replace::", "rollback::"]),
    (&["--test", "e2e"], &["bad_input::", "new::"]),
];

/// After so long a brief run begins no more tests, and says which: CI has other things to do.
const BRIEF_FOR: Duration = Duration::from_secs(60);

/// What has to be installed and is not: the one reason not to run the tests that is no failure.
#[derive(Debug)]
struct Missing(String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

/// A wine that runs what this machine's compiler makes for Windows. An error that is no [`Missing`] is a failure.
fn prepared() -> Result<Wine> {
    if !has_standard_library(TARGET)? {
        bail!(Missing(format!(
            "failed to find the standard library for {TARGET}: `rustup target add {TARGET}` installs it"
        )));
    }
    let linker = linker();
    let named = linker.display();
    if !is_there(&linker).with_context(|| format!("failed to run the linker `{named}`"))? {
        bail!(Missing(format!(
            "failed to find the linker `{named}`: `apt-get install gcc-mingw-w64-x86-64-win32` installs it"
        )));
    }
    Wine::prepared(TARGET, &linker)
}

/// Whether there is such a program. The error is that there is one, and that it cannot be run.
fn is_there(program: &Path) -> Result<bool> {
    let mut command = Command::new(program);
    match command.arg("--version").stdin(Stdio::null()).output() {
        Ok(ran) if ran.status.success() => Ok(true),
        Ok(ran) => bail!("`{} --version` ended with {}", program.display(), ran.status),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Builds everything, or, for a brief run, what that runs.
fn build(brief: bool) -> Result<()> {
    let begun = Instant::now();
    let all: &[&[&str]] = if brief {
        &[
            // The libraries too: plugins are what most tests start with.
            &["build", "--workspace", "--lib", "--bins", "--examples"],
            &[
                "test",
                "--no-run",
                "--workspace",
                "--exclude",
                "xtask",
                "--lib",
                "--test",
                "e2e",
                "--test",
                "conformance",
            ],
        ]
    } else {
        &[&["build", "--workspace", "--all-targets"]]
    };
    for arguments in all {
        println!("\n== windows: cargo {} --target {TARGET}", arguments.join(" "));
        let status = for_windows(arguments).status().context("failed to run cargo")?;
        if !status.success() {
            bail!("failed to build the workspace for {TARGET}");
        }
    }
    println!("== windows: built in {} s", begun.elapsed().as_secs());
    Ok(())
}

/// What the tests need.
struct Tests {
    wine: Wine,
    outside: Outside,
    how: How,
    stays: Child,
}

impl Drop for Tests {
    /// With them end the programs that they started.
    fn drop(&mut self) {
        self.wine.end();
        let _ = self.stays.kill();
        let _ = self.stays.wait();
    }
}

impl Tests {
    /// Runs [`BRIEF`], as far as there is time.
    fn run_brief(&self, begun: Instant) -> Result<()> {
        let mut failed = None;
        let apart = crate::cargo::integration_tests(&["hotbay-tests", "xtask"])?;
        for (at, (targets, parts)) in BRIEF.into_iter().enumerate() {
            if begun.elapsed() > BRIEF_FOR {
                println!(
                    "WARNING {} {}: NOT TESTED on Windows, for want of time",
                    targets.join(" "),
                    parts.join(" ")
                );
                continue;
            }
            let named = apart.iter().filter(|_| at == 0).flat_map(|test| ["--test", test]);
            let targets: Vec<&str> = targets.iter().copied().chain(named).collect();
            if let Err(error) = self.run(&targets, parts) {
                // The others are run as well.
                failed.get_or_insert(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Runs `targets`, and of these the tests whose names have one of `parts`.
    fn run(&self, targets: &[&str], parts: &[&str]) -> Result<()> {
        let Self { wine, outside, how, .. } = self;
        println!("\n== windows: the tests, under {}", wine.program().display());
        // Not xtask's own: they are of this system. All packages also where few targets are chosen: what is built is the same.
        let words =
            [&["test", "--no-fail-fast", "--workspace", "--exclude", "xtask"], targets, &["--"], parts];
        let tested = how.test(&words.concat(), |words| {
            let mut command = cargo(words);
            command.env("HOTBAY_TEST_PREBUILT", "1").env("CARGO_BUILD_TARGET", TARGET);
            environment(&mut command);
            wine.environment(&mut command);
            outside.environment(&mut command);
            command
        });
        tested.context("under wine; again only some: cargo xtask windows --test TARGET -- PART-OF-A-NAME")
    }
}

/// cargo with what it needs to build for Windows.
fn for_windows(arguments: &[&str]) -> Command {
    let mut command = cargo(arguments);
    command.args(["--target", TARGET]);
    environment(&mut command);
    command
}

/// What cargo's environment has for that.
fn environment(command: &mut Command) -> &mut Command {
    command.env("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER", linker());
    // General flags would override the target's own, which may say where its standard library is.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS")
}

fn linker() -> PathBuf {
    let named = std::env::var_os("CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER");
    named.unwrap_or_else(|| OsString::from("x86_64-w64-mingw32-gcc")).into()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_there_and_does_not_run_is_not_missing() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("linker");
        assert!(!is_there(&program).unwrap(), "nothing is there");
        std::fs::write(&program, "neither a script nor a program").unwrap();
        is_there(&program).unwrap_err();
        std::fs::remove_file(&program).unwrap();
        // Not written here: the system runs nothing that a process which another test just starts still has open for writing.
        let fails = ["/bin/false", "/usr/bin/false"].into_iter().find(|path| Path::new(path).is_file());
        std::os::unix::fs::symlink(fails.unwrap(), &program).unwrap();
        let error = is_there(&program).unwrap_err().context("failed to run the linker");
        assert!(format!("{error:#}").contains("exit status: 1"), "{error:#}");
        assert!(!error.is::<Missing>());
    }
}
