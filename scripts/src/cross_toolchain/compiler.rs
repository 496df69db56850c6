//! Compilers, and where they come from.

use std::fmt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::debian;
use crate::cargo::root;

/// Older or newer than the one that builds the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// The oldest that the contract allows.
    Older,
    /// The minor behind the host's, or a later one.
    Newer,
}

impl fmt::Display for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Older => "an older",
            Self::Newer => "a newer",
        })
    }
}

impl Age {
    /// Whether a compiler of this minor version is one.
    pub(super) fn fits(self, minor: u32, own: u32, least: u32) -> bool {
        match self {
            Self::Older => (least..own).contains(&minor),
            Self::Newer => minor > own,
        }
    }
}

/// Where compilers are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Source {
    /// What rustup has installed, or installs
    Rustup,
    /// Packages of Debian
    Debian,
}

/// A compiler with its cargo.
#[derive(Debug)]
pub(super) struct Compiler {
    /// As it calls itself, and as a manifest names it: `rustc 1.85.0 (4d91de4e4 2025-02-17)`.
    pub(super) told: String,
    /// `1.85.0`
    pub(super) version: String,
    pub(super) minor: u32,
    way: Way,
}

#[derive(Debug, Clone)]
pub(super) enum Way {
    /// The one that runs us.
    Own,
    /// A toolchain of rustup's.
    Rustup(String),
    /// Unpacked there, in folders as below `/`.
    Unpacked(PathBuf),
}

impl Compiler {
    /// Asks what there is who it is.
    pub(super) fn ask(way: Way) -> Result<Self> {
        let output = way.command("rustc").arg("--version").output().context("failed to run rustc")?;
        let told = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let version = told.split(' ').nth(1).unwrap_or_default().to_owned();
        let minor = minor_of(&version).filter(|_| output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        let minor = minor.with_context(|| format!("rustc does not say its version: {told}{said}"))?;
        Ok(Self { told, version, minor, way })
    }

    /// Its cargo, as nobody else has set it up.
    pub(super) fn cargo(&self) -> Command {
        self.way.command("cargo")
    }
}

impl Way {
    fn command(&self, tool: &str) -> Command {
        let mut command = match self {
            Self::Own => Command::new(std::env::var_os(tool.to_uppercase()).unwrap_or_else(|| tool.into())),
            Self::Rustup(toolchain) => {
                let mut command = Command::new("rustup");
                command.args(["run", toolchain, tool]);
                command
            }
            Self::Unpacked(folder) => {
                let mut command = Command::new(folder.join("usr/bin").join(tool));
                command.env("LD_LIBRARY_PATH", debian::libraries(folder));
                command.env("RUSTC", folder.join("usr/bin/rustc"));
                command
            }
        };
        if !matches!(self, Self::Own) {
            // What the cargo that runs us tells to those below it is of another compiler.
            let of_ours =
                ["CARGO", "RUSTC", "RUSTDOC", "RUSTUP_TOOLCHAIN", "RUSTC_WRAPPER", "RUSTC_BOOTSTRAP"];
            let keep = if matches!(self, Self::Unpacked(_)) { "RUSTC" } else { "" };
            of_ours.iter().filter(|name| **name != keep).for_each(|name| {
                command.env_remove(name);
            });
        }
        // Nor are our flags an author's.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
            command.env_remove(name);
        }
        command
    }
}

/// The one that builds the host.
pub(super) fn own() -> Result<Compiler> {
    Compiler::ask(Way::Own)
}

/// One of that age.
pub(super) fn find(age: Age, own: &Compiler, from: Option<Source>) -> Result<Compiler> {
    let least = oldest_of_the_contract()?;
    let mut why_not = Vec::new();
    for source in [Source::Rustup, Source::Debian] {
        if from.is_some_and(|from| from != source) {
            continue;
        }
        let found = match source {
            Source::Rustup => of_rustup(age, own.minor, least),
            Source::Debian => debian::unpacked(|minor| age.fits(minor, own.minor, least)),
        };
        match found.and_then(Compiler::ask) {
            Ok(compiler) if age.fits(compiler.minor, own.minor, least) => return Ok(compiler),
            Ok(other) => why_not.push(format!("{source:?} has {}", other.told)),
            Err(why) => why_not.push(format!("{source:?}: {why:#}")),
        }
    }
    bail!("{}", why_not.join("; "))
}

/// A toolchain that rustup has, or brings.
fn of_rustup(age: Age, own: u32, least: u32) -> Result<Way> {
    let listed = Command::new("rustup").args(["toolchain", "list"]).output().context("there is no rustup")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let names = listed.lines().filter_map(|line| line.split(' ').next());
    // `1.85.0-x86_64-unknown-linux-gnu`; what is called `stable` may be another tomorrow.
    let fitting = names.filter(|name| minor_of(name).is_some_and(|minor| age.fits(minor, own, least)));
    if let Some(name) = fitting.min_by_key(|name| minor_of(name)) {
        return Ok(Way::Rustup(name.to_owned()));
    }
    let wanted = format!("1.{}.0", if age == Age::Older { least } else { own + 1 });
    println!("Installing {wanted} by rustup; `rustup toolchain uninstall {wanted}` takes it away again ...");
    let mut install = Command::new("rustup");
    install.args(["toolchain", "install", &wanted, "--profile", "minimal", "--no-self-update"]);
    let output = install.stdin(Stdio::null()).output().context("there is no rustup")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let error = said.lines().find(|line| line.starts_with("error")).unwrap_or("it does not say why");
        bail!("failed to install {wanted}: {error}");
    }
    Ok(Way::Rustup(wanted))
}

/// The minor version that the contract says it is built by.
fn oldest_of_the_contract() -> Result<u32> {
    let manifest = std::fs::read_to_string(root().join("plugin-api/Cargo.toml"))?;
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""));
    line.and_then(|version| minor_of(version.trim_end_matches('"'))).context("the contract names no compiler")
}

/// `1.85.0` and what goes on so: 85.
pub(super) fn minor_of(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("1.")?;
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_read_from_whatever_names_it() {
        assert_eq!(minor_of("1.85.0-x86_64-unknown-linux-gnu"), Some(85));
        assert_eq!(minor_of("1.85"), Some(85));
        assert_eq!(minor_of("stable-x86_64-unknown-linux-gnu"), None);
    }

    #[test]
    fn older_is_not_too_old_and_newer_is_newer() {
        let fits = |age: Age| move |minor: &u32| age.fits(*minor, 95, 85);
        assert_eq!((80..100).filter(fits(Age::Older)).collect::<Vec<_>>(), (85..95).collect::<Vec<_>>());
        assert_eq!((80..100).filter(fits(Age::Newer)).collect::<Vec<_>>(), (96..100).collect::<Vec<_>>());
    }
}
