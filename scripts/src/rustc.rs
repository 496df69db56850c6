//! rustc, as it is set up for a target.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

/// rustc for the target, with the flags that the environment has for it.
pub(crate) fn rustc(target: &str) -> Command {
    let flags = format!("CARGO_TARGET_{}_RUSTFLAGS", target.to_uppercase().replace('-', "_"));
    let mut command = plain(target);
    command.args(std::env::var(flags).unwrap_or_default().split_whitespace());
    command
}

/// Whether the target's standard library is installed.
pub(crate) fn has_standard_library(target: &str) -> Result<bool> {
    let libraries = printed(rustc(target), "target-libdir", target)?;
    // With a hash in its name where rustup put it, without where it was built from source.
    let is_std = |name: &str| name == "libstd.rlib" || name.starts_with("libstd-");
    Ok(libraries
        .read_dir()
        .is_ok_and(|entries| entries.flatten().any(|entry| is_std(&entry.file_name().to_string_lossy()))))
}

/// Where the compiler itself is installed, whatever the flags say.
pub(crate) fn sysroot(target: &str) -> Result<PathBuf> {
    printed(plain(target), "sysroot", target)
}

/// The system that this is, as targets are named.
pub(crate) fn host() -> Result<String> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let output = rustc.args(["--print", "host-tuple"]).output().context("failed to run rustc")?;
    let name = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if !output.status.success() || name.is_empty() {
        bail!("failed to ask the compiler which system this is");
    }
    Ok(name)
}

fn plain(target: &str) -> Command {
    let mut command = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.args(["--target", target]);
    command
}

/// A path that the compiler prints.
fn printed(mut rustc: Command, what: &str, target: &str) -> Result<PathBuf> {
    let output = rustc.args(["--print", what]).output().context("failed to run rustc")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("failed to ask the compiler about {target}: {}", said.trim());
    }
    Ok(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}
