//! Wishes: commands that wait until what they asked for is live, or cannot be.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::files::{Candidate, Files};
use super::service::{Ended, Failure, FailureKind, Service};
use super::view::Phase;
use crate::verify::Digest;
use crate::{Changed, ControlError};

/// No command waits longer, whatever its caller's deadline.
const LONGEST: Duration = Duration::from_secs(3600);

/// A command that waits.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) name: String,
    goal: Goal,
    pub(crate) reply: mpsc::Sender<Result<Changed, ControlError>>,
    pub(crate) until: Instant,
}

/// What it waits for.
#[derive(Debug)]
pub(crate) enum Goal {
    /// This content serves.
    Takes(Digest),
    /// An operation later than this many has ended.
    Ends(u64),
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
}

type Answer = Option<Result<Changed, ControlError>>;

impl Wish {
    pub(crate) fn new(name: String, goal: Goal, reply: mpsc::Sender<Result<Changed, ControlError>>) -> Self {
        Self { name, goal, reply, until: Instant::now() + LONGEST }
    }

    /// The answer, once there is one. Asked after the loop has decided: what could begin has begun.
    pub(crate) fn answer(&self, sight: &Sight<'_>) -> Answer {
        let Some(service) = sight.service else { return self.answer_without_service(sight.files) };
        if service.busy.is_some() {
            return None;
        }
        let changed = |receipt| Changed { row: service.row(&self.name, sight.target), receipt };
        let last_failure = match &service.last {
            Some(Ended::Failed(failure)) => Some(failure.reason.clone()),
            _ => None,
        };
        match &self.goal {
            Goal::Goes(_) => last_failure.map(|reason| Err(ControlError::Failed { reason })),
            Goal::Ends(after) if service.ended > *after => Some(match service.last.as_ref()? {
                Ended::Done => Ok(changed(None)),
                Ended::Swapped(receipt) => Ok(changed(Some((**receipt).clone()))),
                Ended::RolledBack(failure) | Ended::Failed(failure) => Err(self.failed(service, failure)),
            }),
            Goal::Ends(_)
                if sight.files.is_settling() || service.resting().is_some_and(|rest| rest.brief) =>
            {
                None
            }
            Goal::Ends(_) => {
                let home =
                    service.serving.as_ref().and_then(|serving| sight.files.refused_at(&serving.source));
                let why = home.map(ToOwned::to_owned).or_else(|| service.reason.clone()).unwrap_or_default();
                let reason =
                    format!("failed to reload service `{}`: nothing could be loaded: {why}", self.name);
                Some(Err(ControlError::Refused { reason }))
            }
            Goal::Takes(digest) => self.takes(service, digest, sight, &changed),
            Goal::Runs => match service.phase {
                Phase::Running => Some(Ok(changed(None))),
                Phase::Starting | Phase::Swapping => None,
                Phase::Quarantined | Phase::Rejected => {
                    Some(Err(ControlError::Refused { reason: service.reason.clone().unwrap_or_default() }))
                }
                _ => Some(Err(ControlError::Failed { reason: service.reason.clone().unwrap_or_default() })),
            },
            Goal::Stops => match (service.phase, last_failure) {
                (Phase::Stopped, _) => Some(Ok(changed(None))),
                (Phase::Running, Some(reason)) => Some(Err(ControlError::Failed { reason })),
                _ if !sight.held => {
                    let reason =
                        format!("failed to stop service `{}`: it was started again meanwhile", self.name);
                    Some(Err(ControlError::Refused { reason }))
                }
                _ => None,
            },
        }
    }

    fn answer_without_service(&self, files: &Files) -> Answer {
        match &self.goal {
            Goal::Goes(changed) => Some(Ok((**changed).clone())),
            Goal::Takes(digest) => {
                let reason = files.refused(digest)?.reason.clone();
                Some(Err(ControlError::Refused { reason }))
            }
            _ => Some(Err(ControlError::NotFound { name: self.name.clone(), known: Vec::new() })),
        }
    }

    fn takes(
        &self,
        service: &Service,
        digest: &Digest,
        sight: &Sight<'_>,
        changed: &dyn Fn(Option<super::view::Receipt>) -> Changed,
    ) -> Answer {
        let target = sight.target;
        if service.serving.as_ref().is_some_and(|serving| serving.digest == *digest) {
            let receipt = service.last_swap.clone().filter(|receipt| receipt.to.digest == digest.as_str());
            return Some(Ok(changed(receipt)));
        }
        if let Some(failure) = service.failed.get(digest) {
            return Some(Err(self.failed(service, failure)));
        }
        match service.phase {
            // It was stopped on purpose: the file lies ready.
            Phase::Stopped => Some(Ok(changed(None))),
            Phase::Faulted if service.serving.is_none() => {
                Some(Err(ControlError::Failed { reason: service.reason.clone().unwrap_or_default() }))
            }
            // It waits for what it requires, or for a trouble to pass.
            Phase::Running
                if service.reason.is_some() && target.is_some_and(|target| target.digest == *digest) =>
            {
                let reason = service.reason.clone().unwrap_or_default();
                Some(Err(match sight.full {
                    true => ControlError::Refused { reason },
                    false => ControlError::Failed { reason },
                }))
            }
            _ => {
                let better = target.filter(|target| target.digest != *digest)?;
                let serves = service.serving.as_ref().is_some_and(|serving| serving.digest == better.digest);
                serves.then(|| {
                    Err(ControlError::Refused {
                        reason: format!(
                            "failed to make it live: it is shadowed by version {} in {}; it takes over when that file goes",
                            better.manifest.version,
                            better.path.display()
                        ),
                    })
                })
            }
        }
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
