//! `hotbay state verify`: every sealed file is opened, and nothing is touched.

use std::path::PathBuf;

use serde::Serialize;

use super::{Offline, failed};
use crate::cli::output::{Output, one_line};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;

/// A file, and what is wrong with it.
#[derive(Debug, Serialize)]
struct Checked {
    file: PathBuf,
    error: Option<String>,
}

pub(super) fn verify(at: &Offline, name: Option<&str>, out: &Output) -> anyhow::Result<()> {
    let mut all = Vec::new();
    // The states that the last good versions had are sealed like any other.
    for folder in ["state", "good"] {
        let Some(store) = at.store_in(folder)? else { continue };
        for (file, checked) in store.verify(&at.keys()?, name).map_err(failed)? {
            let error = checked.err().map(|error| format!("failed to {:#}", anyhow::Error::new(error)));
            all.push(Checked { file, error });
        }
    }
    if let Some(name) = name.filter(|_| all.is_empty()) {
        return Err(super::not_found(name, &at.config.home, &[]).into());
    }
    if out.is_json() {
        out.json(&all)?;
    } else {
        let row = |checked: &Checked| {
            let error = checked.error.as_ref().map_or_else(|| "ok".to_owned(), |error| one_line(error));
            vec![one_line(&checked.file.display().to_string()), error]
        };
        out.table(&["FILE", "RESULT"], &all.iter().map(row).collect::<Vec<_>>())?;
    }
    let mut wrong = all.iter().filter_map(|checked| checked.error.as_deref());
    match (wrong.next(), wrong.count()) {
        (None, _) => Ok(()),
        (Some(first), 0) => Err(Failure::new(Exit::Failed, first).into()),
        (Some(first), more) => Err(Failure::new(Exit::Failed, format!("{first}; {more} more")).into()),
    }
}
