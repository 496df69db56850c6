//! Small records on disk: a folder with one JSON file per service.

use std::fs;
use std::io::{self, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hotbay_plugin_api::manifest::is_valid_name;
use serde::{Serialize, de::DeserializeOwned};

use crate::os;

const EXTENSION: &str = ".json";

/// So long a record that somebody reads just now is waited for, where that keeps it from being replaced: the loop writes some.
pub(crate) const IN_USE: Duration = Duration::from_millis(100);

/// The folder. What is kept of a record in memory is for the owner to say.
#[derive(Debug)]
pub(crate) struct Records<T> {
    folder: PathBuf,
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize + DeserializeOwned> Records<T> {
    /// Opens the folder, makes it if it is missing, and reads what is there. A file that cannot be read is as good as none:
    /// the log says so once, and the host goes on.
    pub(crate) fn open(folder: PathBuf) -> io::Result<(Self, Vec<(String, T)>)> {
        os::private_folder(&folder)?;
        let mut all = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "tmp") {
                // A durable write was interrupted; nobody else writes here.
                remove(&path);
            }
            let Some(name) = service_of(&path) else { continue };
            match fs::read(&path).and_then(|bytes| Ok(serde_json::from_slice(&bytes)?)) {
                Ok(record) => all.push((name, record)),
                Err(error) => {
                    let file = path.display();
                    tracing::warn!(plugin = name, %error, "failed to read `{file}`: it is passed over, as if it were not there");
                }
            }
        }
        Ok((Self { folder, of: PhantomData }, all))
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a record in one step. With `durable` it outlives the power as well, not only this process.
    pub(crate) fn write(&self, name: &str, record: &T, durable: bool) -> io::Result<()> {
        let (path, json) = (self.path(name), serde_json::to_vec(record)?);
        if durable {
            return hotbay_state::write_durably(&path, &json, IN_USE).map_err(|error| error.source);
        }
        let fresh = path.with_extension("json.new");
        // What an interrupted write left; nobody else writes here.
        let _ = fs::remove_file(&fresh);
        let mut file = os::private_file().open(&fresh)?;
        file.write_all(&json)?;
        drop(file);
        os::rename_over(&fresh, &path, IN_USE)
    }

    /// Removes a record, if there is one.
    pub(crate) fn remove(&self, name: &str) {
        remove(&self.path(name));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{EXTENSION}"))
    }
}

/// Removes a file that may be gone. One that stays is looked at again at the next start.
pub(crate) fn remove(path: &Path) {
    if let Err(error) = fs::remove_file(path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(%error, "failed to remove `{}`", path.display());
    }
}

fn service_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?;
    is_valid_name(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_again_and_what_cannot_be_read_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let (records, all) = Records::<Vec<u32>>::open(folder.path().join("r")).unwrap();
        assert!(all.is_empty());
        for (name, durable) in [("a", true), ("b", false), ("c", false)] {
            records.write(name, &vec![1], false).unwrap();
            records.write(name, &vec![1, 2], durable).unwrap();
        }
        fs::write(records.folder().join("b.json"), "[1, 2").unwrap();
        fs::write(records.folder().join("B C.json"), "[1]").unwrap();
        fs::write(records.folder().join(".a.json.1-0.tmp"), "[1").unwrap();
        records.remove("c");
        records.remove("c");
        let (_, all) = Records::<Vec<u32>>::open(folder.path().join("r")).unwrap();
        assert_eq!(all, [("a".to_owned(), vec![1, 2])]);
        assert!(!records.folder().join(".a.json.1-0.tmp").exists());
    }
}
