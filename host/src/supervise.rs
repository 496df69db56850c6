//! Supervise: the kernel's one loop. It compares what the folder holds and what was asked for with what runs, and
//! starts the operations that bring the two together. It never loads, calls or waits for a plugin itself.

mod carry_out;
mod commands;
mod crew;
mod decide;
mod health;
mod lifecycle;
mod metrics;
mod probation;
mod remains;
mod reports;
pub(crate) mod settings;
mod trust;
mod views;

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use crew::Crew;
use settings::Edits;

use crate::error::{Code, Trouble};
use crate::kernel::files::Files;
use crate::kernel::held::Held;
use crate::kernel::op::{self, Outcome, Report};
use crate::kernel::plan;
use crate::kernel::probation::Mark;
use crate::kernel::restarts::Restarts;
use crate::kernel::rolled_back::RolledBackDigests;
use crate::kernel::service::{Service, Task};
use crate::kernel::settle::settle;
use crate::kernel::shared::Shared;
use crate::kernel::tally::Counts;
use crate::kernel::wish::Wish;
use crate::unload::Remains;
use crate::verify::Verified;
use crate::watch::Watch;
use crate::{Config, ffi};

/// A service lets one of higher priority finish its start first, for so long at most: one that hangs holds nobody up.
const PRIORITY_PATIENCE: Duration = Duration::from_secs(3);

/// What failed for a reason that may pass is tried again after so long: soon enough for a disk that was full, seldom
/// enough for callers whom each attempt to stop turns away for a moment.
const RETRY: Duration = Duration::from_secs(5);

/// What is kept of a service that is gone, in case it comes back: counts never go down.
#[derive(Debug)]
struct Past {
    committed: u64,
    rolled_back: u64,
    restarts: Restarts,
    counts: Counts,
    remains: Vec<Remains>,
}

impl Past {
    fn of(service: Service) -> Self {
        let Service { committed, rolled_back, mut restarts, past: counts, remains, .. } = service;
        // Whoever brings it back wants it to run.
        restarts.lift();
        Self { committed, rolled_back, restarts, counts, remains }
    }

    fn come_back(self, service: &mut Service) {
        let Self { committed, rolled_back, restarts, counts, remains } = self;
        (service.committed, service.rolled_back) = (committed, rolled_back);
        (service.restarts, service.past, service.remains) = (restarts, counts, remains);
    }
}

/// What wakes the loop.
pub(crate) enum Message {
    /// Something in the folder moved; these paths were moved to.
    Look(BTreeSet<PathBuf>),
    /// Somebody asks or commands.
    Ask(Box<dyn FnOnce(&mut Kernel) + Send>),
    /// An operation ended.
    Done(Box<Report>),
    /// Pinned libraries were looked for: by load, whether each is there, as far as that could be seen.
    Looked(BTreeMap<u64, bool>),
    /// Calls of a service went wrong: its own alarm says so.
    Alarm,
    /// The host ends.
    End(mpsc::Sender<()>),
}

/// Everything that only the loop touches.
#[derive(Debug)]
pub(crate) struct Kernel {
    pub(crate) shared: Arc<Shared>,
    pub(crate) files: Files,
    pub(crate) held: Held,
    pub(crate) rolled_back: RolledBackDigests,
    pub(crate) services: BTreeMap<String, Service>,
    pub(crate) wishes: Vec<Wish>,
    // Services whose state is being exchanged on disk: none of them starts meanwhile.
    reserved: BTreeSet<String>,
    // Services that serve and are to stop, as it was decided last, in the order in which they would start.
    leaving: Vec<String>,
    // What is left of services that nothing provides any more.
    gone: BTreeMap<String, Past>,
    ready: Vec<mpsc::Sender<()>>,
    watch: Watch,
    inbox: mpsc::Receiver<Message>,
    sender: mpsc::Sender<Message>,
    moved: BTreeSet<PathBuf>,
    // What the look of this turn read. Only until it is decided what to load: a folder must not live in memory.
    read: Vec<Verified>,
    // When to look at the folder next, whatever is heard.
    look_at: Instant,
    rescan_at: Instant,
    // When to decide again: something waits for time to pass.
    decide_at: Option<Instant>,
    folder_is_lost: bool,
    edits: Edits,
    // Why the file of the settings is not in force.
    settings_trouble: Option<Trouble>,
    // Looks for libraries that were pinned.
    looking: Option<std::thread::JoinHandle<()>>,
    // Lets libraries go whose holders have ended.
    releasing: Option<std::thread::JoinHandle<()>>,
    crew: Crew,
    // Whether it was told that a plugin keeps the system's loader.
    held_up: bool,
}

