//! How services do: breakers that open and close, and restarts of what goes on failing.

use std::sync::Arc;
use std::time::Instant;

use super::Kernel;
use crate::ControlError;
use crate::error::{Code, Trouble, Why};
use crate::kernel::files::Candidate;
use crate::kernel::guard::sums_of;
use crate::kernel::restarts::{By, Next, Restart, chance};
use crate::kernel::service::{Failure, FailureKind};
use crate::kernel::view::{BreakerForce, BreakerState, BreakerView, Phase};
use crate::verify::Digest;

impl Kernel {
    /// Looks at every service of which something was told, or that it is time to look at. Not at one that changes: what it is now is another
    /// one in a moment.
    pub(super) fn look_at_health(&mut self) {
        let now = Instant::now();
        for (name, service) in &mut self.services {
            let Some(generation) = service.generation.clone().filter(|_| !service.is_changing()) else {
                continue;
            };
            let guard = service.slot.guard();
            if service.health.is_due(generation.alarm.is_raised(), now) {
                // Before it is looked at: what comes meanwhile is told anew.
                generation.alarm.lower();
                let rules = self.shared.settings().supervision_of(name);
                let wrong = service.health.look(&generation, &rules, guard.step(), now);
                if let Some((state, why)) = guard.judge(now, sums_of(&generation)) {
                    let told: Why = match state {
                        BreakerState::Closed => format!("its breaker closed: {why}").into(),
                        _ => Trouble::new(Code::BreakerOpen, format!("its breaker opened: {why}")).into(),
                    };
                    self.shared.journal.note("breaker", Some(name), Some(&generation.side()), told);
                }
                // While there is a version to go back to, that is what helps: probation judges.
                let is_watched = service.probation.is_some() && service.way_back().is_some();
                if let Some(why) = wrong.filter(|_| !is_watched && service.restart.is_none()) {
                    tracing::error!(plugin = %name, %why, "it is restarted");
                    service.restart = Some(Restart { why, by: By::Supervision });
                }
            }
            if service.slot.is_outdated() {
                generation.left(service.slot.publish(Arc::clone(&generation)));
            }
        }
    }

    /// When to look next though nothing is told; `None` while there is no reason to.
    pub(super) fn next_health(&self) -> Option<Instant> {
        let steady =
            self.services.values().filter(|service| service.serving.is_some() && !service.is_changing());
        steady.filter_map(|service| service.health.look_at).min()
    }

    /// A service that was to be restarted has stopped; `state` is what became of its state.
    pub(super) fn restarted(&mut self, name: &str, digest: Option<Digest>, restart: Restart, state: String) {
        let Some(service) = self.services.get_mut(name) else { return };
        if restart.by != By::Supervision {
            service.enter(Phase::Starting, None);
            return;
        }
        let state = service.served.is_some().then_some(state);
        self.rest_or_quarantine(name, digest, restart.why, state);
    }

    /// A start that belongs to a restart failed: that is one more. Whether it was one.
    pub(super) fn failed_to_restart(&mut self, name: &str, candidate: &Candidate, failure: &Failure) -> bool {
        let Some(service) = self.services.get_mut(name) else { return false };
        service.restarts.forget(&self.shared.settings().supervision_of(name), Instant::now());
        if failure.kind != FailureKind::Faulted || !service.restarts.is_recovering() {
            return false;
        }
        self.rest_or_quarantine(name, Some(candidate.digest.clone()), failure.reason.clone(), None);
        true
    }

    fn rest_or_quarantine(
        &mut self,
        name: &str,
        digest: Option<Digest>,
        why: Trouble,
        state: Option<String>,
    ) {
        let Some(service) = self.services.get_mut(name) else { return };
        let rules = self.shared.settings().supervision_of(name);
        let next = service.restarts.count(&rules, Instant::now(), chance());
        service.restarts.note(next, &why, state);
        match next {
            Next::After(pause) => {
                let told = why.told(|why| format!("it is restarted after {} ms: {why}", pause.as_millis()));
                self.shared.journal.note("restarting", Some(name), None, told.clone());
                service.enter(Phase::Starting, Some((&told).into()));
                service.rest_for(pause, told, true);
            }
            Next::Enough(most) => {
                let window = rules.window.as_millis();
                let text = format!("restarted {most} times within {window} ms, and again: {}", why.text);
                let reason = Trouble::new(Code::RestartedTooOften, text);
                self.shared.journal.note("quarantined", Some(name), None, reason.clone());
                if let Some(digest) = digest {
                    service.failed.insert(digest, Failure { kind: FailureKind::WornOut, reason });
                }
            }
        }
    }

    /// Holds a breaker open or closed, or leaves it to itself.
    pub(crate) fn force_breaker(
        &mut self,
        name: &str,
        force: Option<BreakerForce>,
    ) -> Result<BreakerView, ControlError> {
        let Some(service) = self.services.get(name) else { return Err(self.not_found(name)) };
        let guard = service.slot.guard();
        guard.force(force);
        let told = match force {
            Some(BreakerForce::Open) => "its breaker is held open",
            Some(BreakerForce::Close) => "its breaker is held closed",
            None => "its breaker is left to itself",
        };
        self.shared.journal.note("breaker", Some(name), None, told);
        let view = guard.view();
        // What is published changes before whoever asked is answered.
        self.look_at_health();
        Ok(view.unwrap_or(BreakerView {
            state: BreakerState::Closed,
            forced: None,
            why: None,
            opened: 0,
            again_in_ms: None,
        }))
    }
}
