//! hot-lib-reloader: the call that its macro writes, which takes a lock and looks the symbol up; and its reload.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use hotbay_bench::{Peer, REPLY, REQUEST, Reload, Row, library, timed};
use tempfile::TempDir;

/// How long a reload may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the libraries are that are watched: the macro wants to know it without being told.
static WATCHED: OnceLock<PathBuf> = OnceLock::new();

fn watched() -> &'static Path {
    WATCHED.get().map_or(Path::new("."), PathBuf::as_path)
}

#[allow(
    dead_code,
    missing_docs,
    static_mut_refs,
    unreachable_pub,
    unsafe_code,
    clippy::all,
    clippy::multiple_unsafe_ops_per_block,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    reason = "what the macro writes"
)]
mod generated {
    /// As its guide has it: a change counts when half a second has passed without another.
    #[hot_lib_reloader::hot_module(dylib = "usual", lib_dir = super::super::watched())]
    pub(super) mod usual {
        #[hot_functions]
        extern "Rust" {
            pub fn add(request: &[u8], reply: &mut Vec<u8>);
            pub fn version() -> u32;
        }
    }

    /// With as little of that as there may be between two writes of one file.
    #[hot_lib_reloader::hot_module(dylib = "soon", lib_dir = super::super::watched(), file_watch_debounce = 10)]
    pub(super) mod soon {
        #[hot_functions]
        extern "Rust" {
            pub fn version() -> u32;
        }
    }
}

use generated::{soon, usual};

pub(crate) fn peer(libraries: &Path) -> Result<Peer> {
    let folder = tempfile::Builder::new().prefix("hotbay-peers-").tempdir()?;
    let versions = ["reloaded", "reloaded_next"].map(|name| fs::read(library(libraries, name)));
    let [one, two] = versions;
    let versions = [one.context("failed to read a version")?, two.context("failed to read a version")?];
    for name in ["usual", "soon"] {
        fs::write(library(folder.path(), name), &versions[0])?;
    }
    WATCHED.set(folder.path().to_owned()).ok().context("prepared twice")?;
    let folder = Arc::new(folder);
    // The watching threads begin here, on no processor of their own.
    let mut reply = Vec::with_capacity(64);
    usual::add(&REQUEST, &mut reply);
    ensure!(reply.len() == REPLY, "the library answered with {} bytes", reply.len());
    soon::version();
    let kept = Arc::clone(&folder);
    let row = Row::new("hot-lib-reloader", move |calls| {
        let _kept = &kept;
        timed(calls, || {
            reply.clear();
            usual::add(black_box(&REQUEST), &mut reply);
            black_box(&reply);
        })
    });
    let reloads = vec![
        reload("reload, hot-lib-reloader", "usual", usual::version, versions.clone(), &folder),
        reload("reload, hot-lib-reloader, 10 ms", "soon", soon::version, versions, &folder),
    ];
    Ok(Peer { rows: vec![row.over("dyn")], reloads })
}

/// Puts the other version in the place of the library, and calls until it answers.
fn reload(
    name: &'static str,
    plugin: &'static str,
    version: fn() -> u32,
    versions: [Vec<u8>; 2],
    folder: &Arc<TempDir>,
) -> Reload {
    let folder = Arc::clone(folder);
    let mut next = 1;
    Reload::new(name, move || {
        let beside = folder.path().join(format!("{plugin}.next"));
        fs::write(&beside, &versions[next])?;
        next = 1 - next;
        let before = version();
        let renamed = Instant::now();
        fs::rename(&beside, library(folder.path(), plugin))?;
        while version() == before {
            let late = renamed.elapsed() > PATIENCE;
            ensure!(!late, "the new version did not answer within {} s", PATIENCE.as_secs());
        }
        Ok(renamed.elapsed())
    })
}
