//! Operations: what takes time. Each runs on a thread of its own, one at a time per service, and reports to the loop.

mod configure;
mod keep;
mod rollback;
mod start;
mod stop;
mod swap;

pub(crate) use configure::{configure, tell_level};
pub(crate) use keep::keep;
pub(crate) use rollback::{Cause, roll_back};
pub(crate) use start::{Begin, start};
pub(crate) use stop::{Stop, snapshot, stop};
pub(crate) use swap::swap;

use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use super::files::{Candidate, Wanted};
use super::generation::Generation;
use super::inboxes::Waiting;
use super::journal::Journal;
use super::lane::Lane;
use super::service::{Failure, FailureKind, Task};
use super::shared::Shared;
use super::tables::{Offered, Table};
use super::view::{Receipt, Side};
use crate::discover::discover;
use crate::error::{Code, Coded as _, Trouble};
use crate::fault;
use crate::ffi::{CreateError, Services};
use crate::load::{LoadFailed, Loaded, Place, load};
use crate::os;
use crate::probe::{ProbeError, probe};
use crate::swap::{Capsule, Stages, guarded};
use crate::trust::{By, warns};
use crate::unload::{Reason, Remains, Unloaded, uncreated, unload};
use crate::verify::{VerifyError, verify};

/// Threads that were waited for before have ended, but for those that do not.
const MOMENT: Duration = Duration::from_millis(10);

/// How an operation ended, for the loop.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) name: Arc<str>,
    pub(crate) task: Task,
    pub(crate) outcome: Outcome,
    /// Libraries that could not be unmapped.
    pub(crate) remains: Vec<Remains>,
}

