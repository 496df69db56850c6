//! Commands: they change what is wished for; the loop does the rest, and answers when it is done.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

use super::Kernel;
use crate::error::{Code, Trouble};
use crate::kernel::files::Candidate;
use crate::kernel::records::remove;
use crate::kernel::service::{Service, Task};
use crate::kernel::view::Phase;
use crate::kernel::wish::{Goal, Reply, Sight, Wish};
use crate::trust::signature;
use crate::verify::Digest;
use crate::{Changed, ControlError};

impl Kernel {
    /// A file was put into the folder whole: look, and tell when its content serves.
    pub(crate) fn await_file(
        &mut self,
        name: String,
        path: PathBuf,
        digest: Digest,
        force: bool,
        reply: Reply,
    ) {
        // Whoever adds a file by hand wants it tried, also when it failed or was rolled back before.
        self.try_digest_again(&name, &digest);
        self.moved.extend([signature::path_of(&path), path]);
        self.look_at = Instant::now();
        self.wishes.push(Wish::new(name, Goal::Takes(digest), reply).forced(force));
    }

    pub(crate) fn reload(&mut self, name: String, force: bool, reply: Reply) {
        let paths: Vec<PathBuf> =
            self.candidates_of(&name).iter().map(|candidate| candidate.path.clone()).collect();
        let Some(service) = self.services.get_mut(&name) else { return self.refuse_unknown(&name, &reply) };
        if self.held.contains(&name) {
            let reason =
                format!("failed to reload service `{name}`: it was stopped; `hotbay start {name}` starts it");
            let reason = Trouble::new(Code::IsStopped, reason);
            return send(&reply, Err(ControlError::Refused { reason }));
        }
        if service.back || service.busy.is_some_and(|busy| busy.task == Task::RollBack) {
            return send(&reply, Err(ControlError::Busy { command: "reload", name, with: "a rollback" }));
        }
        service.reload = true;
        // A swap that is on its way does not count: this one comes after it.
        let after = service.ended + u64::from(service.is_changing());
        self.try_again(&name);
        for path in paths {
            self.files.reread(&path);
        }
        self.look_at = Instant::now();
        let wish = Wish::new(name, Goal::Ends { command: "reload", after }, reply);
        self.wishes.push(wish.forced(force));
    }

    /// Goes back to the last good version.
    pub(crate) fn roll_back(&mut self, name: String, reply: Reply) {
        let Some(service) = self.services.get_mut(&name) else { return self.refuse_unknown(&name, &reply) };
        let refuse = |code, why: &str| {
            let reason = Trouble::new(code, format!("failed to roll service `{name}` back: {why}"));
            send(&reply, Err(ControlError::Refused { reason }));
        };
        // Which version is meant is plain only while nothing changes.
        let with = match service.busy.map(|busy| busy.task) {
            Some(Task::Swap) => Some("a swap"),
            Some(Task::RollBack) => Some("a rollback"),
            Some(Task::Start) => Some("a start"),
            Some(Task::Stop) => Some("a stop"),
            Some(Task::Snapshot | Task::Keep | Task::Configure) | None if service.back => Some("a rollback"),
            Some(Task::Snapshot | Task::Keep | Task::Configure) | None if service.reload => Some("a reload"),
            Some(Task::Snapshot | Task::Keep | Task::Configure) | None => None,
        };
        if let Some(with) = with {
            return send(&reply, Err(ControlError::Busy { command: "roll back", name, with }));
        }
        if self.held.contains(&name) || service.serving.is_none() {
            return refuse(Code::NotRunning, "it does not run; `hotbay why` says why");
        }
        match (&service.good, service.way_back()) {
            (_, Some(_)) => {}
            (Some(good), None) => {
                let failed = service.failed.get(&good.digest).map(|failure| &*failure.reason);
                let version = &good.version;
                let why = match failed {
                    Some(why) => format!("the version before, {version}, failed itself: {why}"),
                    None => format!(
                        "version {version}, which serves, is the last good one; there is none before it"
                    ),
                };
                return refuse(Code::NothingToGoBackTo, &why);
            }
            (None, None) => {
                let why = "there is no earlier version: it was not swapped since its file was added";
                return refuse(Code::NothingToGoBackTo, why);
            }
        }
        service.back = true;
        service.rest = None;
        let after = service.ended;
        self.wishes.push(Wish::new(name, Goal::Ends { command: "roll back", after }, reply));
    }

