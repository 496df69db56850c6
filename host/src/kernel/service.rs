//! A service as the kernel's loop knows it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use hotbay_plugin_api::manifest::Manifest;

use super::alarm::Alarm;
use super::clock;
use super::counting::Counting;
use super::files::Candidate;
use super::generation::Generation;
use super::health::Health;
use super::inbox::Handled;
use super::lane::Lane;
use super::probation::Probation;
use super::restarts::{Restart, Restarts};
use super::slot::Slot;
use super::tables::Table;
use super::tally::Counts;
use super::view::{Phase, Receipt, Row, Side};
use crate::error::{Trouble, Why, shown};
use crate::unload::Remains;
use crate::verify::Digest;

/// One name and everything that belongs to it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) slot: Arc<Slot>,
    pub(crate) phase: Phase,
    pub(crate) reason: Option<Why>,
    pub(crate) since_unix_ms: u64,
    /// The generation that serves, also while an operation works with it.
    pub(crate) serving: Option<Serving>,
    /// The generation itself; with the operation while there is one.
    pub(crate) generation: Option<Arc<Generation>>,
    pub(crate) busy: Option<Busy>,
    /// Counts operations that ended.
    pub(crate) ended: u64,
    /// How the last one ended, for whoever waits.
    pub(crate) last: Option<Ended>,
    /// Swaps that were committed in this run.
    pub(crate) committed: u64,
    /// Swaps that failed in this run, after which the old generation served on.
    pub(crate) rolled_back: u64,
    /// Digests that were tried and failed: not tried again until they change, or somebody asks.
    pub(crate) failed: BTreeMap<Digest, Failure>,
    pub(crate) remains: Vec<Remains>,
    pub(crate) last_swap: Option<Receipt>,
    /// Calls of generations that are gone.
    pub(crate) past: Counts,
    pub(crate) snapshot_due: Instant,
    /// How many in a row failed.
    pub(crate) snapshots_failed: u32,
    /// Somebody waits for one: it is taken at the next occasion.
    pub(crate) snapshot_wanted: bool,
    /// Counts snapshots that ended.
    pub(crate) snapshots: u64,
    /// How the last one ended.
    pub(crate) last_snapshot: Result<(), Trouble>,
    /// Swap at the next occasion, also when nothing changed.
    pub(crate) reload: bool,
    /// Go back to the last good version at the next occasion: somebody asked.
    pub(crate) back: bool,
    /// The version to go back to.
    pub(crate) good: Option<Candidate>,
    /// The version with state that served last.
    pub(crate) served: Option<Candidate>,
    /// Not before this is it tried to keep the version that serves.
    pub(crate) keep_due: Instant,
    /// The watch over the version that serves.
    pub(crate) probation: Option<Probation>,
    /// Begin the next start with empty state.
    pub(crate) fresh: bool,
    /// Nothing is tried for a while.
    pub(crate) rest: Option<Rest>,
    /// How the version that serves does.
    pub(crate) health: Health,
    /// It is to stop, and to start again.
    pub(crate) restart: Option<Restart>,
    /// Restarts by supervision.
    pub(crate) restarts: Restarts,
    /// The generation that served when others were told last.
    pub(crate) told: Option<u64>,
    /// What it requires and was seen not to serve while it did.
    pub(crate) missed: BTreeSet<String>,
}

/// A pause between two attempts.
#[derive(Debug)]
pub(crate) struct Rest {
    pub(crate) until: Instant,
    pub(crate) why: Trouble,
    /// Whether nothing is wrong: it goes on in a moment.
    pub(crate) brief: bool,
}

/// Who serves, for those who only look.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    pub(crate) side: Side,
    pub(crate) manifest: Manifest,
    pub(crate) version: semver::Version,
    pub(crate) digest: Digest,
    pub(crate) source: PathBuf,
    /// The file of the plugins folder that it is the answer to: its own, or that of the version that was rolled back.
    pub(crate) home: PathBuf,
    pub(crate) tally: Arc<Counting>,
    pub(crate) alarm: Arc<Alarm>,
    /// Messages that it was brought.
    pub(crate) handled: Arc<Handled>,
    /// Its threads, which end with it and not with who looks.
    pub(crate) lane: Weak<Lane>,
    pub(crate) stateful: bool,
    /// Its table of the configuration.
    pub(crate) table: Arc<Table>,
}

