//! `hotbay new NAME`: a crate that builds anywhere, also without a network.

mod files;
mod lock;
mod name;
#[cfg(test)]
mod tests;

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs;
use std::io;
use std::path::Path;

use super::output::narrate;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use name::Name;

/// Written by `build.rs`.
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

pub(super) fn new(name: &str, api: Option<&str>) -> anyhow::Result<()> {
    let name = Name::new(name).map_err(|problem| {
        Failure::new(Exit::Usage, format!("failed to name a plugin `{name}`: {problem}"))
    })?;
    let api = files::Api::of(api)?;
    write(Path::new("."), &name, &api)?;

    let library = format!("target/release/{DLL_PREFIX}{}{DLL_SUFFIX}", name.library());
    let name = name.service();
    narrate(&format!(
        "wrote the plugin crate `{name}`; next:\n\
         \x20 cd {name}\n\
         \x20 cargo test\n\
         \x20 cargo build --release\n\
         \x20 hotbay add {library}          # to a host that runs: hotbay run\n\
         \x20 hotbay call {name}.greet -d Ada"
    ));
    Ok(())
}

/// Writes the crate below `parent`, whole or not at all.
fn write(parent: &Path, name: &Name, api: &files::Api) -> anyhow::Result<()> {
    let root = parent.join(name.service());
    fs::create_dir(&root).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            let message = format!("failed to create `{}`: it exists; nothing was written", root.display());
            Failure::new(Exit::Refused, message)
        }
        _ => Failure::new(Exit::Failed, format!("failed to create `{}`: {error}", root.display())),
    })?;
    for (path, bytes) in files::all(name, api) {
        let path = root.join(path);
        let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(&path, bytes));
        if let Err(error) = written {
            // It is ours from the first file on.
            let _ = fs::remove_dir_all(&root);
            return Err(anyhow::Error::new(error).context(format!("failed to write `{}`", path.display())));
        }
    }
    Ok(())
}
