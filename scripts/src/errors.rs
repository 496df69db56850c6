//! `cargo xtask errors`: writes `host/ERRORS.md` anew, from what the host says of its codes.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::cargo::{cargo, root};

pub(crate) fn run() -> Result<()> {
    let arguments = ["run", "--quiet", "--package", "hotbay", "--", "explain", "--page"];
    let told = cargo(&arguments).output().context("failed to run cargo")?;
    ensure!(
        told.status.success(),
        "failed to ask the host: {}",
        String::from_utf8_lossy(&told.stderr).trim()
    );
    let page = root().join("host").join("ERRORS.md");
    fs::write(&page, told.stdout).with_context(|| format!("failed to write `{}`", page.display()))?;
    println!("wrote {}", page.display());
    Ok(())
}
