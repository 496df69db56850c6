//! `hotbay keys`: the keys that seal state. None of them is ever shown.

use std::collections::BTreeMap;
use std::fs::File;

use hotbay_state::{KeyId, KeyRing, Store};
use serde::Serialize;

use super::args;
use super::output::{Output, narrate};
use super::state::{Offline, failed};
use crate::Rotated;
use crate::control::client::{Client, ClientError};
use crate::control::exit::Exit;
use crate::control::protocol::{Failure, Request};
use crate::error::Code;
use crate::host::keys;
use crate::kernel::snapshots::Snapshots;

/// A key, or the id of one that a file needs and nobody has.
#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    role: &'static str,
    bits: Option<usize>,
    /// Files that need it, of state at rest.
    files: usize,
}

pub(super) fn keys(at: &Offline, command: &args::Keys, client: &Client, out: &Output) -> anyhow::Result<()> {
    match command {
        args::Keys::Init => init(at, out),
        args::Keys::List => list(at, out),
        args::Keys::Rotate { resume: true } => reseal(at, at.lock()?, out),
        args::Keys::Rotate { resume: false } => rotate(at, client, out),
        args::Keys::Retire { id } => retire(at, client, id, out),
    }
}

fn init(at: &Offline, out: &Output) -> anyhow::Result<()> {
    let Some(path) = keys::file(&at.config) else {
        return Err(Failure::of(Exit::Refused, keys::not_in_a_file()).into());
    };
    if path.starts_with(&at.config.home) {
        crate::os::private_folder(&at.config.home)?;
    }
    let (ring, created) = KeyRing::load_or_create(&path).map_err(key_failed)?;
    if !created {
        let message = format!(
            "failed to make a key: `{}` holds one already; `hotbay keys rotate` makes another",
            path.display()
        );
        return Err(Failure::new(Exit::Refused, Code::KeyThere, message).into());
    }
    let id = ring.primary().id().to_string();
    tell(
        &rotated(&ring),
        &format!("key {id} is in `{}`: keep a copy where it is safe", path.display()),
        out,
    )?;
    // The new one opens none of them: a service whose state is among them is not started.
    let others: usize =
        files_by_key(at)?.into_iter().filter(|(key, _)| *key != id).map(|(_, files)| files).sum();
    if others > 0 {
        narrate(&format!(
            "it opens none of the {others} files that another key sealed: bring that key back as a further line of `{}`; \
             `hotbay keys list` tells which are missing",
            path.display()
        ));
    }
    Ok(())
}

fn list(at: &Offline, out: &Output) -> anyhow::Result<()> {
    // Who lost a key is to be told which it is.
    let (ring, trouble) = keys::readable_ring(&at.config);
    let mut files = files_by_key(at)?;
    let mut all: Vec<Shown> = Vec::new();
    for (at, key) in ring.iter().flat_map(KeyRing::keys).enumerate() {
        let id = key.id().to_string();
        // While one of the sources cannot be read no host starts, and none of them seals.
        let role = if at == 0 && trouble.is_none() { "primary" } else { "reads" };
        all.push(Shown { files: files.remove(&id).unwrap_or(0), id, role, bits: Some(key.bits()) });
    }
    all.extend(files.into_iter().map(|(id, files)| Shown { id, role: "missing", bits: None, files }));
    if out.is_json() {
        out.json(&all)?;
    } else {
        let row = |shown: &Shown| {
            let bits = super::output::or_dash(shown.bits);
            vec![shown.id.clone(), shown.role.to_owned(), bits, shown.files.to_string()]
        };
        out.table(&["KEY", "ROLE", "BITS", "FILES"], &all.iter().map(row).collect::<Vec<_>>())?;
    }
    trouble.map_or(Ok(()), |error| Err(error.into()))
}

/// How many files of state at rest each key sealed, by the ids that they tell.
fn files_by_key(at: &Offline) -> anyhow::Result<BTreeMap<String, usize>> {
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    for store in stores(at)? {
        for listed in store.headers().map_err(failed)?.into_iter().filter_map(|listed| listed.header.ok()) {
            *files.entry(listed.key_id.to_string()).or_default() += 1;
        }
    }
    Ok(files)
}

