//! Compilers from Debian's packages, unpacked and not installed: they would take each other's place, and rustup's.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::compiler::{Way, minor_of};
use crate::cargo::target_folder;

/// The packages that a compiler comes in: the distribution's own, and the one that its browsers are built with, which is newer.
const PACKAGES: [&str; 2] = ["rustc", "rustc-web"];

/// The oldest compiler in the packages that fits, unpacked with its cargo and the libraries that this system lacks.
pub(super) fn unpacked(fits: impl Fn(u32) -> bool) -> Result<Way> {
    let listed = Command::new("apt-cache").arg("madison").args(PACKAGES).stderr(Stdio::null()).output();
    let listed = listed.context("there is no apt-cache")?;
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    let packages = listed.lines().filter_map(|line| {
        let mut fields = line.split('|').map(str::trim);
        let (name, version) = (fields.next()?, fields.next()?);
        Some((minor_of(version)?, name.to_owned(), version.to_owned()))
    });
    let found = packages.filter(|(minor, ..)| fits(*minor)).min();
    let (minor, name, version) = found.context("no package has one; `apt-get update` may know more")?;
    let folder = target_folder()?.join("toolchains").join(format!("{name}-{version}"));
    if !folder.exists() {
        println!("Unpacking {name} {version} below `{}` ...", folder.display());
        let fresh = folder.with_extension("fresh");
        unpack(&name, &version, minor, &fresh)?;
        fs::rename(&fresh, &folder)?;
    }
    Ok(Way::Unpacked(folder))
}

/// Where such a compiler finds its libraries.
pub(super) fn libraries(folder: &Path) -> OsString {
    let lib = folder.join("usr/lib");
    let of_the_machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    let folders = [lib.join(&of_the_machine), folder.join("lib").join(&of_the_machine), lib];
    std::env::join_paths(folders).unwrap_or_default()
}

fn unpack(name: &str, version: &str, minor: u32, into: &Path) -> Result<()> {
    if into.exists() {
        fs::remove_dir_all(into)?;
    }
    let archives = into.join("archives");
    fs::create_dir_all(archives.join("partial"))?;
    let suffix = name.strip_prefix("rustc").unwrap_or_default();
    let packages = [
        name.to_owned(),
        format!("cargo{suffix}"),
        format!("libstd-rust{suffix}-dev"),
        format!("libstd-rust{suffix}-1.{minor}"),
    ];
    // With what they depend on and this system has not. Nothing is installed, so no lock is needed, nor to be root.
    let mut fetch = Command::new("apt-get");
    fetch.args(["install", "--download-only", "--yes", "--no-install-recommends"]);
    fetch.args(["-o", "Debug::NoLocking=1", "-o", "APT::Sandbox::User="]);
    fetch.arg("-o").arg(format!("Dir::Cache::Archives={}/", archives.display()));
    fetch.args(packages.iter().map(|package| format!("{package}={version}")));
    run(&mut fetch)?;
    let archives: Vec<PathBuf> = fs::read_dir(archives)?.flatten().map(|entry| entry.path()).collect();
    for archive in archives.iter().filter(|path| path.extension().is_some_and(|end| end == "deb")) {
        run(Command::new("dpkg-deb").arg("-x").arg(archive).arg(into))?;
    }
    fs::remove_dir_all(into.join("archives"))?;
    Ok(())
}

fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("failed to run {program}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let last = said.lines().rfind(|line| !line.is_empty()).unwrap_or_default();
        bail!("{program} ended with {}: {last}", output.status);
    }
    Ok(())
}
