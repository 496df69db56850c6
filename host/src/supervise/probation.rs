//! What is believed of versions: the watch over one that has just taken over, and those that were rolled back.

use std::time::Instant;

use super::Kernel;
use crate::error::{Code, Trouble};
use crate::kernel::clock;
use crate::kernel::files::Candidate;
use crate::kernel::probation::{LOOK, Mark, Probation, Verdict};
use crate::kernel::service::{Failure, FailureKind, Service};
use crate::kernel::shared::Shared;
use crate::kernel::view::{RolledBack, Side};
use crate::verify::Digest;

impl Kernel {
    /// What earlier runs left to know of a service.
    pub(super) fn recall(&self, name: &str, service: &mut Service) {
        (service.good, service.served) = (self.shared.good.of(name), self.shared.served.of(name));
        for rolled_back in self.rolled_back.of(name) {
            if let Some(digest) = Digest::parse(&rolled_back.digest) {
                service.failed.insert(digest, failure(rolled_back));
            }
        }
    }

    /// Versions under which the host died once too often. Also one that there is no way back from is not started again by
    /// itself: it would bring the host down for ever.
    pub(super) fn condemn_deadly(&mut self, deadly: Vec<(String, Mark)>) {
        for (name, mark) in deadly {
            let is_on = self.shared.config.probation.is_on();
            let is_on_record = !is_on || {
                let reason = format!("the host died {} times while it was on probation", mark.deaths);
                let reason = Trouble::new(Code::BringsHostDown, reason);
                let side = Side { version: mark.version, generation: 0, digest: mark.digest };
                let told = reason.within(format_args!("version {}", side.version));
                self.shared.journal.note("rolled_back", Some(&name), None, told);
                self.remember(&name, &side, reason)
            };
            // Else the next run finds it, and tries to remember again.
            if is_on_record {
                self.shared.marks.drop_record(&name);
            }
        }
    }

    /// Remembers that a version was rolled back; whether the next run of the host will know.
    pub(super) fn remember(&mut self, name: &str, side: &Side, reason: Trouble) -> bool {
        let rolled_back = RolledBack {
            digest: side.digest.clone(),
            version: side.version.clone(),
            unix_ms: clock::unix_ms(),
            code: Some(reason.code.to_string()),
            reason: reason.text,
        };
        if let (Some(service), Some(digest)) = (self.services.get_mut(name), Digest::parse(&side.digest)) {
            service.failed.insert(digest, failure(&rolled_back));
        }
        self.rolled_back.add(name, rolled_back)
    }

    /// Somebody wants what lies in the folder tried again, also what failed or was rolled back.
    pub(super) fn try_again(&mut self, name: &str) {
        let there: Vec<String> =
            self.candidates_of(name).iter().map(|candidate| candidate.digest.as_str().to_owned()).collect();
        self.rolled_back.forget(name, |digest| there.iter().any(|other| other == digest));
        if let Some(service) = self.services.get_mut(name) {
            let is_there = |digest: &Digest| there.iter().any(|other| other == digest.as_str());
            service
                .failed
                .retain(|digest, failure| failure.kind == FailureKind::RolledBack && !is_there(digest));
            service.rest = None;
            service.restarts.lift();
        }
    }

    /// The same for one content.
    pub(super) fn try_digest_again(&mut self, name: &str, digest: &Digest) {
        self.rolled_back.forget(name, |other| other == digest.as_str());
        if let Some(service) = self.services.get_mut(name) {
            service.failed.remove(digest);
            service.rest = None;
        }
    }

    /// The service was removed: nothing of it is to be gone back to, and nothing held against it.
    pub(super) fn forget_record(&mut self, name: &str) {
        self.shared.good.forget(name);
        self.shared.served.forget(name);
        self.shared.marks.clear(name);
        self.rolled_back.forget(name, |_| true);
        if let Some(service) = self.services.get_mut(name) {
            service.failed.clear();
            (service.good, service.served, service.probation, service.back) = (None, None, None, false);
        }
    }

