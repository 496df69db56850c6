//! What changes state at rest: by the host where one runs, else by the files, from which hosts are kept away meanwhile.

use std::path::{Path, PathBuf};
use std::time::Duration;

use hotbay_state::{KeyRing, StoreError};
use serde::Serialize;

use super::{Offline, failed};
use crate::PlainState;
use crate::cli::args::millis;
use crate::cli::change::existing;
use crate::cli::failed::Otherwise as _;
use crate::cli::output::{Output, narrate, one_line};
use crate::control::client::{Client, ClientError};
use crate::control::exit::Exit;
use crate::control::protocol::{Failure, Request};
use crate::error::{Code, Trouble};
use crate::kernel::snapshots::ImportError;
use crate::kernel::view::Snapshot;

/// What `prune` did.
#[derive(Debug, Serialize)]
struct Pruned {
    service: String,
    removed: usize,
}

pub(super) fn snapshot(
    client: &Client,
    name: String,
    deadline: Duration,
    out: &Output,
) -> anyhow::Result<()> {
    let request = Request::Snapshot { name: name.clone(), deadline_ms: millis(deadline) };
    let snapshot: Snapshot = client.ask(&request)?;
    let told = format!("{name}: snapshot {} is on the disk, {} bytes", snapshot.sequence, snapshot.bytes);
    tell(&snapshot, &told, out)
}

pub(super) fn restore(
    at: &Offline,
    client: &Client,
    name: String,
    sequence: u64,
    out: &Output,
) -> anyhow::Result<()> {
    let asked = client.ask::<Snapshot>(&Request::Restore { name: name.clone(), sequence });
    let (snapshot, by_host) = match asked {
        Err(ClientError::Unreachable { .. }) => {
            let _lock = at.lock()?;
            let snapshots = at.snapshots(at.store_of(&name)?)?;
            (snapshots.restore(&name, sequence).map_err(failed)?.into(), false)
        }
        done => (done?, true),
    };
    tell_newest(&name, &format!("snapshot {sequence}"), &snapshot, by_host, out)
}

pub(super) fn import(
    at: &Offline,
    client: &Client,
    name: String,
    file: &Path,
    plain: Option<PlainState>,
    out: &Output,
) -> anyhow::Result<()> {
    existing(file)?;
    let open = std::fs::File::open(file);
    let mut source = open.otherwise(Code::NotRead, || format!("failed to read `{}`", file.display()))?;
    let request = Request::Import { name: name.clone(), plain: plain.clone() };
    let (snapshot, by_host) = match client.stream::<Snapshot>(&request, &mut source) {
        // Nothing was read then.
        Err(ClientError::Unreachable { .. }) => {
            let _lock = at.lock_anew()?;
            let store = hotbay_state::Store::open(at.config.home.join("state")).map_err(failed)?;
            let snapshots = at.snapshots(store)?;
            let max = at.config.state.max_bytes;
            let imported = snapshots.import(&name, &mut source, plain.as_ref(), max);
            let header = imported.map_err(|error| match error {
                ImportError::Store(error) => failed(error),
                error @ ImportError::Capsule { .. } => told_of(file, Failure::of(Exit::Failed, error)).into(),
                error @ ImportError::TooLarge { .. } => {
                    told_of(file, Failure::of(Exit::Refused, error)).into()
                }
            })?;
            (header.into(), false)
        }
        Err(ClientError::Failed(failure)) if is_of_the_file(&failure) => {
            return Err(told_of(file, failure).into());
        }
        done => (done?, true),
    };
    tell_newest(&name, &format!("`{}`", file.display()), &snapshot, by_host, out)
}

/// Whether the host says of what it was given that it cannot be taken. It does not know the file's name.
fn is_of_the_file(failure: &Failure) -> bool {
    const CODES: [Code; 11] = [
        Code::NotState,
        Code::StateTruncated,
        Code::StateNewer,
        Code::StateHeader,
        Code::StateOfAnother,
        Code::StateWrongKey,
        Code::StateChanged,
        Code::StateMisplaced,
        Code::StateTrailing,
        Code::StateUnread,
        Code::StateTooLong,
    ];
    failure.code.as_deref().and_then(|code| code.parse().ok()).is_some_and(|code: Code| CODES.contains(&code))
}