    pub(crate) fn start(&mut self, name: String, fresh: bool, reply: Reply) {
        if let Err(error) = self.held.release(&name) {
            let reason = format!("failed to note that service `{name}` may run: {error}");
            let reason = Trouble::new(Code::NotWritten, reason);
            return send(&reply, Err(ControlError::Failed { reason }));
        }
        let Some(service) = self.services.get_mut(&name) else { return self.refuse_unknown(&name, &reply) };
        if fresh && (service.serving.is_some() || service.busy.is_some()) {
            let reason = format!(
                "failed to start service `{name}` afresh: it runs, or is about to; `hotbay stop {name}` first"
            );
            let reason = Trouble::new(Code::RunsAlready, reason);
            return send(&reply, Err(ControlError::Refused { reason }));
        }
        service.fresh = fresh;
        if service.serving.is_none() {
            service.enter(Phase::Starting, None);
        }
        self.try_again(&name);
        self.wishes.push(Wish::new(name, Goal::Runs, reply));
    }

    pub(crate) fn stop(&mut self, name: String, force: bool, reply: Reply) {
        let Some(service) = self.services.get_mut(&name) else { return self.refuse_unknown(&name, &reply) };
        (service.last, service.rest) = (None, None);
        if let Err(error) = self.held.hold(&name) {
            let reason = format!("failed to note that service `{name}` is to stay stopped: {error}");
            let reason = Trouble::new(Code::NotWritten, reason);
            return send(&reply, Err(ControlError::Failed { reason }));
        }
        self.wishes.push(Wish::new(name, Goal::Stops, reply).forced(force));
    }

    /// Writes the state of a service down, now. One that is on its way does not count: it may have looked before.
    pub(crate) fn snapshot(&mut self, name: String, reply: Reply) {
        let Some(service) = self.services.get_mut(&name) else { return self.refuse_unknown(&name, &reply) };
        let why = match &service.serving {
            None => "it does not run; what it had was written when it stopped",
            Some(serving) if !serving.stateful => "it keeps no state",
            Some(_) => {
                service.snapshot_wanted = true;
                self.shared.snapshots.demand(&name);
                let under_way = service.busy.is_some_and(|busy| busy.task == Task::Snapshot);
                let after = service.snapshots + u64::from(under_way);
                return self.wishes.push(Wish::new(name, Goal::Saved { after }, reply));
            }
        };
        let reason = format!("failed to take a snapshot of service `{name}`: {why}");
        let reason = Trouble::new(Code::NothingToSave, reason);
        send(&reply, Err(ControlError::Refused { reason }));
    }

    /// Keeps a service from starting while its state is exchanged on disk, until [`Kernel::release`]. Refused while somebody has it in
    /// memory, and would write it down again.
    pub(crate) fn reserve(&mut self, name: &str) -> Result<(), ControlError> {
        let is_at_rest = |service: &Service| {
            service.serving.is_none() && service.busy.is_none() && service.phase != Phase::Starting
        };
        let Some(service) = self.services.get(name).filter(|service| !is_at_rest(service)) else {
            if self.reserved.insert(name.to_owned()) {
                return Ok(());
            }
            let with = "another one";
            return Err(ControlError::Busy {
                command: "exchange the snapshot of",
                name: name.to_owned(),
                with,
            });
        };
        let reason = format!(
            "failed to put another snapshot in the place of the newest of service `{name}`: it is {}; `hotbay stop {name}` first, and `hotbay start {name}` then",
            service.phase
        );
        Err(ControlError::Refused { reason: Trouble::new(Code::StateInUse, reason) })
    }

    /// Its state is exchanged: it may start.
    pub(crate) fn release(&mut self, name: &str) {
        self.reserved.remove(name);
    }

