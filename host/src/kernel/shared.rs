//! What the kernel's loop, its operations and its callers share.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};

use super::alarm::Wake;
use super::good::Good;
use super::history::History;
use super::inboxes::Inboxes;
use super::journal::Journal;
use super::lane::{Lane, Spares};
use super::margin::Margin;
use super::probation::Marks;
use super::registry::Registry;
use super::served::Served;
use super::snapshots::Snapshots;
use super::tables::Tables;
use crate::Config;
use crate::probe::Verdicts;
use crate::stage::Stage;
use crate::trust::Trust;

/// One per host.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What it was started with. What can change while it runs is in [`Shared::settings`].
    pub(crate) config: Config,
    // With what changed while it runs.
    settings: RwLock<Arc<Config>>,
    pub(crate) tables: Tables,
    pub(crate) registry: Arc<Registry>,
    pub(crate) inboxes: Inboxes,
    pub(crate) trust: Trust,
    pub(crate) stage: Stage,
    pub(crate) verdicts: Verdicts,
    pub(crate) margin: Margin,
    pub(crate) snapshots: Arc<Snapshots>,
    pub(crate) journal: Arc<Journal>,
    pub(crate) history: History,
    pub(crate) good: Good,
    pub(crate) served: Served,
    pub(crate) marks: Marks,
    /// Who is woken when calls go wrong: the loop.
    pub(crate) wake: Arc<Wake>,
    /// For the lanes of what is loaded next.
    pub(crate) spares: Spares,
    /// Held by the one swap whose gate is closed.
    pub(crate) one_gate: Mutex<()>,
    // By load: whose lanes may hold thread-locals of a generation that unloads.
    lanes: Mutex<BTreeMap<u64, Weak<Lane>>>,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        stage: Stage,
        snapshots: Snapshots,
        history: History,
        good: Good,
        served: Served,
        marks: Marks,
    ) -> Self {
        let registry: Arc<Registry> = Arc::default();
        registry.clock().set_deadline(config.swap.callback);
        registry.levels().take(&config.log);
        Self {
            trust: Trust::new(&config),
            settings: RwLock::new(Arc::new(config.clone())),
            tables: Tables::new(&config),
            config,
            inboxes: Inboxes::new(Arc::clone(registry.bus())),
            registry,
            stage,
            verdicts: Verdicts::default(),
            margin: Margin::default(),
            snapshots: Arc::new(snapshots),
            journal: Arc::default(),
            history,
            good,
            served,
            marks,
            wake: Arc::default(),
            spares: Spares::default(),
            one_gate: Mutex::new(()),
            lanes: Mutex::default(),
        }
    }

    /// The settings that are in force: of the file as it is now `log`, `service` and `plugin`, all else as the host was started with.
    pub(crate) fn settings(&self) -> Arc<Config> {
        Arc::clone(&self.settings.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The file says something else.
    pub(crate) fn set_settings(&self, config: Arc<Config>) {
        *self.settings.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    /// Whether a file lies in the home folder: bytes of a version that served.
    pub(crate) fn keeps(&self, path: &Path) -> bool {
        self.good.holds(path) || self.served.holds(path)
    }

    /// A number that no other load has, also of another host in this process: threads note by it where they went.
    #[allow(clippy::unused_self, reason = "who loads has a host")]
    pub(crate) fn next_load(&self) -> u64 {
        static LOADS: AtomicU64 = AtomicU64::new(0);
        LOADS.fetch_add(1, Ordering::Relaxed) + 1
    }

    pub(crate) fn add_lane(&self, load: u64, lane: &Arc<Lane>) {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|_, lane| lane.strong_count() > 0);
        lanes.insert(load, Arc::downgrade(lane));
    }

    /// The lanes of all generations but one.
    pub(crate) fn other_lanes(&self, load: u64) -> Vec<Arc<Lane>> {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.iter().filter(|(other, _)| **other != load).filter_map(|(_, lane)| lane.upgrade()).collect()
    }
}