/// What an operation is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Task {
    Start,
    Swap,
    RollBack,
    Stop,
    Snapshot,
    /// The bytes of the version that serves are kept.
    Keep,
    /// It is offered another table of the configuration.
    Configure,
}

impl Task {
    /// Whether who serves may be another afterwards.
    pub(crate) fn is_change(self) -> bool {
        !matches!(self, Task::Snapshot | Task::Keep | Task::Configure)
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Busy {
    pub(crate) task: Task,
    pub(crate) since: Instant,
}

/// Why a digest does not serve.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) reason: Trouble,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailureKind {
    /// Refused before anything of it ran in the host.
    Refused,
    /// It could not be created, fed or started.
    Faulted,
    /// It did not take the state that there is in.
    Unread,
    /// The state on disk cannot be read.
    Quarantined,
    /// It served, and was rolled back.
    RolledBack,
    /// It served, and was restarted too often.
    WornOut,
    /// The file changed while it was worked on: no fault at all.
    Moved,
    /// A trouble of the host or its machine that may pass: it is tried again.
    Passing,
}

/// How an operation ended.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    Started,
    Stopped { lost: Option<String> },
    Swapped(Box<Receipt>),
    RolledBack(Failure),
    Failed(Failure),
}

impl Service {
    pub(crate) fn new(slot: Arc<Slot>) -> Self {
        Self {
            slot,
            phase: Phase::Starting,
            reason: None,
            since_unix_ms: clock::unix_ms(),
            serving: None,
            generation: None,
            busy: None,
            ended: 0,
            last: None,
            committed: 0,
            rolled_back: 0,
            failed: BTreeMap::new(),
            remains: Vec::new(),
            last_swap: None,
            past: Counts::default(),
            snapshot_due: Instant::now(),
            snapshots_failed: 0,
            snapshot_wanted: false,
            snapshots: 0,
            last_snapshot: Ok(()),
            reload: false,
            back: false,
            good: None,
            served: None,
            keep_due: Instant::now(),
            probation: None,
            fresh: false,
            rest: None,
            health: Health::default(),
            restart: None,
            restarts: Restarts::default(),
            told: None,
            missed: BTreeSet::new(),
        }
    }

    /// Whether the version that serves was found to be no good, and why.
    pub(crate) fn condemned(&self) -> Option<&Failure> {
        let serving = self.serving.as_ref()?;
        self.failed.get(&serving.digest).filter(|failure| failure.kind == FailureKind::RolledBack)
    }

    /// The version to go back to, if it is another than the one that serves and did not fail itself.
    pub(crate) fn way_back(&self) -> Option<&Candidate> {
        let good = self.good.as_ref()?;
        let serves = self.serving.as_ref().is_some_and(|serving| serving.digest == good.digest);
        (!serves && !self.failed.contains_key(&good.digest)).then_some(good)
    }

    /// The pause that it is in.
    pub(crate) fn resting(&self) -> Option<&Rest> {
        self.rest.as_ref().filter(|rest| Instant::now() < rest.until)
    }

    /// Tries nothing for so long.
    pub(crate) fn rest_for(&mut self, pause: Duration, why: Trouble, brief: bool) {
        self.rest = Some(Rest { until: Instant::now() + pause, why, brief });
    }

    /// Enters a phase; true when it is another than before, or for another reason.
    pub(crate) fn enter(&mut self, phase: Phase, reason: Option<Why>) -> bool {
        if self.phase != phase {
            self.since_unix_ms = clock::unix_ms();
        } else if self.reason == reason {
            return false;
        }
        self.phase = phase;
        self.reason = reason;
        true
    }

    /// Whether its state is written from time to time now.
    pub(crate) fn is_due_for_snapshots(&self) -> bool {
        self.busy.is_none() && self.serving.as_ref().is_some_and(|serving| serving.stateful)
    }

    /// Whether an operation is on its way that changes who serves.
    pub(crate) fn is_changing(&self) -> bool {
        self.busy.is_some_and(|busy| busy.task.is_change())
    }

    /// The number of the generation that serves, or would serve next without a swap.
    pub(crate) fn number(&self) -> u64 {
        self.committed + 1
    }

