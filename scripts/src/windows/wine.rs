//! Wine, with a prefix (a Windows of its own) that runs Rust programs.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};

use super::{Missing, is_there};
use crate::cargo::{root, target_folder};
use crate::rustc::rustc;

/// Where Debian puts it without its wrapper scripts, and what others call it.
const PROGRAMS: &[&str] = &["/usr/lib/wine/wine64", "wine64", "wine"];
const SERVERS: &[&str] = &["/usr/lib/wine/wineserver64", "wineserver64", "wineserver"];

/// A wine that works.
#[derive(Debug, Clone)]
pub(super) struct Wine {
    program: PathBuf,
    prefix: PathBuf,
}

impl Wine {
    /// Finds a wine, and makes its prefix in the target folder, unless that is there from an earlier run.
    pub(super) fn prepared(target: &str, linker: &Path) -> Result<Self> {
        let Some(program) = first(PROGRAMS).context("failed to run wine")? else {
            let how = "`apt-get install --no-install-recommends wine64` installs it";
            bail!(Missing(format!("failed to find wine: {how}")));
        };
        let wine = Self { program, prefix: target_folder()?.join("wine") };
        let system = wine.prefix.join("drive_c/windows/system32");
        if !system.join("kernel32.dll").is_file() {
            println!("== windows: making a wine prefix in {}", wine.prefix.display());
            let mut boot = Command::new(&wine.program);
            boot.args(["wineboot", "--init"])
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            wine.environment(&mut boot);
            let status = boot.status().context("failed to run wine")?;
            if !status.success() || !system.join("kernel32.dll").is_file() {
                bail!("failed to make a wine prefix in {}: {status}", wine.prefix.display());
            }
        }
        // Wine before version 9 lacks a library that every Rust program imports.
        let library = system.join("bcryptprimitives.dll");
        if !library.is_file() {
            let source = root().join("scripts/wine/process_prng.rs");
            let status = rustc(target)
                .args([
                    "--edition",
                    "2024",
                    "--crate-type",
                    "cdylib",
                    "-C",
                    "panic=abort",
                    "-C",
                    "opt-level=2",
                ])
                .arg("-C")
                .arg(format!("linker={}", linker.display()))
                .arg("-o")
                .arg(&library)
                .arg(&source)
                .status()
                .context("failed to run rustc")?;
            if !status.success() {
                bail!("failed to compile {} for {target}", source.display());
            }
        }
        Ok(wine)
    }

    pub(super) fn program(&self) -> &Path {
        &self.program
    }

    pub(super) fn prefix(&self) -> &Path {
        &self.prefix
    }

    /// Has a command, and what it starts, run its Windows programs in this prefix.
    pub(super) fn environment(&self, command: &mut Command) {
        command.env("WINEPREFIX", &self.prefix).env("WINEARCH", "win64").env("WINEDEBUG", "-all");
        // No windows, no browser or .NET to be installed, and no debugger, which takes many seconds of each crash.
        command
            .env("WINEDLLOVERRIDES", "mscoree,mshtml,winedbg.exe=")
            .env_remove("DISPLAY")
            .env_remove("WAYLAND_DISPLAY");
    }

    /// A program that waits there until it is ended: with the last one wine's services go, and start anew for the next, which takes
    /// seconds.
    pub(super) fn stay(&self) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(["cmd.exe", "/c", "set /p x="]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        self.environment(&mut command);
        command.spawn().context("failed to run wine")
    }

    /// Ends all that runs in the prefix.
    pub(super) fn end(&self) {
        let Some(server) = Self::server() else { return };
        let mut command = Command::new(server);
        self.environment(&mut command);
        let _ = command.arg("-k").stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// What serves all programs in a prefix, and ends them with `-k`.
    pub(super) fn server() -> Option<PathBuf> {
        first(SERVERS).ok().flatten()
    }
}

/// The first of these programs that is there.
fn first(programs: &[&str]) -> Result<Option<PathBuf>> {
    for program in programs.iter().map(Path::new) {
        if is_there(program)? {
            return Ok(Some(program.to_owned()));
        }
    }
    Ok(None)
}
