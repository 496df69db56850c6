//! `cargo xtask up`: a host with the example plugins, in the foreground.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::bay::{drop_in, library_name};
use crate::cargo::{self, root};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The folder that the plugins are dropped into
    #[arg(long, value_name = "DIR", default_value = "plugins")]
    plugins: PathBuf,
}

pub(crate) fn run(options: &Options) -> Result<()> {
    let built = cargo::build()?;
    let plugins = root().join(&options.plugins);
    fs::create_dir_all(&plugins).with_context(|| format!("failed to make `{}`", plugins.display()))?;
    drop_in(&built.echo, &plugins, &library_name("echo"))?;
    drop_in(&built.logger, &plugins, &library_name("logger"))?;

    let shown = |path: &Path| path.strip_prefix(root()).unwrap_or(path).display().to_string();
    let (hotbay, folder) = (shown(&built.hotbay), options.plugins.display());
    println!("echo 1.0.0 and logger are in `{folder}`. From another terminal, here:\n");
    println!("  {hotbay} list");
    println!("  {hotbay} call echo.handle -d '\"hello\"'");
    println!("  {hotbay} call echo.count");
    println!("  cp {} {folder}/{}", shown(&built.echo_v2), library_name("echo"));
    println!("  {hotbay} call echo.by_method");
    println!("  {hotbay} history echo\n\nCtrl-C stops the host.\n");

    let mut host = Command::new(&built.hotbay);
    host.arg("run").arg("--plugins").arg(&options.plugins).current_dir(root());
    in_our_place(host)
}

/// The host takes over this process, and with it the terminal and Ctrl-C.
#[cfg(unix)]
fn in_our_place(mut host: Command) -> Result<()> {
    use std::os::unix::process::CommandExt;
    Err(host.exec()).context("failed to run the host")
}

// Windows: a process cannot be replaced; Ctrl-C reaches both of us.
#[cfg(windows)]
fn in_our_place(mut host: Command) -> Result<()> {
    let status = host.status().context("failed to run the host")?;
    anyhow::ensure!(status.success(), "the host ended with {status}");
    Ok(())
}
