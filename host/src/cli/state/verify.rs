//! `hotbay state verify`: every sealed file is opened, and nothing is touched.

use std::path::PathBuf;

use serde::Serialize;

use super::{Offline, failed};
use crate::cli::output::{Output, one_line};
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::{Trouble, shown};

/// A file, and what is wrong with it.
#[derive(Debug, Serialize)]
struct Checked {
    file: PathBuf,
    #[serde(serialize_with = "super::as_text")]
    error: Option<Trouble>,
    /// The code of that.
    code: Option<String>,
}

pub(super) fn verify(at: &Offline, name: Option<&str>, out: &Output) -> anyhow::Result<()> {
    at.existing_home()?;
    let mut all = Vec::new();
    // The states that the last good versions had are sealed like any other.
    for folder in ["state", "good"] {
        let Some(store) = at.store_in(folder)? else { continue };
        for (file, checked) in store.verify(&at.keys()?, name).map_err(failed)? {
            let error = checked.err().map(Trouble::from);
            let (code, _) = shown(error.as_ref().map(|error| error.code));
            all.push(Checked { file, error, code });
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
    let mut wrong = all.iter().filter_map(|checked| checked.error.as_ref());
    match (wrong.next(), wrong.count()) {
        (None, _) => Ok(()),
        (Some(first), 0) => Err(Failure::of(Exit::Failed, first.clone()).into()),
        (Some(first), more) => {
            let told = first.told(|text| format!("{text}; {more} more"));
            Err(Failure::of(Exit::Failed, told).into())
        }
    }
}