fn told_of(file: &Path, failure: Failure) -> Failure {
    Failure { message: format!("{}: {}", file.display(), failure.message), ..failure }
}

fn tell_newest(
    name: &str,
    what: &str,
    snapshot: &Snapshot,
    by_host: bool,
    out: &Output,
) -> anyhow::Result<()> {
    let next = if by_host { format!("; `hotbay start {name}` goes on from it") } else { String::new() };
    tell(snapshot, &format!("{name}: {what} is the newest now, as {}{next}", snapshot.sequence), out)
}

fn tell(snapshot: &Snapshot, told: &str, out: &Output) -> anyhow::Result<()> {
    if out.is_json() {
        return out.json(snapshot);
    }
    narrate(&one_line(told));
    Ok(())
}

pub(super) fn prune(
    at: &Offline,
    name: Option<&str>,
    keep: Option<usize>,
    aside: bool,
    out: &Output,
) -> anyhow::Result<()> {
    at.existing_home()?;
    let keep = keep.unwrap_or(at.config.state.keep);
    let mut services: Vec<String> = match name {
        Some(name) => {
            at.store_of(name)?;
            vec![name.to_owned()]
        }
        None => match at.store()? {
            Some(store) => store.sealed().map_err(failed)?.into_iter().map(|sealed| sealed.service).collect(),
            None => Vec::new(),
        },
    };
    services.dedup();
    let (mut all, mut refused) = (Vec::new(), Vec::new());
    for service in services {
        let Some(store) = at.store()? else { continue };
        // Whatever goes may be what the newest is gone back from to.
        match opens(&store, &at.keys()?, &service) {
            Ok(true) => {}
            Ok(false) => {
                let text =
                    format!("failed to prune `{service}`: its newest snapshot is gone, or was set aside");
                refused.push(Trouble::new(Code::StateGone, text));
                continue;
            }
            Err(error) => {
                let what = format!("failed to prune `{service}`, whose newest snapshot does not open");
                refused.push(Trouble::from(error).within(what));
                continue;
            }
        }
        let mut removed = store.prune(&service, keep).map_err(failed)?;
        if aside {
            removed += out_of_the_way(&store, &service)?;
        }
        all.push(Pruned { service, removed });
    }
    if out.is_json() {
        out.json(&all)?;
    } else {
        let row = |pruned: &Pruned| vec![pruned.service.clone(), pruned.removed.to_string()];
        out.table(&["SERVICE", "REMOVED"], &all.iter().map(row).collect::<Vec<_>>())?;
    }
    let Some(first) = refused.first() else { return Ok(()) };
    let all: Vec<&str> = refused.iter().map(|refused| &**refused).collect();
    Err(Failure::of(Exit::Refused, first.told(|_| all.join("; "))).into())
}

/// Whether a service has a newest snapshot, of which every byte is authentic. It is gone through, and not held.
fn opens(store: &hotbay_state::Store, keys: &KeyRing, service: &str) -> Result<bool, StoreError> {
    let Some(opener) = store.open_at(keys, service, None)? else { return Ok(false) };
    let load = |source| StoreError::Load { path: store.path(service), source };
    opener.finish().map(|_| true).map_err(load)
}

/// Removes what was set aside of a service, and what lies in quarantine.
fn out_of_the_way(store: &hotbay_state::Store, service: &str) -> anyhow::Result<usize> {
    let asides = store.sealed().map_err(failed)?.into_iter().filter(|sealed| {
        sealed.service == service && sealed.sequence.is_none() && sealed.path != store.path(service)
    });
    let mut paths: Vec<PathBuf> = asides.map(|sealed| sealed.path).collect();
    for (path, _) in store.quarantined(service).map_err(failed)? {
        let mut reason = path.clone().into_os_string();
        reason.push(".reason");
        // It may be gone already, and says nothing by itself.
        let _ = std::fs::remove_file(reason);
        paths.push(path);
    }
    for path in &paths {
        let removed = std::fs::remove_file(path);
        removed.otherwise(Code::NotWritten, || format!("failed to remove `{}`", path.display()))?;
    }
    Ok(paths.len())
}