    /// Whether a version that was rolled back before was put over the file of the one that serves, which is then nowhere
    /// else: it is to be kept, so that the next run of the host finds it.
    pub(super) fn is_homeless(&self, name: &str, service: &Service) -> bool {
        let Some(serving) = &service.serving else { return false };
        let is_kept = service.good.as_ref().is_some_and(|good| good.digest == serving.digest);
        if is_kept || service.probation.is_some() || service.condemned().is_some() {
            return false;
        }
        let mut there = self.files.candidates().filter(|c| c.manifest.name == name);
        let mut at_home = self.files.candidates().filter(|c| c.path == serving.home);
        let displaced = at_home.any(|c| service.is_rolled_back(&c.digest));
        displaced && !there.any(|c| c.digest == serving.digest)
    }

    /// A version is about to be started. Where it is watched, a death of the host is held against it from now on; one that was
    /// kept is watched: it comes back with state that another one may have written.
    pub(super) fn mark_start(&self, name: &str, candidate: &Candidate) {
        let Shared { marks, config, .. } = &*self.shared;
        let marked = marks.of(name);
        let is_marked = marked.as_ref().is_some_and(|mark| mark.digest == candidate.digest.as_str());
        if is_marked {
            marks.set_open(name, &candidate.digest, true);
        } else if self.shared.keeps(&candidate.path) && config.probation.is_on() {
            marks.set(name, Mark::of_good(candidate, None));
        }
    }

    /// Begins to watch the version that serves. Where there is no other to go back to, only for deaths of the host.
    pub(super) fn watch_over(&mut self, name: &str, before: f64) {
        let settings = &self.shared.config.probation;
        let Some(service) = self.services.get_mut(name) else { return };
        service.probation = settings.is_on().then(|| Probation::new(settings, before));
        if !settings.is_on() {
            self.end_watch(name);
        }
    }

    /// Nobody is watched any more.
    pub(super) fn end_watch(&mut self, name: &str) {
        if let Some(service) = self.services.get_mut(name) {
            service.probation = None;
        }
        self.shared.marks.clear(name);
        self.shared.good.forget_state(name);
    }

    /// Looks at every version on probation when it is time.
    pub(super) fn look_at_probations(&mut self) {
        let now = Instant::now();
        let settings = &self.shared.config.probation;
        let mut verdicts = Vec::new();
        for (name, service) in &mut self.services {
            let has_way_back = service.way_back().is_some();
            let (Some(probation), Some(serving)) = (&mut service.probation, &service.serving) else {
                continue;
            };
            // While another takes over, that one's mark is on disk.
            if now < probation.look_at || service.busy.is_some() {
                continue;
            }
            probation.look_at = now + LOOK;
            let verdict = {
                let (counts, messages) = (serving.tally.counts(), serving.handled.counts());
                probation.judge(counts, messages, has_way_back, settings, now)
            };
            if verdict != Verdict::Pending {
                verdicts.push((name.clone(), serving.side.clone(), verdict));
            }
        }
        for (name, side, verdict) in verdicts {
            match verdict {
                Verdict::Pending => {}
                Verdict::Passed(how) => {
                    self.end_watch(&name);
                    self.shared.journal.note("passed", Some(&name), Some(&side), how);
                }
                Verdict::Failed(why) => {
                    if let Some(service) = self.services.get_mut(&name) {
                        service.probation = None;
                    }
                    self.remember(&name, &side, Trouble::new(Code::FailsOnProbation, why));
                }
            }
        }
    }

    /// When to look at a version on probation next; `None` while nobody is.
    pub(super) fn next_probation(&self) -> Option<Instant> {
        let watched = self.services.values().filter(|service| service.busy.is_none());
        watched.filter_map(|service| service.probation.as_ref()).map(|probation| probation.look_at).min()
    }
}

fn failure(rolled_back: &RolledBack) -> Failure {
    // A record of a host that knew no codes: what came by itself, mostly.
    let code = rolled_back.code.as_ref().and_then(|code| code.parse().ok());
    let reason = Trouble::new(code.unwrap_or(Code::FailsOnProbation), rolled_back.reason.clone());
    Failure { kind: FailureKind::RolledBack, reason }
}
