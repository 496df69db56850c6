//! Wishes: commands that wait until what they asked for is live, or cannot be.

use std::sync::{Arc, Weak, mpsc};
use std::time::{Duration, Instant};

use super::files::{Candidate, Files};
use super::service::{Ended, Failure, FailureKind, Service};
use super::view::Phase;
use crate::error::{Code, Trouble};
use crate::verify::Digest;
use crate::{Changed, ControlError};

/// No command waits longer, whatever its caller's deadline.
const LONGEST: Duration = Duration::from_secs(3600);

/// A command that waits.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) name: String,
    goal: Goal,
    force: bool,
    pub(crate) reply: Reply,
    until: Instant,
}

/// Where the answer goes, and whether somebody still waits for it.
#[derive(Debug)]
pub(crate) struct Reply {
    answer: mpsc::Sender<Result<Changed, ControlError>>,
    awaited: Weak<()>,
}

/// The other end of a [`Reply`]: whoever drops it waits no longer.
#[derive(Debug)]
pub(crate) struct Awaited {
    answer: mpsc::Receiver<Result<Changed, ControlError>>,
    _awaited: Arc<()>,
}

impl Reply {
    pub(crate) fn new() -> (Self, Awaited) {
        let ((send, receive), awaited) = (mpsc::channel(), Arc::new(()));
        let reply = Self { answer: send, awaited: Arc::downgrade(&awaited) };
        (reply, Awaited { answer: receive, _awaited: awaited })
    }

    pub(crate) fn send(&self, answer: Result<Changed, ControlError>) {
        // Whoever asked may have given up.
        let _ = self.answer.send(answer);
    }

    fn is_awaited(&self) -> bool {
        self.awaited.strong_count() > 0
    }
}

impl Awaited {
    pub(crate) fn within(
        &self,
        deadline: Duration,
    ) -> Result<Result<Changed, ControlError>, mpsc::RecvTimeoutError> {
        self.answer.recv_timeout(deadline)
    }
}

/// What it waits for.
#[derive(Debug)]
pub(crate) enum Goal {
    /// This content serves.
    Takes(Digest),
    /// An operation later than this many has ended; what was asked for is for those who are told that it did not come.
    Ends { command: &'static str, after: u64 },
    /// A snapshot later than this many is durable, or failed.
    Saved { after: u64 },
    /// The service runs.
    Runs,
    /// The service is stopped.
    Stops,
    /// The name is gone; this is what is told then.
    Goes(Box<Changed>),
}

/// What a wish looks at.
#[derive(Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) service: Option<&'a Service>,
    /// What would serve if it could.
    pub(crate) target: Option<&'a Candidate>,
    pub(crate) files: &'a Files,
    /// Whether it is to stay stopped.
    pub(crate) held: bool,
    /// Whether too much is pinned for another swap.
    pub(crate) full: bool,
    /// Whether a file holds it.
    pub(crate) is_there: bool,
}

type Answer = Option<Result<Changed, ControlError>>;

impl Wish {
    pub(crate) fn new(name: String, goal: Goal, reply: Reply) -> Self {
        Self { name, goal, force: false, reply, until: Instant::now() + LONGEST }
    }

    /// The same, whose swap is forced or not.
    pub(crate) fn forced(self, force: bool) -> Self {
        Self { force, ..self }
    }

    /// Whether it asks to stop the service also where its state cannot be kept.
    pub(crate) fn forces_stop(&self, service: &str) -> bool {
        self.force && self.reply.is_awaited() && self.name == service && matches!(self.goal, Goal::Stops)
    }

    /// Whether a swap of the service to this content is one that it asks to be forced. Force is for who is told what it
    /// cost: it does not outlive whoever asked.
    pub(crate) fn forces(&self, service: &str, digest: &Digest) -> bool {
        let asks_for_it = match &self.goal {
            Goal::Takes(asked) => asked == digest,
            Goal::Ends { .. } => true,
            _ => false,
        };
        self.force && self.reply.is_awaited() && self.name == service && asks_for_it
    }

    /// Whether nobody waits any longer. Where a service was to go, there is something to do then all the same.
    pub(crate) fn is_over(&self) -> bool {
        self.until <= Instant::now() || !self.reply.is_awaited() && !self.removed()
    }

    /// Whether the service was to go.
    pub(crate) fn removed(&self) -> bool {
        matches!(self.goal, Goal::Goes(_))
    }

    /// Whether the service was to be loaded anew.
    pub(crate) fn reloads(&self) -> bool {
        matches!(self.goal, Goal::Ends { command: "reload", .. })
    }

