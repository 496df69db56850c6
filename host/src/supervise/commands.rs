//! Commands: they change what is wished for; the loop does the rest, and answers when it is done.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;
use std::time::Instant;

use super::Kernel;
use crate::kernel::service::{Service, Task};
use crate::kernel::view::Phase;
use crate::kernel::wish::{Goal, Sight, Wish};
use crate::verify::Digest;
use crate::{Changed, ControlError};

/// Where the answer goes.
pub(crate) type Reply = mpsc::Sender<Result<Changed, ControlError>>;

impl Kernel {
    /// A file was put into the folder whole: look, and tell when its content serves.
    pub(crate) fn await_file(&mut self, name: String, path: PathBuf, digest: Digest, reply: Reply) {
        if let Some(service) = self.services.get_mut(&name) {
            // Whoever adds a file by hand wants it tried, also when it failed before.
            service.failed.remove(&digest);
            service.rest = None;
        }
        self.moved.insert(path);
        self.look_at = Instant::now();
        self.wishes.push(Wish::new(name, Goal::Takes(digest), reply));
    }

    pub(crate) fn reload(&mut self, name: String, reply: Reply) {
        let paths: Vec<PathBuf> =
            self.candidates_of(&name).iter().map(|candidate| candidate.path.clone()).collect();
        let Some(service) = self.services.get_mut(&name) else { return self.refuse_unknown(&name, &reply) };
        if self.held.contains(&name) {
            let reason =
                format!("failed to reload service `{name}`: it was stopped; `hotbay start {name}` starts it");
            return send(&reply, Err(ControlError::Refused { reason }));
        }
        service.failed.clear();
        service.rest = None;
        service.reload = true;
        // A swap that is on its way does not count: this one comes after it.
        let after = service.ended + u64::from(service.is_changing());
        for path in paths {
            self.files.reread(&path);
        }
        self.look_at = Instant::now();
        self.wishes.push(Wish::new(name, Goal::Ends(after), reply));
    }

    pub(crate) fn start(&mut self, name: String, fresh: bool, reply: Reply) {
        if let Err(error) = self.held.release(&name) {
            let reason = format!("failed to note that service `{name}` may run: {error}");
            return send(&reply, Err(ControlError::Failed { reason }));
        }
        let Some(service) = self.services.get_mut(&name) else { return self.refuse_unknown(&name, &reply) };
        if fresh && (service.serving.is_some() || service.busy.is_some()) {
            let reason = format!(
                "failed to start service `{name}` afresh: it runs, or is about to; `hotbay stop {name}` first"
            );
            return send(&reply, Err(ControlError::Refused { reason }));
        }
        service.failed.clear();
        service.rest = None;
        service.fresh = fresh;
        if service.serving.is_none() {
            service.enter(Phase::Starting, None);
        }
        self.wishes.push(Wish::new(name, Goal::Runs, reply));
    }

    pub(crate) fn stop(&mut self, name: String, reply: Reply) {
        let Some(service) = self.services.get_mut(&name) else { return self.refuse_unknown(&name, &reply) };
        (service.last, service.rest) = (None, None);
        if let Err(error) = self.held.hold(&name) {
            let reason = format!("failed to note that service `{name}` is to stay stopped: {error}");
            return send(&reply, Err(ControlError::Failed { reason }));
        }
        self.wishes.push(Wish::new(name, Goal::Stops, reply));
    }

    pub(crate) fn remove(&mut self, name: String, reply: Reply) {
        let mut paths: BTreeSet<PathBuf> =
            self.candidates_of(&name).iter().map(|candidate| candidate.path.clone()).collect();
        let service = self.services.get(&name);
        let serving = service.and_then(|service| service.serving.as_ref());
        paths.extend(serving.map(|serving| serving.source.clone()));
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
                    return send(&reply, Err(ControlError::Failed { reason }));
                }
                _ => self.files.drop_now(path),
            }
        }
        if let Some(service) = self.services.get_mut(&name) {
            (service.last, service.rest) = (None, None);
        }
        (row.phase, row.reason) =
            (Phase::Stopped, Some("its file was removed; its state is kept".to_owned()));
        self.look_at = Instant::now();
        self.wishes.push(Wish::new(name, Goal::Goes(Box::new(Changed { row, receipt: None })), reply));
    }

    fn refuse_unknown(&self, name: &str, reply: &Reply) {
        let refused = self.files.rows().find(|row| row.name == name).and_then(|row| row.reason);
        send(
            reply,
            Err(refused.map_or_else(|| self.not_found(name), |reason| ControlError::Refused { reason })),
        );
    }

    /// Tells when what lay in the folder at the start has started or failed.
    pub(crate) fn await_ready(&mut self, ready: mpsc::Sender<()>) {
        self.ready.push(ready);
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
            };
            match wish.answer(&sight) {
                Some(answer) => send(&wish.reply, answer),
                // Nobody waits any longer: what was asked for may still come.
                None if wish.until <= Instant::now() => {}
                None => self.wishes.push(wish),
            }
        }
    }
}

fn send(reply: &Reply, answer: Result<Changed, ControlError>) {
    // Whoever asked may have given up.
    let _ = reply.send(answer);
}
