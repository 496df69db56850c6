//! `cargo xtask check-targets`: the code for systems that this machine is not.
//!
//! What is written for each of them is seen by a compiler on each change, though its tests run elsewhere or nowhere. Where a
//! target's standard library is not installed it is checked from its source (`rust-src`) as well; where neither is there, that
//! is said loudly. No C compiler for the target is needed: nothing is linked.

use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;
use crate::rustc::{has_standard_library, sysroot};

/// What is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Everything, tests too, with the lints: the system has branches of its own in all of it.
    Lints,
    /// What is shipped, without lints and tests: it differs from a target above in the processor or the linker alone.
    Types,
}

/// Windows first: it is what most often breaks.
const TARGETS: [(&str, Depth); 4] = [
    ("x86_64-pc-windows-gnu", Depth::Lints),
    ("aarch64-apple-darwin", Depth::Lints),
    ("x86_64-pc-windows-msvc", Depth::Types),
    ("aarch64-unknown-linux-gnu", Depth::Types),
];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these, which may be others than usual [default: x86_64-pc-windows-gnu, aarch64-apple-darwin,
    /// x86_64-pc-windows-msvc, aarch64-unknown-linux-gnu]
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
}

/// Where a target's standard library comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Std {
    Installed,
    Source,
    Missing,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let usual = |name: &str| TARGETS.iter().find(|(target, _)| *target == name).map(|(_, depth)| *depth);
    let chosen: Vec<(&str, Depth)> = if options.targets.is_empty() {
        TARGETS.to_vec()
    } else {
        options.targets.iter().map(|name| (name.as_str(), usual(name).unwrap_or(Depth::Types))).collect()
    };
    let (mut summary, mut missing, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    for (target, depth) in chosen {
        let std = find_std(target)?;
        if std == Std::Missing {
            missing.push(target);
            summary.push(format!("{target:<28} NOT CHECKED"));
            continue;
        }
        let begun = Instant::now();
        let good = check(target, depth, std)?;
        let what = match (good, depth) {
            (false, _) => "FAILED",
            (true, Depth::Lints) => "all of it, with lints",
            (true, Depth::Types) => "libraries, binaries and plugins",
        };
        let source = if std == Std::Source { ", standard library from source" } else { "" };
        summary.push(format!("{target:<28} {what}{source}, {:.0} s", begun.elapsed().as_secs_f64()));
        if !good {
            failed.push(target);
        }
    }
    println!("\n{}", summary.join("\n"));
    if !missing.is_empty() {
        warn_of(&missing);
    }
    if !failed.is_empty() {
        bail!("failed to check the workspace for {}", failed.join(", "));
    }
    Ok(())
}

fn check(target: &str, depth: Depth, std: Std) -> Result<bool> {
    let mut words = match depth {
        Depth::Lints => vec!["clippy", "--workspace", "--all-targets", "--target", target],
        Depth::Types => {
            vec!["check", "--workspace", "--lib", "--bins", "--exclude", "xtask", "--target", target]
        }
    };
    if std == Std::Source {
        words.push("-Zbuild-std");
    }
    // Windows first has a C compiler where its tests run; for the others what compiles C is left out: TLS, of requests to the outside.
    let has_compiler = target == "x86_64-pc-windows-gnu";
    if !has_compiler {
        words.extend(["--no-default-features", "--features", "hotbay/http"]);
    }
    if depth == Depth::Lints {
        words.extend(["--", "--deny", "warnings"]);
    }
    println!("\n== {target}: cargo {}", words.join(" "));
    let mut command = cargo(&words);
    // A general RUSTFLAGS would override the target's own, which may say where its standard library is.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    if std == Std::Source {
        // A stable compiler takes the flag with this alone. Nothing that is kept is built so.
        command.env("RUSTC_BOOTSTRAP", "1");
    }
    if !has_compiler {
        // blake3 compiles C for its fastest variants, also for a check, and a compiler for the target is seldom there; with its
        // feature `pure` it does not, and its build script reads it here. For windows-gnu there is one where the tests run.
        command.env("CARGO_FEATURE_PURE", "1");
    }
    Ok(command.status().context("failed to run cargo")?.success())
}

fn find_std(target: &str) -> Result<Std> {
    if has_standard_library(target)? {
        return Ok(Std::Installed);
    }
    let source = sysroot(target)?.join("lib/rustlib/src/rust/library/std/src/lib.rs");
    Ok(if source.is_file() { Std::Source } else { Std::Missing })
}

fn warn_of(missing: &[&str]) {
    let line = "=".repeat(80);
    println!("\nWARNING {line}");
    for target in missing {
        println!("WARNING  NOT CHECKED for {target}: its standard library is not installed.");
    }
    println!("WARNING  Code for these systems may not compile. To mend it:");
    println!("WARNING    rustup target add {}", missing.join(" "));
    println!("WARNING  or, for all of them at once: rustup component add rust-src");
    println!("WARNING {line}\n");
}
