//! Wishes: commands that wait until what they asked for is live, or cannot be.

use std::sync::mpsc;

use super::files::{Candidate, Files};
use super::service::{Ended, Failure, FailureKind, Service};
use super::view::Phase;
use crate::verify::Digest;
use crate::{Changed, ControlError};

/// A command that waits.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) goal: Goal,
    pub(crate) reply: mpsc::Sender<Result<Changed, ControlError>>,
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

impl Wish {
    /// The answer, once there is one. `target` is what would serve if it could.
    pub(crate) fn answer(
        &self,
        service: Option<&Service>,
        target: Option<&Candidate>,
        files: &Files,
    ) -> Option<Result<Changed, ControlError>> {
        if let Goal::Goes(changed) = &self.goal {
            return service.is_none().then(|| Ok((**changed).clone()));
        }
        let Some(service) = service else {
            let Goal::Takes(digest) = &self.goal else {
                return Some(Err(ControlError::NotFound { name: self.name.clone(), known: Vec::new() }));
            };
            let refused = files.refused(digest)?;
            return Some(Err(ControlError::Refused { reason: refused.reason.clone() }));
        };
        if service.busy.is_some() {
            return None;
        }
        let changed = |receipt| Changed { row: service.row(&self.name, target), receipt };
        match &self.goal {
            Goal::Goes(_) => None,
            Goal::Ends(after) if service.ended > *after => Some(match service.last.as_ref()? {
                Ended::Done => Ok(changed(None)),
                Ended::Swapped(receipt) => Ok(changed(Some((**receipt).clone()))),
                Ended::RolledBack(failure) | Ended::Failed(failure) => Err(self.failed(service, failure)),
            }),
            Goal::Ends(_) => None,
            Goal::Takes(digest) => self.takes(service, digest, target, &changed),
            Goal::Runs => match service.phase {
                Phase::Running => Some(Ok(changed(None))),
                Phase::Starting | Phase::Swapping => None,
                _ => Some(Err(ControlError::Failed { reason: service.reason.clone().unwrap_or_default() })),
            },
            Goal::Stops => match (service.phase, &service.last) {
                (Phase::Stopped, _) => Some(Ok(changed(None))),
                (Phase::Running, Some(Ended::Failed(failure))) => {
                    Some(Err(ControlError::Failed { reason: failure.reason.clone() }))
                }
                _ => None,
            },
        }
    }

    fn takes(
        &self,
        service: &Service,
        digest: &Digest,
        target: Option<&Candidate>,
        changed: &dyn Fn(Option<super::view::Receipt>) -> Changed,
    ) -> Option<Result<Changed, ControlError>> {
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