impl Kernel {
    pub(crate) fn new(
        shared: Arc<Shared>,
        held: Held,
        rolled_back: RolledBackDigests,
        deadly: Vec<(String, Mark)>,
        inbox: mpsc::Receiver<Message>,
        sender: mpsc::Sender<Message>,
    ) -> Self {
        shared.spares.fill();
        let folder = shared.config.plugins.clone();
        let tell = sender.clone();
        let wake = sender.clone();
        shared.wake.by(move || drop(wake.send(Message::Alarm)));
        let settings = shared.config.source.file.as_deref();
        let watch = Watch::new(&folder, settings, shared.config.watch.mode, move |moved| {
            // The loop is gone when the host ends.
            let _ = tell.send(Message::Look(moved));
        });
        let files = Files::new(folder, &shared.config.watch);
        let edits = Edits::of(&shared.config);
        let now = Instant::now();
        let mut kernel = Self {
            shared,
            files,
            held,
            rolled_back,
            services: BTreeMap::new(),
            wishes: Vec::new(),
            reserved: BTreeSet::new(),
            leaving: Vec::new(),
            gone: BTreeMap::new(),
            ready: Vec::new(),
            watch,
            inbox,
            sender,
            moved: BTreeSet::new(),
            read: Vec::new(),
            look_at: now,
            rescan_at: now,
            decide_at: None,
            folder_is_lost: false,
            edits,
            settings_trouble: None,
            looking: None,
            releasing: None,
            crew: Crew::gather(),
            held_up: false,
        };
        kernel.condemn_deadly(deadly);
        kernel
    }

    /// Runs until the host ends.
    pub(crate) fn run(mut self) {
        settle();
        loop {
            self.look();
            self.decide();
            self.read.clear();
            self.answer_wishes();
            if let Some(ended) = self.wait() {
                self.end();
                let _ = ended.send(());
                return;
            }
            self.look_at_probations();
            self.look_at_health();
            self.settle_trust();
            self.tell_held_up();
            self.look_at_deliveries();
        }
    }

    /// Waits for the next message or moment, and takes in all messages that are there.
    fn wait(&mut self) -> Option<mpsc::Sender<()>> {
        let snapshots = self.services.values().filter(|s| s.is_due_for_snapshots()).map(|s| s.snapshot_due);
        let next = snapshots
            .chain(self.decide_at)
            .chain(self.next_probation())
            .chain(self.next_health())
            .chain([self.look_at])
            .min();
        let next = next.unwrap_or(self.look_at);
        // The loop holds a sender itself, so this ends with a message or with the time.
        let mut message = self.inbox.recv_timeout(next.saturating_duration_since(Instant::now())).ok();
        while let Some(taken) = message {
            match taken {
                Message::Look(moved) => {
                    self.moved.extend(moved);
                    self.look_at = Instant::now();
                }
                Message::Ask(ask) => ask(self),
                Message::Done(report) => {
                    self.take_in(*report);
                    // Before the next message, which may be a command: whoever waited for this end is told of it.
                    self.answer_ended();
                }
                // It has waked us.
                Message::Alarm => {}
                Message::Looked(seen) => self.forget_remains(&seen),
                Message::End(ended) => return Some(ended),
            }
            message = self.inbox.try_recv().ok();
        }
        None
    }