#[derive(Debug)]
pub(crate) enum Outcome {
    /// A generation was started and published.
    Started { generation: Arc<Generation>, version: semver::Version },
    /// Another took over.
    Swapped { generation: Arc<Generation>, version: semver::Version, receipt: Box<Receipt> },
    /// The old one serves on, unless `old` is `None`: then the way back failed too.
    RolledBack { candidate: Candidate, old: Option<Arc<Generation>>, receipt: Box<Receipt>, failure: Failure },
    /// Nothing was started.
    NotStarted { candidate: Candidate, failure: Failure },
    /// It is stopped; whether it had state, in words, and where that was not kept, what is lost.
    Stopped { kept: &'static str, lost: Option<String> },
    /// It could not be stopped without losing something, and serves on.
    NotStopped { generation: Arc<Generation>, failure: Failure },
    /// Its state was looked at, and written if it had changed.
    Snapshotted(Result<(), Trouble>),
    /// The version that serves was offered another table of the configuration.
    Configured { table: Arc<Table>, offered: Offered },
    /// Its library was told another level of the log, or does not listen.
    Levelled(Result<(), Trouble>),
    /// The version that serves was to be kept.
    Kept(Result<(), Trouble>),
    /// The operation itself broke down: a defect of the host.
    Broken(Trouble),
}

/// From a file to a created plugin. Should a step of the host's own panic, nothing of the plugin is mapped yet: it is a
/// failure like any other.
fn prepare(
    shared: &Shared,
    name: &Arc<str>,
    number: u64,
    wanted: &mut Wanted,
    stages: &mut Stages,
) -> Result<Loaded, (Failure, Unloaded)> {
    guarded("prepare", || Ok(steps(shared, name, number, wanted, stages)))
        .unwrap_or_else(|reason| Err((Failure { kind: FailureKind::Faulted, reason }, Unloaded::Gone)))
}

/// Discover, verify, trust, stage, probe, load.
fn steps(
    shared: &Shared,
    name: &Arc<str>,
    number: u64,
    wanted: &mut Wanted,
    stages: &mut Stages,
) -> Result<Loaded, (Failure, Unloaded)> {
    let Wanted { candidate, read } = wanted;
    let failed =
        |kind, code, text: String| (Failure { kind, reason: Trouble::new(code, text) }, Unloaded::Gone);
    let refused = |kind, reason: Trouble| (Failure { kind, reason }, Unloaded::Gone);
    let moved = || {
        if shared.keeps(&candidate.path) {
            let reason = format!("the kept bytes of version {} are damaged or gone", candidate.version);
            return failed(FailureKind::Faulted, Code::KeptBytesGone, reason);
        }
        failed(FailureKind::Moved, Code::ChangedMeanwhile, "the file changed meanwhile".to_owned())
    };
    let passing =
        |e: std::io::Error, code, what: &str| failed(FailureKind::Passing, code, format!("{what}: {e}"));

    let unverified = |error: VerifyError| {
        let kind = if error.may_pass() { FailureKind::Passing } else { FailureKind::Refused };
        refused(kind, error.into())
    };
    let mut verified = stages.time("verify", || {
        fault::point("verify", name)
            .map_err(|e| passing(e, Code::FileUnread, "failed to read the file again"))?;
        // What the loop has read just now is what runs, whatever lies there by now: the next look sees that.
        if let Some(read) = read.take() {
            return Ok(*read);
        }
        let discovered = discover(&candidate.path).map_err(|_| moved())?;
        match verify(discovered) {
            Ok(verified) if verified.digest == candidate.digest => Ok(verified),
            Err(refused) if refused.may_pass() || refused.digest.as_ref() == Some(&candidate.digest) => {
                Err(unverified(refused.error))
            }
            // It is another: the next look tells what.
            Ok(_) | Err(_) => Err(moved()),
        }
    })?;
    // Here and not where files are looked at: the file says where to look, and that may keep whoever does.
    stages.time("needs", || verified.require_needs()).map_err(unverified)?;
    // A load that fails for want of means fails anywhere, also in the system's loader: so it is not begun. Until it is over, others that come
    // are let through where there is room beside it.
    let room = shared.settings().room_of(name);
    let lanes = room.lanes as u64;
    let _begun = stages
        .time("means", || {
            fault::point("means", name).map_err(|e| e.to_string())?;
            shared.margin.require(verified.bytes.len() as u64, lanes)
        })
        .map_err(|reason| failed(FailureKind::Passing, Code::NoRoom, reason))?;
    let kept = shared.keeps(&candidate.path);
    let standing = stages.time("trust", || {
        if kept { shared.trust.judge_kept(&verified) } else { shared.trust.judge(&verified) }
    });
    let standing = match standing {
        Ok(standing) => standing,
        Err(distrust) if kept => return Err(refused(FailureKind::Refused, distrust.into())),
        // What vouched for it is another than a moment ago: the next look tells.
        Err(_) => return Err(moved()),
    };
    // Before anything of it runs: what it would choke on is told by its line in the file.
    let table = shared
        .tables
        .for_version(name, &candidate.manifest)
        .map_err(|misfit| refused(FailureKind::Refused, misfit))?;
    shared.trust.remember(name, &verified.digest, &standing).map_err(|e| {
        let what = "failed to note where it came from, is the disk of the home folder full?";
        passing(e, Code::OriginNotNoted, what)
    })?;
    let staged =
        stages.time("stage", || fault::point("stage", name).and_then(|()| shared.stage.stage(verified)));
    let full = "failed to stage it, is the disk of the home folder full?";
    let staged = staged.map_err(|e| passing(e, Code::NotStaged, full))?;
    let probed = stages.time("probe", || probe(staged, &table.json, &shared.config.probe, &shared.verdicts));
    let probed = probed.map_err(|error| match error {
        ProbeError::Start { .. } | ProbeError::NoProbe { .. } => refused(FailureKind::Passing, error.into()),
        _ => refused(FailureKind::Refused, error.into()),
    })?;
    let of = Side {
        version: candidate.manifest.version.clone(),
        generation: number,
        digest: candidate.digest.as_str().to_owned(),
    };
    shared.journal.note("probed", Some(name), Some(&of), probed.how);
    if standing.by != By::Nobody || warns(&shared.config.trust, &standing) {
        shared.journal.note("trusted", Some(name), Some(&of), standing.to_string());
    }
    if warns(&shared.config.trust, &standing) {
        tracing::warn!(plugin = %name, "it is loaded although it is {standing}");
    }
    let load_number = shared.next_load();
    let deadline = shared.config.swap.callback;
    let (wake, spares) = (&shared.wake, &shared.spares);
    let place = Place { name, number, load: load_number, room, table: &table, deadline, wake, spares };
    let services: Arc<dyn Services> = Arc::clone(&shared.registry) as _;
    let left = Remains::of(&probed.staged, number, load_number);
    let (mark, began) = (probed.staged.mark, os::moment());
    let loaded = stages.time("load", || load(probed, &place, services)).map_err(|error| {
        let reason = Trouble::new(error.code(), error.in_words());
        match error {
            LoadFailed::Hangs(deadline) => {
                let unloaded = left.because(&Reason::CreateHangs { deadline });
                (Failure { kind: FailureKind::Faulted, reason }, unloaded)
            }
            LoadFailed::Create(CreateError::Failed(_) | CreateError::Panicked(_)) => {
                let unloaded = uncreated(left, mark, began, deadline);
                if let Some(reason) = unloaded.trouble() {
                    shared.journal.note("pinned", Some(name), Some(&of), reason);
                }
                (Failure { kind: FailureKind::Faulted, reason }, unloaded)
            }
            LoadFailed::Lane(_) => refused(FailureKind::Passing, reason),
            LoadFailed::Loader(holder, object) => {
                let kind =
                    if holder.object.is(&object) { FailureKind::Faulted } else { FailureKind::Passing };
                (Failure { kind, reason }, left.because(&Reason::Busy { deadline }))
            }
            _ => refused(FailureKind::Faulted, reason),
        }
    })?;
    shared.add_lane(load_number, &loaded.generation.lane);
    // Where a plugin's own test of itself will run, once the contract has one.
    let sound = guarded("self_test", || {
        fault::point("self_test", name).map_err(|e| Trouble::new(Code::Defect, e.to_string()))
    });
    match sound {
        Ok(()) => Ok(loaded),
        Err(reason) => {
            Err((Failure { kind: FailureKind::Faulted, reason }, retire(shared, loaded.generation)))
        }
    }
}

/// Unloads a generation that nobody is inside of, and says what was seen.
fn retire(shared: &Shared, generation: Arc<Generation>) -> Unloaded {
    let side = generation.side();
    let name = Arc::clone(&generation.name);
    let lanes = shared.other_lanes(generation.load);
    let deadline = shared.config.swap.callback;
    // Its `stop` has waited for them.
    let threads = generation.plugin.join_threads(MOMENT);
    let unloaded = if threads.is_empty() {
        unload(generation, &lanes, deadline)
    } else {
        unload_later(&shared.journal, generation, &lanes, Reason::Told { threads, deadline }, deadline)
    };
    tell_unloaded(&shared.journal, &name, &side, &unloaded);
    unloaded
}

fn tell_unloaded(journal: &Journal, name: &str, side: &Side, unloaded: &Unloaded) {
    match unloaded.trouble() {
        None => journal.note("unloaded", Some(name), Some(side), "its library is unmapped"),
        Some(reason) => journal.note("pinned", Some(name), Some(side), reason),
    }
}

/// Threads that the host started for it have not ended: it is unloaded when they have, however long that takes.
fn unload_later(
    journal: &Arc<Journal>,
    generation: Arc<Generation>,
    lanes: &[Arc<Lane>],
    reason: Reason,
    deadline: Duration,
) -> Unloaded {
    let (tell, later) = mpsc::channel();
    let left = Remains::of(&generation.staged, generation.number, generation.load);
    let unloaded = Remains { later: Some(later), ..left }.because(&reason);
    let journal = Arc::clone(journal);
    // Others' lanes end meanwhile.
    let lanes: Vec<Weak<Lane>> = lanes.iter().map(Arc::downgrade).collect();
    let waiting = os::spawn(&format!("retire-{}", generation.name), move || {
        while !generation.plugin.join_threads(deadline).is_empty() {}
        let (name, side) = (Arc::clone(&generation.name), generation.side());
        let lanes: Vec<Arc<Lane>> = lanes.iter().filter_map(Weak::upgrade).collect();
        let unloaded = unload(generation, &lanes, deadline);
        tell_unloaded(&journal, &name, &side, &unloaded);
        // The loop is gone when the host ends.
        let _ = tell.send(unloaded);
    });
    if let Err(error) = waiting {
        tracing::error!(%error, "failed to start a thread to retire a generation: it stays until the host ends");
    }
    unloaded
}

/// A generation serves: it gets the messages that wait for its service. How many those are.
fn serve_messages(shared: &Shared, generation: &Generation) -> Waiting {
    let name = &generation.name;
    // Of a service that is being forgotten there is none.
    let Ok(slot) = shared.registry.slot(name) else { return Waiting::default() };
    shared.inboxes.serve(&slot, generation, &shared.settings().service_of(name))
}

/// Nobody serves any more.
fn rest_messages(shared: &Shared, name: &str) {
    shared.inboxes.rest(name, &shared.settings().service_of(name));
}

fn remains(unloaded: Unloaded) -> Vec<Remains> {
    match unloaded {
        Unloaded::Gone => Vec::new(),
        Unloaded::Pinned(remains) => vec![*remains],
    }
}

/// Makes an earlier state the service's own again. What is there now is kept aside, and at no moment is there none.
fn put_back_state(shared: &Shared, name: &str, state: &Capsule) -> Result<(), Trouble> {
    let put_back = guarded("put_back", || shared.snapshots.put_back(name, state));
    let (aside, sequence) = put_back.inspect_err(|error| {
        tracing::error!(
            plugin = name,
            %error,
            "failed to put the state of the last good version back on disk"
        );
    })?;
    shared.snapshots.keep_head(true);
    let kept = aside.map(|path| format!("; the newer one is kept as {}", path.display())).unwrap_or_default();
    shared.journal.note(
        "snapshot",
        Some(name),
        None,
        format!("back to snapshot {}, as {sequence}{kept}", state.sequence),
    );
    Ok(())
}
