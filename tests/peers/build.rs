//! Writes what `polyplugc generate` writes for polyplug's host and plugin.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use polyplug_codegen::{GenerateConfig, Lang, Side};

fn main() -> Result<()> {
    println!("cargo::rerun-if-changed=contract");
    let out =
        PathBuf::from(std::env::var_os("OUT_DIR").context("cargo names the folder for what is written")?);
    write("contract/api.toml", Side::Host, &out)?;
    write("contract/bundle.toml", Side::Guest, &out)?;
    // By these, code in the source folder includes modules of several files.
    std::fs::write(out.join("host.rs"), "#[path = \"host/mod.rs\"]\npub mod host;\n")?;
    std::fs::write(out.join("guest.rs"), "#[path = \"guest/mod.rs\"]\npub mod guest;\n")?;
    Ok(())
}

fn write(from: &str, side: Side, out: &Path) -> Result<()> {
    let config =
        GenerateConfig { api_toml: PathBuf::from(from), lang: Lang::Rust, side, out_dir: out.to_owned() };
    let files = polyplugc::generate(config).with_context(|| format!("failed to read `{from}`"))?;
    polyplugc::write_output(&files, out).with_context(|| format!("failed to write what `{from}` says"))?;
    Ok(())
}