    /// The answer to who waits for the end of an operation. Asked before the next one begins.
    pub(crate) fn answer_ended(&self, service: &Service, target: Option<&Candidate>) -> Answer {
        let changed = |receipt| Changed::of(service.row(&self.name, target), receipt);
        // One whose file is gone is known for this moment alone.
        if let (Goal::Stops, Phase::Stopped, Some(Ended::Stopped { lost })) =
            (&self.goal, service.phase, &service.last)
        {
            return Some(Ok(Changed { cost: lost.clone(), ..changed(None) }));
        }
        if let Goal::Saved { after } = &self.goal {
            let ended = service.last_snapshot.clone().map(|()| changed(None));
            let failed = |why: Trouble| {
                why.within(format_args!("failed to take a snapshot of service `{}`", self.name))
            };
            return (service.snapshots > *after)
                .then(|| ended.map_err(|why| ControlError::Failed { reason: failed(why) }));
        }
        let Goal::Ends { after, .. } = &self.goal else { return None };
        if service.ended <= *after || service.busy.is_some() {
            return None;
        }
        Some(match service.last.as_ref()? {
            Ended::Started => Ok(changed(None)),
            Ended::Swapped(receipt) => Ok(changed(Some((**receipt).clone()))),
            Ended::Stopped { .. } => Err(self.superseded("it was stopped meanwhile")),
            Ended::RolledBack(failure) | Ended::Failed(failure) => Err(self.failed(service, failure)),
        })
    }

    /// The answer, once there is one. Asked after the loop has decided: what could begin has begun.
    pub(crate) fn answer(&self, sight: &Sight<'_>) -> Answer {
        let Some(service) = sight.service else { return self.answer_without_service(sight) };
        if service.busy.is_some() {
            return None;
        }
        let changed = |receipt| Changed::of(service.row(&self.name, sight.target), receipt);
        let last_failure = match &service.last {
            Some(Ended::Failed(failure)) => Some(failure.reason.clone()),
            _ => None,
        };
        match &self.goal {
            Goal::Goes(_) => match last_failure {
                Some(reason) => Some(Err(ControlError::Failed { reason })),
                None => {
                    sight.is_there.then(|| Err(self.superseded("a file that holds it was added meanwhile")))
                }
            },
            Goal::Ends { .. }
                if sight.files.is_settling() || service.resting().is_some_and(|rest| rest.brief) =>
            {
                None
            }
            // It waits for others to stop before it, or for what it requires.
            Goal::Ends { command: "restart", .. }
                if service.restart.is_some() || service.phase == Phase::Starting =>
            {
                None
            }
            Goal::Ends { .. } if sight.held => Some(Err(self.superseded("it was stopped meanwhile"))),
            Goal::Ends { command, .. } => {
                let home = service.serving.as_ref().and_then(|serving| sight.files.refused_at(&serving.home));
                let what = format!("failed to {command} service `{}`: nothing could be loaded", self.name);
                let reason = home.cloned().unwrap_or_else(|| why(service)).within(what);
                Some(Err(ControlError::Refused { reason }))
            }
            Goal::Saved { .. } => {
                service.serving.is_none().then(|| Err(self.superseded("it was stopped meanwhile")))
            }
            Goal::Takes(digest) => self.takes(service, digest, sight, &changed),
            Goal::Runs => match service.phase {
                Phase::Running => Some(Ok(changed(None))),
                Phase::Starting | Phase::Swapping => None,
                _ if sight.held => Some(Err(self.superseded("it was stopped meanwhile"))),
                Phase::Quarantined | Phase::Rejected | Phase::RolledBack => {
                    Some(Err(ControlError::Refused { reason: why(service) }))
                }
                _ if lacks_another(service) => {
                    let what = format!("failed to start service `{}`", self.name);
                    Some(Err(ControlError::Refused { reason: why(service).within(what) }))
                }
                _ => Some(Err(ControlError::Failed { reason: why(service) })),
            },
            Goal::Stops => match (service.phase, last_failure) {
                (Phase::Stopped, _) => Some(Ok(changed(None))),
                (Phase::Running, Some(reason)) => Some(Err(ControlError::Failed { reason })),
                _ if !sight.held => Some(Err(self.superseded("it was started meanwhile"))),
                _ => None,
            },
        }
    }

    fn answer_without_service(&self, sight: &Sight<'_>) -> Answer {
        let files = sight.files;
        match &self.goal {
            Goal::Goes(changed) => Some(Ok((**changed).clone())),
            Goal::Takes(digest) => self.lost(digest, files),
            _ => Some(Err(self.superseded("it was removed meanwhile"))),
        }
    }

