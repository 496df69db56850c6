//! `cargo xtask cross-toolchain`: a plugin that an older compiler built, and one that a newer compiler built, in one host.

mod compiler;
mod debian;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use crate::bay::{Bay, library_name};
use crate::cargo;
use compiler::{Age, Compiler, own};

/// The crate that `hotbay new` writes for it, and its service.
const SERVICE: &str = "greeter";

/// Load plugins that an older and a newer stable compiler built, call them, and swap between them with their state
///
/// The plugin is the one that `hotbay new` writes, built as its author would build it: alone, with its own lock file, by the older compiler's
/// and the newer compiler's own cargo. A host that this workspace's compiler built loads one after the other in place of each other, calls each,
/// and hands the state on: from its own compiler's to the older one's, to the newer one's, back to the older one's and to its own.
///
/// The older compiler is the oldest that the contract allows, the newer one the next minor after the host's. They are looked for in what rustup has
/// installed; then rustup is asked to install them, without any part but compiler and cargo; then Debian's packages are tried (`rustc` and `rustc-web`), which are
/// unpacked below `target/toolchains` and not installed.
///
/// Ends with 1 when a plugin did not load, answer, or hand its state on, or when a compiler is not to be had.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Say loudly what was not tested, and succeed, where a compiler is not to be had
    #[arg(long)]
    where_possible: bool,
    /// Look only there
    #[arg(long, value_enum)]
    from: Option<compiler::Source>,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let own = own()?;
    let (mut others, mut missing) = (Vec::new(), 0);
    for age in [Age::Older, Age::Newer] {
        match compiler::find(age, &own, options.from) {
            Ok(compiler) => others.push(compiler),
            Err(why) => {
                println!(
                    "WARNING cross-toolchain: NOT TESTED with {age} compiler than {}: {why:#}",
                    own.told
                );
                missing += 1;
            }
        }
    }
    if !others.is_empty() {
        println!("Building the host by {} ...", own.told);
        let hotbay = cargo::artefacts_of(&["-p", "hotbay", "--bin", "hotbay"])?.take("hotbay")?;
        let mut bay = Bay::of(&hotbay, SERVICE)?;
        if let Err(error) = go_through(&mut bay, &own, &others) {
            eprintln!("{}", bay.log());
            return Err(error);
        }
    }
    if missing > 0 && !options.where_possible {
        bail!("failed to test with {missing} of 2 compilers; `--where-possible` leaves it at that");
    }
    Ok(())
}

/// Each takes the place of the one before, with its state.
fn go_through(bay: &mut Bay<'_>, own: &Compiler, others: &[Compiler]) -> Result<()> {
    bay.run(&["new", SERVICE])?;
    // There and back, so that each is both the one that hands over and the one that takes over.
    let mut order: Vec<&Compiler> = std::iter::once(own).chain(others).collect();
    order.extend(others.first());
    order.push(own);
    bay.start()?;
    for (at, compiler) in order.iter().enumerate() {
        let version = format!("{}.0.0", at + 1);
        let library = built(bay, compiler, &version)?;
        bay.drop_in(&library)?;
        let generation = bay.wait_for_version(&version)?;
        let by = bay.json(&["status", SERVICE])?["manifest"]["toolchain"].clone();
        ensure!(by.as_str() == Some(&compiler.told), "`{by}` built what runs, and not {}", compiler.told);
        let call = |method: &str, data: &str| bay.run(&["call", &format!("{SERVICE}.{method}"), "-d", data]);
        let (before, said) = (call("count", "")?, call("greet", "Ada")?);
        ensure!(before == at.to_string(), "it has greeted {before} times, and {at} went before");
        ensure!(said == "Hello, Ada!", "it answers `{said}`");
        let told = match at.checked_sub(1) {
            None => "loaded, called".to_owned(),
            Some(before) => {
                let receipt = bay.wait_for_receipt(generation)?;
                let kept =
                    ["outcome", "retired"].map(|of| receipt[of].as_str().unwrap_or_default().to_owned());
                ensure!(
                    kept == ["committed", "unloaded"] && receipt["requests"]["lost"] == 0,
                    "the swap ended as {kept:?}: {} {}",
                    receipt["reason"],
                    receipt["retired_reason"]
                );
                format!("loaded, called, took the state over from what {} built", order[before].told)
            }
        };
        println!("  ✓ {}: {told}", compiler.told);
    }
    let status = bay.stop()?;
    ensure!(!cfg!(unix) || status.success(), "the host ended with {status}");
    Ok(())
}

/// The plugin in this version, by this compiler.
fn built(bay: &Bay<'_>, compiler: &Compiler, version: &str) -> Result<PathBuf> {
    let folder = bay.path(SERVICE);
    for file in ["Cargo.toml", "Cargo.lock"] {
        with_version(&folder.join(file), version)?;
    }
    // What each compiler built is kept: its dependencies take longest.
    let target = cargo::target_folder()?.join("cross-toolchain").join(&compiler.version);
    let mut command = compiler.cargo();
    command.args(["build", "--locked", "--quiet", "--target-dir"]).arg(&target).current_dir(&folder);
    let status = command.status().with_context(|| format!("failed to run the cargo of {}", compiler.told))?;
    ensure!(status.success(), "{} does not build what `hotbay new` writes", compiler.told);
    Ok(target.join("debug").join(library_name(SERVICE)))
}

/// Gives the crate a version: it stands behind its name, in its manifest as in its lock file.
fn with_version(file: &Path, version: &str) -> Result<()> {
    let text = fs::read_to_string(file)?;
    let name = format!("name = \"{SERVICE}\"\nversion = \"");
    let (before, behind) = text.split_once(&name).context("the crate has no version")?;
    let (_, behind) = behind.split_once('"').context("its version has no end")?;
    fs::write(file, format!("{before}{name}{version}\"{behind}"))?;
    Ok(())
}
