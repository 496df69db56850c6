//! `cargo xtask check-targets`: the code for systems that this machine is not.
//!
//! Windows is type-checked and linted: what is written for it is seen by a compiler on each change, though a test
//! runs elsewhere. The standard library for the target must be installed.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::cargo::cargo;

const TARGET: &str = "x86_64-pc-windows-gnu";
const FLAGS: &str = "CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS";

pub(crate) fn run() -> Result<()> {
    if !installed()? {
        println!();
        println!("WARNING ================================================================================");
        println!("WARNING  NOT CHECKED for {TARGET}: its standard library is not installed.");
        println!("WARNING  Code for Windows may not compile. `rustup target add {TARGET}` mends it.");
        println!("WARNING ================================================================================");
        println!();
        return Ok(());
    }
    println!("== {TARGET}: cargo clippy --workspace --all-targets");
    let status =
        cargo(&["clippy", "--workspace", "--all-targets", "--target", TARGET, "--", "--deny", "warnings"])
            // A general RUSTFLAGS would override the target's own, which may say where its standard library is.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .status()
            .context("failed to run cargo")?;
    if !status.success() {
        bail!("failed to check the workspace for {TARGET}");
    }
    Ok(())
}

/// Whether the target's standard library lies where the compiler will look.
fn installed() -> Result<bool> {
    let flags = std::env::var(FLAGS).unwrap_or_default();
    let output = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
        .args(["--print", "target-libdir", "--target", TARGET])
        .args(flags.split_whitespace())
        .output()
        .context("failed to run rustc")?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let Ok(entries) = folder.read_dir() else { return Ok(false) };
    // With a hash in its name where rustup put it, without where it was built from source.
    let is_std = |name: &str| name == "libstd.rlib" || name.starts_with("libstd-");
    Ok(entries.flatten().any(|entry| is_std(&entry.file_name().to_string_lossy())))
}
