//! Commands that change something: they end when it is live, refused or rolled back.

use std::path::Path;
use std::time::Duration;

use super::args::millis;
use super::failed::Otherwise as _;
use super::output::{Output, narrate, one_line};
use super::status::told;
use crate::Changed;
use crate::control::client::Client;
use crate::control::exit::Exit;
use crate::control::protocol::{Failure, Request};
use crate::error::Code;

pub(super) fn add(
    client: &Client,
    file: &Path,
    force: bool,
    deadline: Duration,
    out: &Output,
) -> anyhow::Result<()> {
    // The host works in another folder. A link is left to it to follow: the name that it is added under is the link's.
    let absolute = std::path::absolute(file)
        .otherwise(Code::NotRead, || format!("failed to find `{}`", file.display()))?;
    existing(file)?;
    if absolute.to_str().is_none() {
        let message = format!("failed to name `{}` to the host: rename it in Unicode", absolute.display());
        return Err(Failure::new(Exit::Refused, Code::NotUnicode, message).into());
    }
    change(client, &Request::Add { file: absolute, force, deadline_ms: millis(deadline) }, out)
}

pub(super) fn remove(client: &Client, name: String, deadline: Duration, out: &Output) -> anyhow::Result<()> {
    let changed: Changed = client.ask(&Request::Remove { name, deadline_ms: millis(deadline) })?;
    if out.is_json() {
        return out.json(&changed);
    }
    narrate(&format!("{} is removed; its state is kept", one_line(&changed.row.name)));
    Ok(())
}

pub(super) fn change(client: &Client, request: &Request, out: &Output) -> anyhow::Result<()> {
    let changed: Changed = client.ask(request)?;
    if out.is_json() {
        return out.json(&changed);
    }
    let row = &changed.row;
    let version = row.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    let generation =
        row.generation.map(|generation| format!(", generation {generation}")).unwrap_or_default();
    narrate(&one_line(&format!("{}{version} is {}{generation}", row.name, row.phase)));
    if let Some(receipt) = &changed.receipt {
        narrate(&one_line(&told(receipt)));
    }
    if let Some(cost) = &changed.cost {
        narrate(&one_line(cost));
    }
    super::lifecycle::tell(changed.also.iter());
    Ok(())
}

/// That there is something at `file`; what it is, others judge.
pub(super) fn existing(file: &Path) -> Result<(), Failure> {
    match std::fs::symlink_metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Failure::new(
            Exit::NotFound,
            Code::NoSuchFile,
            format!("failed to find `{}`: there is no such file", file.display()),
        )),
        _ => Ok(()),
    }
}