    fn takes(
        &self,
        service: &Service,
        digest: &Digest,
        sight: &Sight<'_>,
        changed: &dyn Fn(Option<super::view::Receipt>) -> Changed,
    ) -> Answer {
        if service.serving.as_ref().is_some_and(|serving| serving.digest == *digest) {
            let receipt = service.last_swap.clone().filter(|receipt| receipt.to.digest == digest.as_str());
            return Some(Ok(changed(receipt)));
        }
        if let Some(failure) = service.failed.get(digest) {
            return Some(Err(self.failed(service, failure)));
        }
        if let Some(lost) = self.lost(digest, sight.files) {
            return Some(lost);
        }
        let target = sight.target;
        match service.phase {
            // It was stopped on purpose: the file lies ready.
            Phase::Stopped => Some(Ok(changed(None))),
            Phase::Faulted if service.serving.is_none() => {
                Some(Err(ControlError::Failed { reason: why(service) }))
            }
            // It waits for what it requires, or for a trouble to pass.
            Phase::Running
                if service.reason.is_some() && target.is_some_and(|target| target.digest == *digest) =>
            {
                let reason = || why(service);
                Some(Err(match &service.last {
                    _ if sight.full => ControlError::Refused { reason: reason() },
                    Some(Ended::RolledBack(failure)) if service.resting().is_some() => {
                        self.failed(service, failure)
                    }
                    _ => ControlError::Failed { reason: reason() },
                }))
            }
            _ => {
                let better = target.filter(|target| target.digest != *digest)?;
                let serves = service.serving.as_ref().is_some_and(|serving| serving.digest == better.digest);
                serves.then(|| {
                    let text = format!(
                        "failed to make it live: it is shadowed by version {} in {}; it takes over when that file goes",
                        better.manifest.version,
                        better.path.display()
                    );
                    Err(ControlError::Refused { reason: Trouble::new(Code::Shadowed, text) })
                })
            }
        }
    }

    /// The file that was added is there no more.
    fn lost(&self, digest: &Digest, files: &Files) -> Answer {
        if let Some(refused) = files.refused(digest) {
            return Some(Err(ControlError::Refused { reason: refused.reason.clone() }));
        }
        let is_there = files.is_settling() || files.candidates().any(|candidate| candidate.digest == *digest);
        (!is_there).then(|| Err(self.superseded("its file was replaced or removed meanwhile")))
    }

    fn superseded(&self, by: &'static str) -> ControlError {
        let command = match &self.goal {
            Goal::Takes(_) => "add",
            Goal::Ends { command, .. } => command,
            Goal::Saved { .. } => "snapshot",
            Goal::Runs => "start",
            Goal::Stops => "stop",
            Goal::Goes(_) => "remove",
        };
        ControlError::Superseded { command, name: self.name.clone(), by }
    }

    fn failed(&self, service: &Service, failure: &Failure) -> ControlError {
        let reason = failure.reason.clone();
        match (failure.kind, &service.serving) {
            (FailureKind::Refused, _) => ControlError::Refused { reason },
            (_, Some(serving)) => ControlError::RolledBack {
                name: self.name.clone(),
                generation: serving.side.generation,
                reason,
            },
            (_, None) => ControlError::Failed { reason },
        }
    }
}

/// Whether it was not even tried, since what it requires is stopped, missing, or requires it.
fn lacks_another(service: &Service) -> bool {
    let code = service.reason.as_ref().and_then(|why| why.code);
    matches!(code, Some(Code::DependencyStopped | Code::RequiredMissing | Code::RequiresItself))
}

/// Why a service does not run, or not as it should.
fn why(service: &Service) -> Trouble {
    let unsaid = || Trouble::new(Code::NotRunning, format!("it is {}", service.phase));
    service.reason.as_ref().map_or_else(unsaid, |why| why.as_trouble(Code::NotRunning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn force_ends_with_whoever_asked_for_it() {
        let digest = Digest::of(b"next");
        let goals = [Goal::Takes(digest.clone()), Goal::Ends { command: "reload", after: 0 }];
        for goal in goals {
            let (reply, awaited) = Reply::new();
            let wish = Wish::new("counter".to_owned(), goal, reply).forced(true);
            assert!(wish.forces("counter", &digest) && !wish.is_over());
            drop(awaited);
            assert!(!wish.forces("counter", &digest) && wish.is_over());
        }
    }
}
