//! A generation: one loaded version of one plugin.

use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, PoisonError};

use hotbay_plugin_api::manifest::{Manifest, Schema};

use super::alarm::Alarm;
use super::counting::Counting;
use super::inbox::Handled;
use super::lane::{self, Lane};
use super::lease::{Replaced, Thread};
use super::tables::Table;
use super::view::Side;
use crate::ffi::{Holds, Plugin};
use crate::os::Moment;
use crate::stage::Staged;
use crate::verify::Digest;

/// So many states that are replaced are looked through when one more is.
const MANY: usize = 8;

/// A created plugin with its lane. Published by its slot once it is started; ended by `unload`.
#[derive(Debug)]
pub(crate) struct Generation {
    /// The service.
    pub(crate) name: Arc<str>,
    /// Committed swaps of the service in this run, and one.
    pub(crate) number: u64,
    /// Counts loads over all services: no two generations have the same.
    pub(crate) load: u64,
    pub(crate) tally: Arc<Counting>,
    /// What its calls tell the loop when they fail.
    pub(crate) alarm: Arc<Alarm>,
    /// Messages that it was brought.
    pub(crate) handled: Arc<Handled>,
    /// When it was about to be loaded: threads of it began later.
    pub(crate) began: Moment,
    pub(crate) lane: Arc<Lane>,
    /// States that published it, are replaced, and may have somebody inside. They hold the generation: draining empties this.
    pub(crate) replaced: Mutex<Vec<Replaced>>,
    /// The number of changes of its state that is on disk.
    pub(crate) kept: Mutex<Option<u64>>,
    /// Its table of the configuration.
    pub(crate) table: Mutex<Arc<Table>>,
    /// The level of the log that its library was told.
    pub(crate) level: AtomicU32,
    // Owns the library: unmapped before its file is removed.
    pub(crate) plugin: Plugin,
    // Last: the file that the library was opened from.
    pub(crate) staged: Staged,
}

impl Holds for Arc<Generation> {
    fn plugin(&self) -> &Plugin {
        &self.plugin
    }
}

impl Generation {
    /// This thread goes in. What the plugin keeps per thread may then live as long as the thread does: it is noted who has to
    /// end, or be renewed, before the library can go.
    #[inline]
    pub(crate) fn note_entry(&self, thread: Thread) {
        if !thread.was_in(self.load) {
            thread.goes_into(self.load);
            lane::note_entry(self.load);
        }
    }

    /// A state that published it is replaced.
    pub(crate) fn left(&self, replaced: Replaced) {
        let mut all = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        // A breaker that opens and closes for days leaves many, and nobody is inside of most.
        if all.len() >= MANY {
            all.retain(|replaced| !replaced.is_drained());
        }
        all.push(replaced);
    }

    pub(crate) fn manifest(&self) -> &Manifest {
        &self.staged.manifest
    }

    /// The number of a method, of those that it declares.
    pub(crate) fn number_of(&self, method: &str) -> Option<usize> {
        self.manifest().methods.iter().position(|known| known == method)
    }

    /// The schema version of its state, as it writes it; 0 without state.
    pub(crate) fn schema(&self) -> u32 {
        self.manifest().state.as_ref().map_or(0, |state| state.writes)
    }

    /// The schema version in which it hands its state to a version with `next`: its own, or an older one that it steps down to.
    pub(crate) fn hands_to(&self, next: &Schema) -> Option<u32> {
        let own = self.manifest().state.as_ref().filter(|_| self.plugin.is_stateful())?;
        own.handed_to(next).filter(|schema| *schema == own.writes || self.plugin.steps_down())
    }

    /// That what it had after so many changes of its state is on disk.
    pub(crate) fn keep(&self, changes: Option<u64>) {
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = changes;
    }

    /// Whether its state is on disk as it is after so many changes.
    pub(crate) fn has_kept(&self, changes: Option<u64>) -> bool {
        changes.is_some() && *self.kept.lock().unwrap_or_else(PoisonError::into_inner) == changes
    }

    /// The table of the configuration that it has.
    pub(crate) fn table(&self) -> Arc<Table> {
        Arc::clone(&self.table.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// It took another table.
    pub(crate) fn set_table(&self, table: Arc<Table>) {
        *self.table.lock().unwrap_or_else(PoisonError::into_inner) = table;
    }

    pub(crate) fn digest(&self) -> &Digest {
        &self.staged.digest
    }

    pub(crate) fn side(&self) -> Side {
        Side {
            version: self.manifest().version.clone(),
            generation: self.number,
            digest: self.digest().as_str().to_owned(),
        }
    }
}
