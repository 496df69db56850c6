//! What to do next where there is no other version to go to: at rest, on the way back, after a failure.

use std::time::Instant;

use super::Step;
use crate::error::Why;
use crate::kernel::files::Candidate;
use crate::kernel::op::Cause;
use crate::kernel::service::{FailureKind, Service};
use crate::kernel::view::Phase;

pub(super) fn step_of_rest(service: &Service, reason: Option<Why>) -> Step {
    let is_time = service.snapshot_wanted || service.snapshot_due <= Instant::now();
    if service.is_due_for_snapshots() && is_time {
        return Step::Snapshot;
    }
    Step::Stay(Phase::Running, reason)
}

/// Away from the version that serves.
pub(super) fn step_back(service: &Service) -> Step {
    let cause = match service.condemned() {
        Some(failure) => Cause::NoGood(failure.reason.clone()),
        None => Cause::Asked,
    };
    match (service.way_back(), cause) {
        (Some(good), cause) => Step::RollBack(Box::new(good.clone()), cause),
        (None, Cause::NoGood(_)) => Step::GiveUp,
        (None, Cause::Asked) => step_of_rest(service, None),
    }
}

pub(super) fn step_after_failure(service: &Service, candidates: &[&Candidate], files: &[&Candidate]) -> Step {
    let highest = service.highest(candidates).filter(|c| service.is_rolled_back(&c.digest));
    let highest = highest.or_else(|| service.highest(files));
    let Some(failure) = highest.and_then(|candidate| service.failed.get(&candidate.digest)) else {
        return Step::Forget;
    };
    let phase = match failure.kind {
        FailureKind::Refused => Phase::Rejected,
        FailureKind::Faulted | FailureKind::Moved | FailureKind::Passing => Phase::Faulted,
        FailureKind::Unread => {
            let tried =
                service.writer().and_then(|kept| Some((&kept.version, service.failed.get(&kept.digest)?)));
            let tried = tried.filter(|(_, failure)| failure.kind != FailureKind::RolledBack);
            let instead = tried.map(|(version, failure)| {
                format!(
                    "; version {version}, which served before, could not hand it over: {}",
                    failure.reason
                )
            });
            let reason = failure.reason.told(|text| format!("{text}{}", instead.unwrap_or_default()));
            return Step::Stay(Phase::Faulted, Some(reason.into()));
        }
        FailureKind::RolledBack => {
            let back = service.good.as_ref().and_then(|good| Some((good, service.failed.get(&good.digest)?)));
            let instead = match back {
                Some((good, failure)) => {
                    format!("version {} could not take its place: {}", good.version, failure.reason)
                }
                None => "there is no earlier version to take its place".to_owned(),
            };
            let version = highest.map(|candidate| candidate.version.to_string()).unwrap_or_default();
            let reason = format!("version {version} was rolled back ({}), and {instead}", failure.reason);
            return Step::Stay(Phase::Quarantined, Some(failure.reason.told(|_| reason).into()));
        }
        FailureKind::Quarantined | FailureKind::WornOut => Phase::Quarantined,
    };
    Step::Stay(phase, Some((&failure.reason).into()))
}
