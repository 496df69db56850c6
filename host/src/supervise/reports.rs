//! What an operation's end changes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Kernel, RETRY};
use crate::error::{Code, Trouble};
use crate::kernel::files::Candidate;
use crate::kernel::op::{Outcome, Report};
use crate::kernel::probation::fault_rate;
use crate::kernel::service::{Ended, Failure, FailureKind, Serving};
use crate::kernel::tables::Offered;
use crate::kernel::view::Phase;
/// The longest pause between attempts that go on failing.
const SELDOM: Duration = Duration::from_secs(60);

impl Kernel {
    /// Takes the report of an operation in.
    pub(super) fn take_in(&mut self, report: Report) {
        let Report { name, task, outcome, remains } = report;
        let journal = &self.shared.journal;
        let Some(service) = self.services.get_mut(&*name) else { return };
        service.busy = None;
        service.remains.extend(remains);
        if task.is_change() {
            service.ended += 1;
            service.rest = None;
            service.snapshots_failed = 0;
            service.snapshot_due = Instant::now() + self.shared.config.state.interval;
            service.served = self.shared.served.of(&name);
        }
        match outcome {
            Outcome::Started { generation, version } => {
                let mark =
                    self.shared.marks.of(&name).filter(|mark| mark.digest == generation.digest().as_str());
                self.shared.tables.serves(&name, &generation.table());
                service.serve(generation, version);
                service.fresh = false;
                let files = self.files.candidates().filter(|file| file.manifest.name == *name);
                service.stand_in_for(&files.collect::<Vec<_>>());
                service.enter(Phase::Running, None);
                service.last = Some(Ended::Started);
                match mark {
                    // The window was open when the service, or the host, was stopped.
                    Some(mark) => self.watch_over(&name, mark.before),
                    None => self.end_watch(&name),
                }
            }
            Outcome::Swapped { generation, version, receipt } => {
                let of = |old: &Serving| fault_rate(old.tally.counts(), old.handled.counts());
                let before = service.serving.as_ref().map_or(0.0, of);
                let probation = service.probation.take();
                let home = service.serving.as_ref().map(|old| old.home.clone());
                service.retire_counts();
                service.committed += 1;
                self.shared.tables.serves(&name, &generation.table());
                service.serve(generation, version);
                if let (Some(serving), Some(home), true) = (&mut service.serving, home, receipt.rollback) {
                    // Also where what lies there is no plugin by now.
                    serving.home = home;
                }
                service.enter(Phase::Running, None);
                service.good = self.shared.good.of(&name);
                service.last_swap = Some((*receipt).clone());
                service.last = Some(Ended::Swapped(receipt.clone()));
                if receipt.from.digest == receipt.to.digest {
                    // The same bytes once more are watched as before.
                    service.probation = probation;
                } else if receipt.rollback {
                    self.end_watch(&name);
                    let code = receipt.code.and_then(|code| code.parse().ok()).unwrap_or(Code::LeftByHand);
                    let why = Trouble::new(code, receipt.reason.unwrap_or_default());
                    self.remember(&name, &receipt.from, why);
                } else {
                    self.watch_over(&name, before);
                }
            }
            Outcome::RolledBack { candidate, old, receipt, failure } => {
                let rollback = receipt.rollback;
                service.rolled_back += 1;
                service.back = false;
                match old {
                    Some(old) => {
                        service.generation = Some(old);
                        service.enter(Phase::Running, None);
                    }
                    None => service.retire_counts(),
                }
                service.last_swap = Some(*receipt);
                service.last = Some(Ended::RolledBack(failure.clone()));
                let condemned = service.serving.is_none() || service.condemned().is_some();
                if !rollback {
                    self.note_failure(&name, &candidate, failure);
                } else if condemned {
                    if failure.kind != FailureKind::Passing {
                        journal.note("quarantined", Some(&name), None, failure.reason.clone());
                    }
                    self.note_failure(&name, &candidate, failure);
                }
            }
            Outcome::NotStarted { candidate, failure } => {
                self.shared.marks.set_open(&name, &candidate.digest, false);
                let kind = match failure.kind {
                    FailureKind::Refused => "rejected",
                    FailureKind::Quarantined | FailureKind::RolledBack | FailureKind::WornOut => {
                        "quarantined"
                    }
                    FailureKind::Faulted
                    | FailureKind::Unread
                    | FailureKind::Moved
                    | FailureKind::Passing => "faulted",
                };
                if failure.kind != FailureKind::Moved {
                    journal.note(kind, Some(&name), None, failure.reason.clone());
                }
                // Who asked for a fresh begin meant the one that is to come.
                service.fresh &= matches!(failure.kind, FailureKind::Moved | FailureKind::Passing);
                service.last = Some(Ended::Failed(failure.clone()));
                if !self.failed_to_restart(&name, &candidate, &failure) {
                    self.note_failure(&name, &candidate, failure);
                }
            }
            Outcome::Stopped { kept, lost } => {
                let digest = service.serving.as_ref().map(|serving| serving.digest.clone());
                if let Some(serving) = &service.serving {
                    self.shared.marks.set_open(&name, &serving.digest, false);
                }
                service.retire_counts();
                service.enter(Phase::Stopped, None);
                let restart = service.restart.take();
                let state = lost.clone().unwrap_or_else(|| kept.to_owned());
                service.last = Some(Ended::Stopped { lost });
                if let Some(restart) = restart {
                    self.restarted(&name, digest, restart, state);
                }
            }
            Outcome::NotStopped { generation, failure } => {
                tracing::error!(plugin = %name, reason = %failure.reason, "not stopped");
                service.generation = Some(generation);
                service.enter(Phase::Running, None);
                service.rest_for(RETRY, failure.reason.clone(), false);
                service.restart = None;
                service.last = Some(Ended::Failed(failure));
                // Whoever asked is told; that its file is gone is tried again later.
                if let Err(error) = self.held.release(&name) {
                    tracing::error!(plugin = %name, %error, "failed to forget that the service was to be stopped");
                }
            }
            Outcome::Snapshotted(written) => {
                let failed = written.as_ref().err().map_or(0, |_| service.snapshots_failed + 1);
                service.snapshots_failed = failed;
                // One that goes on failing is tried less and less often, up to a minute apart.
                let pause = self.shared.config.state.interval * 2u32.pow(failed.min(10));
                service.snapshot_due =
                    Instant::now() + pause.min(SELDOM.max(self.shared.config.state.interval));
                service.snapshots += 1;
                service.last_snapshot.clone_from(&written);
                if let Err(reason) = written {
                    tracing::error!(plugin = %name, %reason, "the snapshot was not written; the last one holds");
                }
            }
            Outcome::Configured { table, offered } => {
                if matches!(offered, Offered::Taken)
                    && let Some(serving) = &mut service.serving
                {
                    serving.table = Arc::clone(&table);
                    self.shared.tables.serves(&name, &table);
                } else {
                    self.shared.tables.note(&name, &table, offered);
                }
            }
            Outcome::Levelled(Ok(())) => {}
            Outcome::Levelled(Err(error)) => {
                service.rest_for(RETRY, error.clone(), false);
                tracing::error!(plugin = %name, %error, "failed to tell it the level of the log; trying again");
            }
            Outcome::Kept(Ok(())) => service.good = self.shared.good.of(&name),
            Outcome::Kept(Err(error)) => {
                service.keep_due = Instant::now() + RETRY;
                tracing::error!(plugin = %name, %error, "failed to keep the version that serves; trying again");
            }
            Outcome::Broken(reason) => {
                tracing::error!(plugin = %name, %reason, "broken");
                service.retire_counts();
                service.generation = None;
                let _ = service.slot.take_down(Phase::Faulted, Some(reason.to_string()));
                self.shared.inboxes.rest(&name, &self.shared.settings().service_of(&name));
                service.rest_for(SELDOM, reason.clone(), false);
                service.last = Some(Ended::Failed(Failure { kind: FailureKind::Passing, reason }));
            }
        }
    }

    fn note_failure(&mut self, name: &str, candidate: &Candidate, failure: Failure) {
        let Some(service) = self.services.get_mut(name) else { return };
        match failure.kind {
            FailureKind::Moved => {
                // The next look tells what the file is now.
                self.files.unsettle(&candidate.path);
                self.look_at = Instant::now();
                // Whoever waits for the end of an operation waits for the next one.
                service.ended -= 1;
                service.rest_for(self.shared.config.watch.settle, failure.reason, true);
            }
            FailureKind::Passing => service.rest_for(RETRY, failure.reason, false),
            _ => drop(service.failed.insert(candidate.digest.clone(), failure)),
        }
    }
}