    pub(crate) fn remove(&mut self, name: String, reply: Reply) {
        let mut paths: BTreeSet<PathBuf> =
            self.candidates_of(&name).iter().map(|candidate| candidate.path.clone()).collect();
        let service = self.services.get(&name);
        let serving = service.and_then(|service| service.serving.as_ref());
        if let Some(serving) = serving {
            paths.insert(serving.source.clone());
            // What lies where it came from may be no plugin any more: it would hold the name.
            let of_another = |c: &Candidate| c.path == serving.home && c.manifest.name != name;
            if !self.files.candidates().any(of_another) {
                paths.insert(serving.home.clone());
            }
        }
        let row = self.row(&name).or_else(|| {
            let row = self.files.rows().find(|row| row.name == name)?;
            paths.extend(row.source.clone());
            Some(row)
        });
        let Some(mut row) = row else { return self.refuse_unknown(&name, &reply) };
        for path in &paths {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    let reason = format!("failed to remove `{}`: {error}", path.display());
                    let reason = Trouble::new(Code::NotWritten, reason);
                    return send(&reply, Err(ControlError::Failed { reason }));
                }
                _ => {
                    self.files.drop_now(path);
                    remove(&signature::path_of(path));
                }
            }
        }
        if let Some(service) = self.services.get_mut(&name) {
            (service.last, service.rest) = (None, None);
            // An operation that is on its way may be reading what was kept: then it is forgotten when the service has gone.
            if service.busy.is_none() {
                self.forget_record(&name);
            }
        }
        (row.phase, row.reason) =
            (Phase::Stopped, Some("its file was removed; its state is kept".to_owned()));
        (row.code, row.blame) = (None, None);
        self.look_at = Instant::now();
        self.wishes.push(Wish::new(name, Goal::Goes(Box::new(Changed::of(row, None))), reply));
    }

    pub(super) fn refuse_unknown(&self, name: &str, reply: &Reply) {
        let refused = self.files.refused_as(name).cloned();
        send(
            reply,
            Err(refused.map_or_else(|| self.not_found(name), |reason| ControlError::Refused { reason })),
        );
    }

    /// Tells when what lay in the folder at the start has started or failed.
    pub(crate) fn await_ready(&mut self, ready: mpsc::Sender<()>) {
        self.ready.push(ready);
    }

    /// Answers whoever waited for the operation that ended just now, before the next one begins.
    pub(super) fn answer_ended(&mut self) {
        let wishes = std::mem::take(&mut self.wishes);
        for wish in wishes {
            let service = self.services.get(&wish.name);
            match service.and_then(|service| wish.answer_ended(service, self.target(&wish.name))) {
                Some(answer) => send(&wish.reply, answer),
                None => self.wishes.push(wish),
            }
        }
    }

    /// Answers the wishes that came true, or cannot.
    pub(super) fn answer_wishes(&mut self) {
        let starting = |service: &Service| service.busy.is_some_and(|busy| busy.task == Task::Start);
        if !self.files.is_settling() && !self.services.values().any(starting) {
            // Whoever asked may have given up.
            for ready in self.ready.drain(..) {
                let _ = ready.send(());
            }
        }
        let (wishes, full) = (std::mem::take(&mut self.wishes), self.over_budget().is_some());
        for wish in wishes {
            let sight = Sight {
                service: self.services.get(&wish.name),
                target: self.target(&wish.name),
                files: &self.files,
                held: self.held.contains(&wish.name),
                full,
                is_there: !self.candidates_of(&wish.name).is_empty(),
            };
            match wish.answer(&sight) {
                Some(answer) => {
                    if wish.removed() && answer.is_ok() {
                        // A swap that was on its way may have left something since.
                        self.forget_record(&wish.name);
                    }
                    if wish.reloads()
                        && answer.is_err()
                        && let Some(service) = self.services.get_mut(&wish.name)
                    {
                        // Whoever was told that it is not done must not see it done later.
                        service.reload = false;
                    }
                    send(&wish.reply, answer);
                }
                // Nobody waits any longer: what was asked for may still come.
                None if wish.is_over() => {}
                None => self.wishes.push(wish),
            }
        }
    }
}

fn send(reply: &Reply, answer: Result<Changed, ControlError>) {
    reply.send(answer);
}
