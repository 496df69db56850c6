//! What is asked of a host about state at rest: a snapshot now, an earlier one, other keys.

use std::fmt::Write as _;
use std::io::Read;
use std::sync::{Arc, PoisonError};

use hotbay_state::{Key, KeyError, KeyRing, StoreError};
use serde::{Deserialize, Serialize};

use super::{Host, keys};
use crate::error::{Code, Trouble, chain};
use crate::kernel::shared::Shared;
use crate::kernel::snapshots::ImportError;
use crate::kernel::view::Snapshot;
use crate::{ControlError, os};

/// A change of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// The id of the key that seals.
    pub primary: String,
    /// The ids of all keys, that one first.
    pub keys: Vec<String>,
}

/// What bytes in the clear are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlainState {
    /// The version of the schema that they are in.
    pub schema: u32,
    /// The version of the plugin that they are from.
    pub version: String,
}

impl Host {
    /// Writes the state of a service that runs down, unless just that is on the disk. When this returns it is durable, or a newer one
    /// is: neither a crash nor a power cut takes it back.
    ///
    /// # Errors
    /// There is no such service, it does not run or keeps no state, it could not be written, or `deadline` passed.
    pub fn snapshot(&self, name: &str, deadline: std::time::Duration) -> Result<Snapshot, ControlError> {
        let wish = name.to_owned();
        self.command(name, deadline, move |kernel, reply| kernel.snapshot(wish, reply))?;
        self.inner.shared.snapshots.shown(name).ok_or_else(|| {
            let text = format!("failed to find the snapshot of service `{name}` that was just written");
            ControlError::Failed { reason: Trouble::new(Code::Defect, text) }
        })
    }

    /// Makes an earlier snapshot of a service that does not run the newest, under a new number; the one that was is kept.
    ///
    /// # Errors
    /// The service runs, there is no such snapshot, or it cannot be read or written.
    pub fn restore(&self, name: &str, sequence: u64) -> Result<Snapshot, ControlError> {
        let _reserved = self.reserve(name)?;
        let restored = self.inner.shared.snapshots.restore(name, sequence);
        let header = restored.map_err(store_error)?;
        let text = format!("snapshot {sequence} was restored, as {}", header.sequence);
        self.inner.shared.journal.note("snapshot", Some(name), None, text);
        Ok(header.into())
    }

    /// Makes what `source` reads the newest snapshot of a service that does not run; the one that was is kept. It is a capsule that was
    /// exported or set aside, or with `plain` bytes in the clear, and is read to its end whatever its length.
    ///
    /// # Errors
    /// The service runs, the capsule cannot be read or opened, its state is longer than `state.max_bytes`, or the snapshot not be written.
    pub fn import(
        &self,
        name: &str,
        source: &mut dyn Read,
        plain: Option<&PlainState>,
    ) -> Result<Snapshot, ControlError> {
        let _reserved = self.reserve(name)?;
        let max = self.config().state.max_bytes;
        let imported = self.inner.shared.snapshots.import(name, source, plain, max);
        let header = imported.map_err(|error| match error {
            ImportError::Store(error) => store_error(error),
            error @ ImportError::Capsule { .. } => ControlError::Failed { reason: error.into() },
            error @ ImportError::TooLarge { .. } => ControlError::Refused { reason: error.into() },
        })?;
        let text = format!("a file was imported, as {}", header.sequence);
        self.inner.shared.journal.note("snapshot", Some(name), None, text);
        Ok(header.into())
    }

    /// Keeps the service down until what is answered is dropped.
    fn reserve<'a>(&'a self, name: &'a str) -> Result<Reserved<'a>, ControlError> {
        let service = name.to_owned();
        self.ask(move |kernel| kernel.reserve(&service))??;
        Ok(Reserved { host: self, name })
    }

    /// Makes a new key, in the key file, that seals from now on. What the ones before sealed is sealed anew beside what goes on;
    /// events tell how far that is. The old key is needed until then, see [`Host::retire_key`].
    ///
    /// # Errors
    /// The first key comes from no file, or it cannot be written.
    pub fn rotate_keys(&self) -> Result<Rotated, ControlError> {
        let _turn = self.inner.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let path = keys::file(self.config()).ok_or_else(not_in_a_file)?;
        keys::has_room(self.config())?;
        KeyRing::rotate_file(&path).map_err(key_error)?;
        let rotated = self.take_keys()?;
        self.reseal_beside();
        Ok(rotated)
    }

