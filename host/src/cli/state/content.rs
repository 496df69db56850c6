//! One snapshot as a file. Content is written in the clear only to who asks for it.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use hotbay_state::{Listed, OpenError, Opener, Sealer, Store, StoreError};

use super::{Offline, failed};
use crate::cli::failed::Otherwise as _;
use crate::cli::output::{Output, narrate, one_line};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::Code;

pub(super) fn export(
    at: &Offline,
    name: &str,
    file: &Path,
    sequence: Option<u64>,
    plain: bool,
    out: &Output,
) -> anyhow::Result<()> {
    let (store, keys) = (at.store_of(name)?, at.keys()?);
    let open = || {
        let opener = store.open_at(&keys, name, sequence).map_err(failed)?;
        opener.ok_or_else(|| gone(name))
    };
    let mut opener = open()?;
    let header = opener.header().clone();
    let path = path_of(&store, name, sequence)?;
    let damaged = |source| failed(StoreError::Load { path: path.clone(), source });
    // What is wrong with the snapshot is not to be told of the file that is written.
    let mut unopened = None;
    let mut write = |out: &mut dyn Write| {
        if plain {
            return pass(&mut opener, out, &mut unopened);
        }
        let sealer = Sealer::new(keys.primary(), &header.stamp(), Some(header.plain_len), out);
        let mut sealer = sealer.map_err(io::Error::other)?;
        pass(&mut opener, &mut sealer, &mut unopened)?;
        sealer.finish().map(drop).map_err(io::Error::other)
    };
    if file == Path::new("-") {
        // What was given out cannot be taken back: it is gone through once before.
        open()?.finish().map_err(damaged)?;
        return out.written(write);
    }
    if file.exists() {
        let message = format!("failed to write `{}`: it is there already; name another", file.display());
        return Err(Failure::new(Exit::Refused, Code::FileThere, message).into());
    }
    // Also what is sealed is opened: a file that cannot be is no copy to keep.
    let written = hotbay_state::write_durably_by(file, std::time::Duration::ZERO, &mut write);
    if let Some(source) = unopened {
        return Err(damaged(source));
    }
    written.otherwise(Code::NotWritten, || format!("failed to write `{}`", file.display()))?;
    let how = if plain { "in the clear" } else { "sealed" };
    let told = format!(
        "{name}: snapshot {} is in `{}`, {how}, {} bytes",
        header.sequence,
        file.display(),
        std::fs::metadata(file).map_or(0, |file| file.len())
    );
    narrate(&one_line(&told));
    if out.is_json() { out.json(&header) } else { Ok(()) }
}

/// The file that a snapshot is in: the newest, or the one of this number.
fn path_of(store: &Store, name: &str, sequence: Option<u64>) -> anyhow::Result<PathBuf> {
    let older = if sequence.is_some() { store.older(name).map_err(failed)? } else { Vec::new() };
    let is_it =
        |listed: &Listed| listed.header.as_ref().is_ok_and(|header| Some(header.sequence) == sequence);
    Ok(older.into_iter().find(is_it).map_or_else(|| store.path(name), |listed| listed.path))
}

/// Writes all that is opened. Why it cannot be opened stands in `unopened` then.
fn pass(opener: &mut Opener<File>, to: &mut dyn Write, unopened: &mut Option<OpenError>) -> io::Result<()> {
    loop {
        match opener.next_chunk() {
            Ok(Some(chunk)) => to.write_all(chunk)?,
            Ok(None) => return Ok(()),
            Err(error) => {
                *unopened = Some(error);
                return Err(io::Error::other("the snapshot cannot be opened"));
            }
        }
    }
}

pub(super) fn gone(name: &str) -> anyhow::Error {
    let message =
        format!("failed to find the newest snapshot of `{name}`: the file is gone, or was set aside");
    Failure::new(Exit::NotFound, Code::StateGone, message).into()
}