fn rotate(at: &Offline, client: &Client, out: &Output) -> anyhow::Result<()> {
    match client.ask::<Rotated>(&Request::RotateKeys) {
        Err(ClientError::Unreachable { .. }) => {}
        done => {
            let rotated = done?;
            let told = format!(
                "key {} seals from now on; what the ones before sealed is sealed anew beside what goes on: `hotbay keys list` and \
                 `hotbay events` tell how far that is",
                rotated.primary
            );
            return tell(&rotated, &told, out);
        }
    }
    let lock = at.lock_anew()?;
    let path = file(at)?;
    keys::has_room(&at.config).map_err(Failure::from)?;
    KeyRing::rotate_file(&path).map_err(key_failed)?;
    reseal(at, lock, out)
}

/// Seals anew what another key than the primary sealed, while no host runs.
fn reseal(at: &Offline, _lock: File, out: &Output) -> anyhow::Result<()> {
    let ring = at.keys()?;
    let done = match at.store()? {
        Some(store) => Snapshots::new(ring.clone(), store).reseal(|progress| {
            narrate(&format!("{} of {} files are sealed anew", progress.resealed, progress.files));
        }),
        None => Ok(crate::kernel::snapshots::Progress::default()),
    };
    let mut done = done.map_err(failed)?;
    if let Some(good) = at.store_in("good")? {
        for sealed in good.sealed().map_err(failed)? {
            match good.reseal(&ring, &sealed) {
                Ok(resealed) => done.resealed += usize::from(resealed == hotbay_state::Resealed::Anew),
                Err(error) => done.failed.push(format!("{:#}", anyhow::Error::new(error))),
            }
        }
    }
    for error in &done.failed {
        narrate(&format!("stays as it is: failed to {error}"));
    }
    let told =
        format!("key {} seals from now on; {} files were sealed anew", ring.primary().id(), done.resealed);
    tell(&rotated(&ring), &told, out)
}

fn retire(at: &Offline, client: &Client, id: &str, out: &Output) -> anyhow::Result<()> {
    let asked = client.ask::<Rotated>(&Request::RetireKey { id: id.to_owned() });
    let done = match asked {
        Err(ClientError::Unreachable { .. }) => {
            let _lock = at.lock()?;
            let path = file(at)?;
            let ring = KeyRing::load(&path).map_err(key_failed)?;
            let id = keys::by_id(&ring, id).map_err(Failure::from)?;
            keys::is_free(id, &needs(at, id)?).map_err(Failure::from)?;
            if let Some(store) = at.store()? {
                Snapshots::new(at.keys()?, store).rewrite_head().map_err(failed)?;
            }
            rotated(&KeyRing::retire_from_file(&path, id).map_err(key_failed)?)
        }
        done => done?,
    };
    tell(
        &done,
        &format!(
            "key {id} is retired: nothing needed it, and it opens nothing any more; what was exported sealed with it needs a copy of it"
        ),
        out,
    )
}

fn file(at: &Offline) -> Result<std::path::PathBuf, Failure> {
    keys::file(&at.config).ok_or_else(|| Failure::of(Exit::Refused, keys::not_in_a_file()))
}

fn needs(at: &Offline, id: KeyId) -> anyhow::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for store in stores(at)? {
        files.extend(store.needs(id).map_err(failed)?);
    }
    Ok(files)
}

/// Everything that holds sealed state.
fn stores(at: &Offline) -> anyhow::Result<Vec<Store>> {
    let all = ["state", "good"].into_iter().map(|folder| at.store_in(folder));
    Ok(all.collect::<anyhow::Result<Vec<_>>>()?.into_iter().flatten().collect())
}

fn rotated(ring: &KeyRing) -> Rotated {
    let ids = ring.keys().map(|key| key.id().to_string()).collect();
    Rotated { primary: ring.primary().id().to_string(), keys: ids }
}

fn tell(rotated: &Rotated, told: &str, out: &Output) -> anyhow::Result<()> {
    narrate(told);
    if out.is_json() { out.json(rotated) } else { Ok(()) }
}

fn key_failed(error: hotbay_state::KeyError) -> anyhow::Error {
    use hotbay_state::KeyError;
    let exit = match &error {
        KeyError::Unknown { .. } => Exit::NotFound,
        KeyError::Primary { .. } | KeyError::TooMany { .. } => Exit::Refused,
        _ => Exit::Failed,
    };
    Failure::of(exit, error).into()
}
