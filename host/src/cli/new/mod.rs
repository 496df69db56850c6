//! `hotbay new NAME`: a crate that builds anywhere, also without a network.

mod files;
mod lock;
mod name;
#[cfg(test)]
mod tests;

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::failed::Otherwise as _;
use super::output::{narrate, quoted};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::Code;
use name::Name;

/// Written by `build.rs`.
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

pub(super) fn new(name: &str, api: Option<&str>) -> anyhow::Result<()> {
    let name = Name::new(name).map_err(|problem| {
        Failure::new(Exit::Usage, Code::NoPluginName, format!("failed to name a plugin `{name}`: {problem}"))
    })?;
    let api = files::Api::of(api)?;
    write(Path::new("."), &name, &api)?;

    narrate(&advice(&name, std::env::var_os("CARGO_TARGET_DIR").as_deref()));
    Ok(())
}

/// What to do next, from where the user stands: this is where `hotbay run` left its home folder.
fn advice(name: &Name, target: Option<&OsStr>) -> String {
    let folder = name.service();
    // As cargo takes it: a relative one is relative to where it is called.
    let target =
        target.filter(|target| !target.is_empty()).map_or(Path::new(folder).join("target"), PathBuf::from);
    let library = format!("{}/debug/{DLL_PREFIX}{}{DLL_SUFFIX}", target.display(), name.library());
    format!(
        "wrote the plugin crate `{folder}`; next:\n\
         \x20 cargo test --manifest-path {folder}/Cargo.toml\n\
         \x20 cargo build --manifest-path {folder}/Cargo.toml\n\
         \x20 hotbay add {}          # to a host that runs: hotbay run\n\
         \x20 hotbay call {folder}.greet -d Ada",
        quoted(&library)
    )
}

/// Writes the crate below `parent`, whole or not at all.
fn write(parent: &Path, name: &Name, api: &files::Api) -> anyhow::Result<()> {
    let root = parent.join(name.service());
    fs::create_dir(&root).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let message = format!("failed to create `{}`: it exists; nothing was written", root.display());
            Failure::new(Exit::Refused, Code::FileThere, message)
        }
        _ => {
            let message = format!("failed to create `{}`: {error}", root.display());
            Failure::new(Exit::Failed, Code::NotWritten, message)
        }
    })?;
    for (path, bytes) in files::all(name, api) {
        let path = root.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
        if let Err(error) = written {
            // It is ours from the first file on.
            let _ = fs::remove_dir_all(&root);
            return Err(error)
                .otherwise(Code::NotWritten, || format!("failed to write `{}`", path.display()));
        }
    }
    Ok(())
}
