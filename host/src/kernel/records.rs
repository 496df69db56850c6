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

/// A disk writes so many bytes whole, or not at all.
const SECTOR: usize = 512;

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
        write_anew(&fresh, &json)?;
        os::rename_over(&fresh, &path, IN_USE)
    }

    /// Writes a small record into the file that is there, if one is. To replace a file by a fresh one makes some file systems
    /// write to the disk at once, which a swap would wait for. Whoever is killed leaves the one before or this one: the system takes
    /// it over in one piece.
    pub(crate) fn write_over(&self, name: &str, record: &T) -> io::Result<()> {
        let mut json = serde_json::to_vec(record)?;
        let there = fs::File::options().write(true).open(self.path(name));
        if let Ok(mut file) = there
            && json.len() <= SECTOR
            && file.metadata()?.len() <= SECTOR as u64
        {
            // Over the rest of a longer one; spaces after it are none of JSON's business.
            json.resize(SECTOR, b' ');
            return file.write_all(&json);
        }
        self.write(name, record, false)
    }

    /// Writes a record beside its place.
    pub(crate) fn prepare(&self, name: &str, record: &T) -> io::Result<()> {
        write_anew(&self.beside(name), &serde_json::to_vec(record)?)
    }

    /// Gives what was prepared its place.
    pub(crate) fn put_in_place(&self, name: &str) -> io::Result<()> {
        os::rename_over(&self.beside(name), &self.path(name), IN_USE)
    }

    /// Removes what was prepared.
    pub(crate) fn forget_prepared(&self, name: &str) {
        remove(&self.beside(name));
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.path(name).with_extension("json.ready")
    }

    /// Removes a record, if there is one.
    pub(crate) fn remove(&self, name: &str) {
        remove(&self.path(name));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}{EXTENSION}"))
    }
}

fn write_anew(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What an interrupted write left; nobody else writes here.
    let _ = fs::remove_file(path);
    os::private_file().open(path)?.write_all(bytes)
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

    #[test]
    fn a_record_is_written_over_a_longer_and_a_shorter_one_and_over_none() {
        let folder = tempfile::tempdir().unwrap();
        let (records, _) = Records::<Vec<u32>>::open(folder.path().join("r")).unwrap();
        let large: Vec<u32> = (0..1000).collect();
        for record in [vec![1], (0..50).collect(), vec![], large, vec![3]] {
            records.write_over("a", &record).unwrap();
            let (_, all) = Records::<Vec<u32>>::open(folder.path().join("r")).unwrap();
            assert_eq!(all, [("a".to_owned(), record)]);
        }
    }

    #[test]
    fn what_is_prepared_is_no_record_until_it_has_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let (records, _) = Records::<Vec<u32>>::open(folder.path().join("r")).unwrap();
        records.prepare("a", &vec![1]).unwrap();
        assert!(Records::<Vec<u32>>::open(folder.path().join("r")).unwrap().1.is_empty());
        records.put_in_place("a").unwrap();
        assert_eq!(
            Records::<Vec<u32>>::open(folder.path().join("r")).unwrap().1,
            [("a".to_owned(), vec![1])]
        );
        records.put_in_place("a").unwrap_err();
        records.forget_prepared("a");
    }
}
