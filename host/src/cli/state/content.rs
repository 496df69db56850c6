//! One snapshot as a file. Content is written in the clear only to who asks for it.

use std::io::{self, Write};
use std::path::Path;

use hotbay_state::{Sealer, StoreError};

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
    let mut write = |out: &mut dyn Write| {
        if plain {
            return io::copy(&mut opener, out).map(drop);
        }
        let sealer = Sealer::new(keys.primary(), &header.stamp(), Some(header.plain_len), out);
        let mut sealer = sealer.map_err(io::Error::other)?;
        io::copy(&mut opener, &mut sealer)?;
        sealer.finish().map(drop).map_err(io::Error::other)
    };
    if file == Path::new("-") {
        // What was given out cannot be taken back: it is gone through once before.
        let path = store.path(name);
        open()?.finish().map_err(|source| failed(StoreError::Load { path, source }))?;
        return out.written(write);
    }
    if file.exists() {
        let message = format!("failed to write `{}`: it is there already; name another", file.display());
        return Err(Failure::new(Exit::Refused, Code::FileThere, message).into());
    }
    // Also what is sealed is opened: a file that cannot be is no copy to keep.
    hotbay_state::write_durably_by(file, std::time::Duration::ZERO, &mut write)
        .otherwise(Code::NotWritten, || format!("failed to write `{}`", file.display()))?;
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

pub(super) fn gone(name: &str) -> anyhow::Error {
    let message =
        format!("failed to find the newest snapshot of `{name}`: the file is gone, or was set aside");
    Failure::new(Exit::NotFound, Code::StateGone, message).into()
}
