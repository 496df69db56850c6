//! A snapshot on the disk, beside a bare file of as many bytes that is there as surely.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use hotbay_state::{Key, Stamp, Store};
use tempfile::TempDir;

use super::{STAMP, bytes, key};
use crate::bay::Place;
use crate::rounds::{Goal, Row, timed};

const LIMIT: f64 = 1.3;

pub(super) fn rows() -> Result<Vec<Row>> {
    let folder = Arc::new(Place::Disk.folder()?);
    let key = Arc::new(key()?);
    let mut rows = Vec::new();
    for (len, bare, sealed, snapshot) in [
        (64 << 10, "bare file, 64 KiB", "sealed file, 64 KiB", "snapshot, 64 KiB"),
        (1 << 20, "bare file, 1 MiB", "sealed file, 1 MiB", "snapshot, 1 MiB"),
        (16 << 20, "bare file, 16 MiB", "sealed file, 16 MiB", "snapshot, 16 MiB"),
    ] {
        rows.extend(of_size(&folder, &key, len, [bare, sealed, snapshot])?);
    }
    Ok(rows)
}

/// As a host has it: with the snapshots before it kept, and the oldest of them removed.
struct Saving {
    store: Store,
    key: Arc<Key>,
    plain: Vec<u8>,
    sequence: u64,
    // Removed with the last who writes into it.
    _folder: Arc<TempDir>,
}

impl Saving {
    fn new(folder: &Arc<TempDir>, name: &str, key: &Arc<Key>, len: usize) -> Result<Self> {
        let (store, key) = (Store::open(folder.path().join(name))?, Arc::clone(key));
        Ok(Self { store, key, plain: bytes(len), sequence: 0, _folder: Arc::clone(folder) })
    }

    fn stamp(&mut self) -> Stamp<'static> {
        self.sequence += 1;
        Stamp { sequence: self.sequence, ..STAMP }
    }

    /// Of a state in the clear: sealed and written.
    fn save(&mut self) {
        let stamp = self.stamp();
        self.store.save(&self.key, &stamp, &self.plain).expect("the disk has room");
    }
}

fn of_size(folder: &Arc<TempDir>, key: &Arc<Key>, len: usize, names: [&'static str; 3]) -> Result<Vec<Row>> {
    let [bare_name, sealed_name, snapshot_name] = names;
    let mut saving = Saving::new(folder, snapshot_name, key, len)?;
    let mut placing = Saving::new(folder, sealed_name, key, len)?;
    let capsule = hotbay_state::seal(key, &STAMP, &saving.plain)?;
    let bare = Bare { folder: folder.path().join(bare_name), bytes: capsule };
    fs::create_dir(&bare.folder)?;
    Ok(vec![
        Row::new(bare_name, move |calls| timed(calls, || bare.write().expect("the disk has room"))),
        // Sealed beforehand, as after a swap.
        Row::new(sealed_name, move |calls| {
            let capsules: Vec<Vec<u8>> = (0..calls)
                .map(|_| {
                    let stamp = placing.stamp();
                    hotbay_state::seal(&placing.key, &stamp, &placing.plain).expect("the stamp is good")
                })
                .collect();
            let mut capsules = capsules.iter();
            timed(calls, || {
                let capsule = capsules.next().expect("one for each call");
                placing.store.save_sealed(STAMP.service, capsule).expect("the disk has room");
            })
        })
        .over(bare_name)
        .goal(Goal::AtMost(LIMIT)),
        Row::new(snapshot_name, move |calls| timed(calls, || saving.save()))
            .over(bare_name)
            .goal(Goal::AtMost(LIMIT)),
    ])
}

/// Temporary file, fsync, rename, fsync of the folder: nothing kept, nothing sealed.
struct Bare {
    folder: PathBuf,
    bytes: Vec<u8>,
}

impl Bare {
    fn write(&self) -> io::Result<()> {
        let beside = self.folder.join("beside");
        let mut file = File::create_new(&beside)?;
        file.write_all(&self.bytes)?;
        file.sync_all()?;
        fs::rename(&beside, self.folder.join("file"))?;
        sync(&self.folder)
    }
}

#[cfg(not(windows))]
fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

// Windows: has no sync for a folder, and the storage does without, too.
#[cfg(windows)]
fn sync(_: &Path) -> io::Result<()> {
    Ok(())
}
