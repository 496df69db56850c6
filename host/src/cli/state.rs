//! `hotbay state`: sealed state at rest. To look at it takes no host and no key.

mod change;
mod content;
mod diff;
mod offline;
mod verify;

use std::path::{Path, PathBuf};
use std::time::Duration;

use hotbay_state::{Header, Listed, Store};
use serde::Serialize;

use super::args;
use super::output::{Output, one_line, or_dash};
use super::when::stamp_and_age;
use crate::PlainState;
use crate::control::client::Client;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::{Code, Trouble, available, shown};
pub(super) use offline::{Offline, failed};

/// A snapshot as it is shown. The header is what the file says of itself: only who has the key can tell whether it
/// was changed.
#[derive(Debug, Serialize)]
struct Shown {
    service: String,
    file: PathBuf,
    bytes: u64,
    header: Option<Header>,
    #[serde(serialize_with = "as_text")]
    error: Option<Trouble>,
    /// The code of that.
    code: Option<String>,
    /// What is kept beside it, newest first.
    older: Vec<Shown>,
    /// What was damaged and gone back from.
    quarantined: Vec<Quarantined>,
    /// What was set aside, or replaced by a restore or an import.
    aside: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Quarantined {
    file: PathBuf,
    reason: String,
}

impl From<Listed> for Shown {
    fn from(listed: Listed) -> Self {
        let (header, error) = match listed.header {
            Ok(header) => (Some(header), None),
            Err(error) => (None, Some(Trouble::from(error))),
        };
        let (code, _) = shown(error.as_ref().map(|error| error.code));
        let (older, quarantined, aside) = (Vec::new(), Vec::new(), Vec::new());
        Shown {
            service: listed.service,
            file: listed.path,
            bytes: listed.bytes,
            header,
            error,
            code,
            older,
            quarantined,
            aside,
        }
    }
}

pub(super) fn state(
    at: &Offline,
    command: args::State,
    deadline: Duration,
    out: &Output,
) -> anyhow::Result<()> {
    let client = || Client::new(&at.config.home, deadline);
    match command {
        args::State::List => list(at, out),
        args::State::Show { name } => show(at, &name, out),
        args::State::Diff { name, from, to, plain } => diff::diff(at, &name, from, to, plain, out),
        args::State::Export { name, file, at: sequence, plain } => {
            content::export(at, &name, &file, sequence, plain, out)
        }
        args::State::Import { name, file, schema, from_version, .. } => {
            let plain = schema.zip(from_version).map(|(schema, version)| PlainState { schema, version });
            change::import(at, &client(), name, &file, plain, out)
        }
        args::State::Restore { name, to } => change::restore(at, &client(), name, to, out),
        args::State::Verify { name } => verify::verify(at, name.as_deref(), out),
        args::State::Snapshot { name } => change::snapshot(&client(), name, deadline, out),
        args::State::Prune { name, keep, aside } => change::prune(at, name.as_deref(), keep, aside, out),
    }
}

fn list(at: &Offline, out: &Output) -> anyhow::Result<()> {
    let all = snapshots(at)?;
    if out.is_json() {
        return out.json(&all);
    }
    let header = ["SERVICE", "VERSION", "SCHEMA", "SEQUENCE", "BYTES", "SEALED", "KEY", "OLDER", "PROBLEM"];
    out.table(&header, &all.iter().map(cells).collect::<Vec<_>>())
}

fn show(at: &Offline, name: &str, out: &Output) -> anyhow::Result<()> {
    let all = snapshots(at)?;
    let known: Vec<String> = all.iter().map(|shown| shown.service.clone()).collect();
    let Some(shown) = all.into_iter().find(|shown| shown.service == name) else {
        return Err(not_found(name, &at.config.home, &known).into());
    };
    if out.is_json() {
        out.json(&shown)?
    } else {
        out.text(&screen(&shown))?
    }
    match shown.error {
        Some(error) => Err(Failure::of(Exit::Failed, error).into()),
        None => Ok(()),
    }
}

/// Its words; the code stands beside them.
fn as_text<S: serde::Serializer>(error: &Option<Trouble>, into: S) -> Result<S::Ok, S::Error> {
    error.as_ref().map(|error| &error.text).serialize(into)
}

fn not_found(name: &str, home: &Path, known: &[String]) -> Failure {
    let known = available("there are", known);
    let message = format!("failed to find state of `{name}` in `{}`; {known}", home.display());
    Failure::new(Exit::NotFound, Code::NoSuchSnapshot, message)
}

/// A folder that was never made has no snapshots, and is not made by looking. One whose newest file is gone still has those before.
fn snapshots(at: &Offline) -> anyhow::Result<Vec<Shown>> {
    let Some(store) = at.store()? else { return Ok(Vec::new()) };
    let mut all: Vec<Shown> = store.list().map_err(failed)?.into_iter().map(Shown::from).collect();
    for sealed in store.sealed().map_err(failed)? {
        if !all.iter().any(|shown| shown.service == sealed.service) {
            all.push(Shown {
                file: store.path(&sealed.service),
                service: sealed.service,
                bytes: 0,
                header: None,
                code: Some(Code::StateGone.to_string()),
                error: Some(Trouble::new(
                    Code::StateGone,
                    "failed to find the newest snapshot: the file is gone, or was set aside",
                )),
                older: Vec::new(),
                quarantined: Vec::new(),
                aside: Vec::new(),
            });
        }
    }
    all.sort_by(|a, b| a.service.cmp(&b.service));
    for shown in &mut all {
        beside(&store, shown)?;
    }
    Ok(all)
}

fn beside(store: &Store, shown: &mut Shown) -> anyhow::Result<()> {
    let newest = shown.header.as_ref().map(|header| header.sequence);
    let older = store.older(&shown.service).map_err(failed)?.into_iter().map(Shown::from);
    // After a crash between two steps the newest is there under its number, too.
    shown.older =
        older.filter(|old| newest.is_none() || old.header.as_ref().map(|h| h.sequence) != newest).collect();
    let quarantined = store.quarantined(&shown.service).map_err(failed)?;
    shown.quarantined = quarantined.into_iter().map(|(file, reason)| Quarantined { file, reason }).collect();
    let is_aside = |listed: &Listed| {
        listed.service == shown.service
            && listed.path != shown.file
            && listed.path.parent() == Some(store.folder())
    };
    let headers = store.headers().map_err(failed)?.into_iter();
    shown.aside = headers.filter(is_aside).map(Shown::from).collect();
    Ok(())
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
        shown.older.len().to_string(),
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
    for old in &shown.older {
        line(
            "older",
            match (&old.header, &old.error) {
                (Some(header), _) => format!(
                    "{}, sealed {}: {} bytes in schema {} by {}",
                    header.sequence,
                    stamp_and_age(header.created_unix_ms),
                    header.plain_len,
                    header.schema,
                    header.plugin_version
                ),
                (None, error) => format!("{}: {}", old.file.display(), error.as_deref().unwrap_or_default()),
            },
        );
    }
    for aside in &shown.aside {
        let file = aside.file.display();
        line(
            "aside",
            match (&aside.header, &aside.error) {
                (Some(header), _) => {
                    format!("{}, sealed {}: {file}", header.sequence, stamp_and_age(header.created_unix_ms))
                }
                (None, error) => format!("{file}: {}", error.as_deref().unwrap_or_default()),
            },
        );
    }
    for Quarantined { file, reason } in &shown.quarantined {
        line("damaged", format!("{}: {reason}", file.display()));
    }
    lines.join("\n")
}
