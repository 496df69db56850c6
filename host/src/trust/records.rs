//! What is remembered of each service in `.hotbay/trust/`: how far its security version has come, and where the bytes of the
//! versions that served came from.
//!
//! Neither is kept in memory alone: `hotbay trust` changes the one beside a running host, and the other outlives it.

use std::io;
use std::path::{Path, PathBuf};

use hotbay_plugin_api::manifest::is_valid_name;
use serde::{Deserialize, Serialize};

use super::Standing;
use crate::verify::Digest;

/// The low-water mark of a service: nothing below it is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Floor {
    /// The highest security version that served and was found to be good.
    pub(crate) security: u64,
}

/// Where the bytes of a version came from: kept ones lie in the home folder, and are no better for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    pub(crate) digest: String,
    /// The text of its signature.
    pub(crate) signature: Option<String>,
    /// Who else could have written it, in words.
    pub(crate) exposed: Option<String>,
    /// The security version that its signature stated.
    pub(crate) security: u64,
    /// How it came to be trusted, in words.
    pub(crate) by: String,
}

impl Origin {
    pub(super) fn of(digest: &Digest, standing: &Standing) -> Self {
        Self {
            digest: digest.as_str().to_owned(),
            signature: standing.signature.clone(),
            exposed: standing.exposed.clone(),
            security: standing.security,
            by: standing.to_string(),
        }
    }

    /// Whether it came as this says.
    pub(crate) fn is(&self, standing: &Standing) -> bool {
        (&self.signature, &self.exposed, self.security, &self.by)
            == (&standing.signature, &standing.exposed, standing.security, &standing.to_string())
    }
}

fn floors(home: &Path) -> PathBuf {
    home.join("trust").join("floors")
}

fn file_in(folder: PathBuf, service: &str) -> PathBuf {
    folder.join(format!("{service}.json"))
}

/// The mark of a service. One that cannot be read is an error, not as good as none: an old version would pass.
pub(crate) fn floor(home: &Path, service: &str) -> io::Result<u64> {
    Ok(read::<Floor>(&file_in(floors(home), service))?.map_or(0, |floor| floor.security))
}

/// Sets the mark of a service.
pub(crate) fn set_floor(home: &Path, service: &str, security: u64) -> io::Result<()> {
    write_in(&floors(home), service, &Floor { security })
}

/// All marks, by service; those that cannot be read as well.
pub(crate) fn all_floors(home: &Path) -> io::Result<Vec<(String, io::Result<u64>)>> {
    let entries = match std::fs::read_dir(floors(home)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut all = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let service = path.file_name().and_then(|name| name.to_str()?.strip_suffix(".json"));
        if let Some(service) = service.filter(|service| is_valid_name(service)) {
            all.push((service.to_owned(), floor(home, service)));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(all)
}

fn origins(home: &Path) -> PathBuf {
    home.join("trust").join("origins")
}

/// Where the versions of a service came from, the newest last.
pub(super) fn origins_of(home: &Path, service: &str) -> io::Result<Vec<Origin>> {
    Ok(read(&file_in(origins(home), service))?.unwrap_or_default())
}

pub(super) fn set_origins(home: &Path, service: &str, all: &[Origin]) -> io::Result<()> {
    write_in(&origins(home), service, &all)
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => Ok(Some(serde_json::from_slice(&read?)?)),
    }
}

fn write_in(folder: &Path, service: &str, record: &impl Serialize) -> io::Result<()> {
    crate::os::private_folder(folder)?;
    super::write(&file_in(folder.to_owned(), service), record)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_that_cannot_be_read_is_no_mark_of_zero() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(floor(home.path(), "echo").unwrap(), 0);
        set_floor(home.path(), "echo", 3).unwrap();
        set_floor(home.path(), "other", 1).unwrap();
        assert_eq!(floor(home.path(), "echo").unwrap(), 3);
        for damaged in ["", "{", "[]", r#"{"security":-1}"#] {
            std::fs::write(floors(home.path()).join("echo.json"), damaged).unwrap();
            assert!(floor(home.path(), "echo").is_err(), "{damaged}");
        }
        let all = all_floors(home.path()).unwrap();
        assert!(all[0].1.is_err() && all[1].1.as_ref().is_ok_and(|mark| *mark == 1));
    }
}