    /// Takes a key out of the key file and out of use, for good.
    ///
    /// # Errors
    /// There is no such key, it is the one that seals, or a file needs it; which, is said.
    pub fn retire_key(&self, id: &str) -> Result<Rotated, ControlError> {
        let _turn = self.inner.rotating.lock().unwrap_or_else(PoisonError::into_inner);
        let shared = &self.inner.shared;
        let path = keys::file(self.config()).ok_or_else(not_in_a_file)?;
        let ring = KeyRing::load(&path).map_err(key_error)?;
        let id = keys::by_id(&ring, id)?;
        let needed = shared.snapshots.needs(id).and_then(|mut files| {
            files.extend(shared.good.needs(id)?);
            Ok(files)
        });
        keys::is_free(id, &needed.map_err(store_error)?)?;
        shared.snapshots.rewrite_head().map_err(store_error)?;
        KeyRing::retire_from_file(&path, id).map_err(key_error)?;
        self.take_keys()
    }

    /// Goes on with a rotation that was cut off.
    pub(super) fn go_on_resealing(&self) {
        let snapshots = &self.inner.shared.snapshots;
        if snapshots.is_to_be_resealed() {
            self.reseal_beside();
        } else if snapshots.keys().keys().nth(1).is_some()
            && let Err(error) = snapshots.rewrite_head()
        {
            // All that a rotation left to do, should it have been cut off at its very end.
            tracing::warn!(error = chain(&error), "HEAD stays sealed with the key that it has");
        }
    }

    fn take_keys(&self) -> Result<Rotated, ControlError> {
        let ring = keys::existing_ring(self.config())
            .map_err(|error| ControlError::Failed { reason: error.into() })?;
        let ids = |ring: &KeyRing| ring.keys().map(|key| key.id().to_string()).collect();
        let rotated = Rotated { primary: ring.primary().id().to_string(), keys: ids(&ring) };
        self.inner.shared.snapshots.exchange_keys(ring);
        Ok(rotated)
    }

    fn reseal_beside(&self) {
        let shared = Arc::clone(&self.inner.shared);
        let begun = os::spawn("reseal", move || reseal(&shared));
        if let Err(error) = begun {
            tracing::error!(%error, "failed to start a thread that seals state anew; the next start of the host goes on with it");
        }
    }
}

/// A service that is kept from starting.
struct Reserved<'a> {
    host: &'a Host,
    name: &'a str,
}

impl Drop for Reserved<'_> {
    fn drop(&mut self) {
        let name = self.name.to_owned();
        // Where the host ends, nothing starts any more.
        let _ = self.host.ask(move |kernel| kernel.release(&name));
    }
}

fn reseal(shared: &Shared) {
    let id = shared.snapshots.keys().primary().id();
    let mut told = 0;
    let done = shared.snapshots.reseal(|progress| {
        // Some ten lines, however many files there are.
        let share = 10 * (progress.resealed + progress.failed.len()) / progress.files.max(1);
        if share > told {
            told = share;
            let text = format!("{} of {} files are sealed with key {id}", progress.resealed, progress.files);
            shared.journal.note("resealed", None, None, text);
        }
    });
    match done {
        Ok(progress) => {
            for error in &progress.failed {
                tracing::error!(error, "a file stays sealed with the key that it has");
            }
            let mut text = format!(
                "all of it: {} files were sealed anew with key {id}, {} could not be",
                progress.resealed,
                progress.failed.len()
            );
            let keys = shared.snapshots.keys();
            let others = keys.keys().map(Key::id).filter(|other| *other != id);
            let kept: usize = others.map(|other| shared.good.needs(other).map_or(0, |kept| kept.len())).sum();
            if kept > 0 {
                let until = "until the window for that has passed, or the host starts again";
                let _ = write!(text, "; {kept} kept for a way back need the key that they have {until}");
            }
            shared.journal.note("resealed", None, None, text);
        }
        Err(error) => {
            let error = chain(&error);
            tracing::error!(error, "failed to seal state anew; the next start of the host goes on with it");
        }
    }
}

fn not_in_a_file() -> ControlError {
    ControlError::Refused { reason: keys::not_in_a_file() }
}

fn key_error(error: KeyError) -> ControlError {
    let (is_missing, is_refused) = (
        matches!(error, KeyError::Unknown { .. }),
        matches!(error, KeyError::Primary { .. } | KeyError::TooMany { .. }),
    );
    let reason = error.into();
    match (is_missing, is_refused) {
        (true, _) => ControlError::NoFile { reason },
        (_, true) => ControlError::Refused { reason },
        _ => ControlError::Failed { reason },
    }
}

fn store_error(error: StoreError) -> ControlError {
    match error {
        StoreError::NoSuch { .. } => ControlError::NoFile { reason: error.into() },
        _ => ControlError::Failed { reason: error.into() },
    }
}
