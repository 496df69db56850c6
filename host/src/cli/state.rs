//! `hotbay state`: what can be said of sealed state without its key.

use std::path::{Path, PathBuf};

use hotbay_state::{Header, Listed, Store};
use serde::Serialize;

use super::args;
use super::output::{Output, one_line, or_dash};
use super::when::stamp_and_age;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;

/// A snapshot as it is shown. The header is what the file says of itself: only who has the key can tell whether it
/// was changed.
#[derive(Debug, Serialize)]
struct Shown {
    service: String,
    file: PathBuf,
    bytes: u64,
    header: Option<Header>,
    error: Option<String>,
}

impl From<Listed> for Shown {
    fn from(listed: Listed) -> Self {
        let (header, error) = match listed.header {
            Ok(header) => (Some(header), None),
            Err(error) => (None, Some(format!("failed to {:#}", anyhow::Error::new(error)))),
        };
        Shown { service: listed.service, file: listed.path, bytes: listed.bytes, header, error }
    }
}

pub(super) fn state(home: &Path, command: args::State, out: &Output) -> anyhow::Result<()> {
    let all = snapshots(&home.join("state"))?;
    match command {
        args::State::List if out.is_json() => out.json(&all),
        args::State::List => {
            let header = ["SERVICE", "VERSION", "SCHEMA", "SEQUENCE", "BYTES", "SEALED", "KEY", "PROBLEM"];
            out.table(&header, &all.iter().map(cells).collect::<Vec<_>>())
        }
        args::State::Show { name } => {
            let known: Vec<String> = all.iter().map(|shown| shown.service.clone()).collect();
            let Some(shown) = all.into_iter().find(|shown| shown.service == name) else {
                let known = if known.is_empty() { "there is none".to_owned() } else { known.join(", ") };
                let message = format!("failed to find state of `{name}` in `{}`: {known}", home.display());
                return Err(Failure::new(Exit::NotFound, message).into());
            };
            if out.is_json() {
                out.json(&shown)?
            } else {
                out.text(&screen(&shown))?
            }
            match shown.error {
                Some(error) => Err(Failure::new(Exit::Failed, error).into()),
                None => Ok(()),
            }
        }
    }
}

/// A folder that was never made has no snapshots, and is not made by looking.
fn snapshots(folder: &Path) -> anyhow::Result<Vec<Shown>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let failed = |error| anyhow::anyhow!("failed to {:#}", anyhow::Error::new(error));
    let listed = Store::open(folder).and_then(|store| store.list()).map_err(failed)?;
    Ok(listed.into_iter().map(Shown::from).collect())
}

fn cells(shown: &Shown) -> Vec<String> {
    let header = shown.header.as_ref();
    vec![
        one_line(&shown.service),
        or_dash(header.map(|header| &header.plugin_version)),
        or_dash(header.map(|header| header.schema)),
        or_dash(header.map(|header| header.sequence)),
        or_dash(header.map(|header| header.plain_len)),
        or_dash(header.map(|header| stamp_and_age(header.created_unix_ms))),
        or_dash(header.map(|header| &header.key_id)),
        shown.error.as_ref().map(|error| one_line(error)).unwrap_or_default(),
    ]
}

fn screen(shown: &Shown) -> String {
    let title = format!("{}: {} bytes in {}", shown.service, shown.bytes, shown.file.display());
    let mut lines = vec![one_line(&title)];
    let mut line = |what: &str, text: String| lines.push(format!("  {what:<10}  {}", one_line(&text)));
    if let Some(header) = &shown.header {
        line(
            "written by",
            format!("{} {}, generation {}", header.service, header.plugin_version, header.generation),
        );
        line("state", format!("{} bytes in schema {}", header.plain_len, header.schema));
        line("snapshot", format!("{}, sealed {}", header.sequence, stamp_and_age(header.created_unix_ms)));
        line("sealed by", format!("key {}, {}, format {}", header.key_id, header.cipher, header.format));
    }
    lines.join("\n")
}