    /// Looks at the folder when it is time.
    fn look(&mut self) {
        let now = Instant::now();
        if now < self.look_at {
            return;
        }
        if now >= self.rescan_at {
            self.rescan_at = now + self.shared.config.watch.rescan;
            self.watch.rearm();
            self.look_for_remains();
        }
        self.look_at = self.rescan_at;
        if let Some(again) = self.look_at_settings() {
            self.look_at = self.look_at.min(again);
        }
        let moved = std::mem::take(&mut self.moved);
        let look = match self.files.look(&moved, &self.shared.trust) {
            Ok(look) => look,
            Err(error) => {
                // A folder that cannot be read is no folder without files: everything stays as it is.
                if !std::mem::replace(&mut self.folder_is_lost, true) {
                    let folder = self.files.folder().display();
                    tracing::error!(%error, "failed to read the plugins folder `{folder}`; what runs stays");
                }
                return;
            }
        };
        self.folder_is_lost = false;
        self.read = look.read;
        if let Some(again) = look.again {
            self.look_at = self.look_at.min(again);
        }
        let journal = &self.shared.journal;
        for candidate in look.verified {
            let (name, file) = (&candidate.manifest.name, candidate.path.display());
            // Told together: before it was read, nobody knew whose file it is.
            journal.note("discovered", Some(name), None, file.to_string());
            journal.note("verified", Some(name), None, format!("version {}", candidate.version));
            if let Some(better) = self.target(name).filter(|better| better.digest != candidate.digest) {
                let text = format!("{file} by version {} in {}", better.version, better.path.display());
                journal.note("shadowed", Some(name), None, Trouble::new(Code::Shadowed, text));
            }
        }
        for (path, refused) in look.refused {
            let name = refused.manifest.as_ref().map(|manifest| manifest.name.as_str());
            journal.note("rejected", name, None, refused.reason.within(path.display()));
        }
        self.hear_vouched(look.vouched);
        let journal = &self.shared.journal;
        for path in look.gone {
            journal.note("removed", None, None, path.display().to_string());
        }
    }

    /// Runs `body` on a thread of the crew and takes its report in when it comes.
    fn spawn(
        &self,
        name: &str,
        body: impl FnOnce(&Arc<Shared>) -> Report + Send + 'static,
    ) -> std::io::Result<()> {
        let (shared, sender, name) = (Arc::clone(&self.shared), self.sender.clone(), name.to_owned());
        self.crew.run(Box::new(move || {
            let done = catch_unwind(AssertUnwindSafe(|| body(&shared)));
            let report = done.unwrap_or_else(|_| {
                let reason = "an operation of the host broke down; this is a defect of the host";
                let reason = Trouble::new(Code::Defect, reason);
                Report {
                    name: name.into(),
                    task: Task::Start,
                    outcome: Outcome::Broken(reason),
                    remains: Vec::new(),
                }
            });
            let _ = sender.send(Message::Done(Box::new(report)));
            shared.spares.fill();
        }))
    }

    /// Who keeps the system's loader for itself: nothing can be loaded or unloaded then.
    fn held_up(&self) -> Option<ffi::Holder> {
        ffi::held_up(self.shared.config.swap.callback)
    }

    /// Says once that the loader is kept. What is lost by it is told with each service that waits for it.
    fn tell_held_up(&mut self) {
        let holder = self.held_up();
        if let Some(holder) = holder.as_ref().filter(|_| !self.held_up) {
            tracing::error!(plugin = holder.object.service(), "{holder}");
        }
        self.held_up = holder.is_some();
    }

    /// Goes on without messages that hang in a plugin: others wait behind them.
    fn look_at_deliveries(&self) {
        let within = self.shared.config.swap.callback;
        for name in self.shared.inboxes.go_on_without(within) {
            let within = within.as_millis();
            tracing::error!(plugin = %name, "a message was not handled within {within} ms: its thread is left behind, the next one is brought");
        }
    }

    /// Stops everything: who requires before what is required, state on disk, libraries gone.
    fn end(&mut self) {
        // Whoever waits is told by this that the host ends.
        self.wishes.clear();
        // Operations have deadlines of their own; this bounds their sum.
        let Config { swap, probe, .. } = &self.shared.config;
        let patience = Instant::now()
            + 10 * swap.callback
            + 2 * swap.drain
            + 2 * probe.deadline
            + Duration::from_secs(10);
        while self.services.values().any(|service| service.busy.is_some()) {
            match self.inbox.recv_timeout(patience.saturating_duration_since(Instant::now())) {
                Ok(Message::Done(report)) => self.take_in(*report),
                // Whoever asks now is told, by the end of the channel, that the host ends.
                Ok(_) => {}
                Err(_) => break,
            }
        }
        let mut order = plan::start_order(&self.graph());
        order.reverse();
        for name in order {
            let Some(service) = self.services.get_mut(&name) else { continue };
            let Some(generation) = service.generation.take() else { continue };
            let report = op::stop(&self.shared, &service.slot, generation, op::Stop::HostEnds);
            self.take_in(report);
        }
        if let Some(holder) = self.held_up() {
            tracing::error!("{holder}; the host ends without unloading what is left");
        }
        self.shared.registry.bus().close();
        self.shared.marks.close();
        self.shared.journal.close();
    }
}

#[cfg(test)]
mod tests;