    pub(crate) fn serve(&mut self, generation: Arc<Generation>, version: semver::Version) {
        self.serving = Some(Serving {
            side: generation.side(),
            manifest: generation.manifest().clone(),
            version,
            digest: generation.digest().clone(),
            source: generation.staged.source.clone(),
            home: generation.staged.source.clone(),
            tally: Arc::clone(&generation.tally),
            alarm: Arc::clone(&generation.alarm),
            handled: Arc::clone(&generation.handled),
            lane: Arc::downgrade(&generation.lane),
            stateful: generation.plugin.is_stateful(),
            table: generation.table(),
        });
        self.health = Health::of(&generation);
        self.missed.clear();
        self.restart = None;
        self.generation = Some(generation);
    }

    /// Serves in the stead of files that did not take the state in: now that somebody serves who can hand it over, they are tried
    /// once more, as what replaces it.
    pub(crate) fn stand_in_for(&mut self, files: &[&Candidate]) {
        let unread: Vec<&Candidate> =
            files.iter().copied().filter(|file| self.is_unread_by(&file.digest)).collect();
        let Some(first) = unread.iter().max_by_key(|file| &file.version) else { return };
        if let Some(serving) = &mut self.serving
            && !files.iter().any(|file| file.path == serving.source)
        {
            serving.home.clone_from(&first.path);
        }
        self.failed.retain(|_, failure| failure.kind != FailureKind::Unread);
    }

    /// Nobody serves any more: what was counted is kept.
    pub(crate) fn retire_counts(&mut self) {
        (self.probation, self.back) = (None, false);
        if let Some(serving) = self.serving.take() {
            let counts = serving.tally.counts();
            self.past.answered += counts.answered;
            self.past.failed += counts.failed;
        }
    }

    /// Calls and errors of this run.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let now = self.serving.as_ref().map(|serving| serving.tally.counts()).unwrap_or_default();
        (self.past.answered + now.answered, self.past.failed + now.failed)
    }

    /// The candidate that should serve: the highest version that did not fail; of equal ones the one that serves, else
    /// the one at the path that serves, else the first path.
    pub(crate) fn best<'a>(&self, candidates: &[&'a Candidate]) -> Option<&'a Candidate> {
        let serving = self.serving.as_ref();
        candidates
            .iter()
            .filter(|candidate| !self.failed.contains_key(&candidate.digest))
            .copied()
            .max_by_key(|candidate| {
                let same_digest = serving.is_some_and(|serving| serving.digest == candidate.digest);
                let same_path = serving.is_some_and(|serving| serving.source == candidate.path);
                (&candidate.version, same_digest, same_path, std::cmp::Reverse(&candidate.path))
            })
    }

    /// Whether a digest served and was rolled back.
    pub(crate) fn is_rolled_back(&self, digest: &Digest) -> bool {
        self.failed.get(digest).is_some_and(|failure| failure.kind == FailureKind::RolledBack)
    }

    /// Whether a file could not start for the state that there is, which it does not read.
    pub(crate) fn is_unread_by(&self, digest: &Digest) -> bool {
        self.failed.get(digest).is_some_and(|failure| failure.kind == FailureKind::Unread)
    }

    /// The version that wrote the state there is, as far as that is known: of kept ones who served last, else the last good one.
    pub(crate) fn writer(&self) -> Option<&Candidate> {
        self.served.as_ref().or(self.good.as_ref())
    }

    /// Of candidates that failed the one to tell of: one that served and was rolled back, else the highest version.
    pub(crate) fn highest<'a>(&self, candidates: &[&'a Candidate]) -> Option<&'a Candidate> {
        candidates.iter().copied().max_by_key(|c| (self.is_rolled_back(&c.digest), &c.version))
    }

    /// The service's line in the list. `target` is what would serve if it could.
    pub(crate) fn row(&self, name: &str, target: Option<&Candidate>) -> Row {
        let serving = self.serving.as_ref();
        let (code, blame) = shown(self.reason.as_ref().and_then(|why| why.code));
        Row {
            name: name.to_owned(),
            version: serving
                .map(|serving| serving.side.version.clone())
                .or_else(|| target.map(|target| target.manifest.version.clone())),
            generation: serving.map(|serving| serving.side.generation),
            phase: self.phase,
            digest: serving.map(|s| &s.digest).or(target.map(|t| &t.digest)).map(|d| d.as_str().to_owned()),
            source: serving.map(|s| s.source.clone()).or_else(|| target.map(|t| t.path.clone())),
            reason: self.reason.as_ref().map(|why| why.text.clone()),
            code,
            blame,
            pinned_generations: self.remains.len() as u64,
            pinned_bytes: self.remains.iter().map(|remains| remains.pinned.bytes).sum(),
        }
    }
}
