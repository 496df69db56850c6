//! What an operation's end changes.

use super::Kernel;
use crate::kernel::op::{Outcome, Report};
use crate::kernel::service::{Ended, Failure, FailureKind, Task};
use crate::kernel::view::Phase;
use std::time::Instant;

impl Kernel {
    /// Takes the report of an operation in.
    pub(super) fn take_in(&mut self, report: Report) {
        let Report { name, task, outcome, remains } = report;
        let journal = &self.shared.journal;
        let Some(service) = self.services.get_mut(&*name) else { return };
        service.busy = None;
        service.remains.extend(remains);
        if task != Task::Snapshot {
            service.ended += 1;
            service.snapshot_due = Instant::now() + self.shared.config.state.interval;
        }
        match outcome {
            Outcome::Started { generation, version } => {
                service.serve(generation, version);
                service.enter(Phase::Running, None);
                service.last = Some(Ended::Done);
            }
            Outcome::Swapped { generation, version, receipt } => {
                service.retire_counts();
                service.committed += 1;
                service.serve(generation, version);
                service.enter(Phase::Running, None);
                service.last_swap = Some((*receipt).clone());
                service.last = Some(Ended::Swapped(receipt));
            }
            Outcome::RolledBack { candidate, old, receipt, failure } => {
                match old {
                    Some(old) => {
                        service.generation = Some(old);
                        service.enter(Phase::Running, None);
                    }
                    None => service.retire_counts(),
                }
                service.last_swap = Some(*receipt);
                service.last = Some(Ended::RolledBack(failure.clone()));
                self.note_failure(&name, &candidate, failure);
            }
            Outcome::NotStarted { candidate, failure } => {
                let kind = match failure.kind {
                    FailureKind::Refused => "rejected",
                    FailureKind::Quarantined => "quarantined",
                    FailureKind::Faulted | FailureKind::Moved => "faulted",
                };
                if failure.kind != FailureKind::Moved {
                    journal.note(kind, Some(&name), None, failure.reason.clone());
                }
                service.last = Some(Ended::Failed(failure.clone()));
                self.note_failure(&name, &candidate, failure);
            }
            Outcome::Stopped => {
                service.retire_counts();
                service.last = Some(Ended::Done);
                service.enter(Phase::Stopped, None);
            }
            Outcome::NotStopped { generation, failure } => {
                tracing::error!(plugin = %name, reason = failure.reason, "not stopped");
                service.generation = Some(generation);
                service.enter(Phase::Running, None);
                service.last = Some(Ended::Failed(failure));
                // Else it would be tried for ever; whoever asked is told.
                if let Err(error) = self.held.release(&name) {
                    tracing::error!(plugin = %name, %error, "failed to forget that the service was to be stopped");
                }
            }
            Outcome::Snapshotted(Ok(())) => {}
            Outcome::Snapshotted(Err(reason)) => {
                tracing::error!(plugin = %name, reason, "the snapshot was not written; the last one holds");
            }
        }
    }

    fn note_failure(&mut self, name: &str, candidate: &crate::kernel::files::Candidate, failure: Failure) {
        if failure.kind == FailureKind::Moved {
            // The next look tells what the file is now.
            self.files.forget(&candidate.path);
            self.look_at = Instant::now();
            return;
        }
        if let Some(service) = self.services.get_mut(name) {
            service.failed.insert(candidate.digest.clone(), failure);
        }
    }
}
