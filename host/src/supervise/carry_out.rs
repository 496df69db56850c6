//! From a decision to the operation that carries it out.

use std::sync::Arc;
use std::time::Instant;

use super::decide::Step;
use super::{Kernel, PRIORITY_PATIENCE, Past};
use crate::error::{Code, Trouble, Why};
use crate::kernel::files::Wanted;
use crate::kernel::op;
use crate::kernel::restarts::By;
use crate::kernel::service::{Busy, Task};
use crate::kernel::view::Phase;

impl Kernel {
    pub(super) fn carry_out(&mut self, name: &str, step: Step) {
        let Some(service) = self.services.get_mut(name) else { return };
        let slot = Arc::clone(&service.slot);
        // Should no thread be had, the closure and what it holds are gone: this brings the generation back.
        let kept = service.generation.clone();
        let (task, spawned) = match step {
            Step::Stay(phase, reason) => return self.stay(name, phase, reason),
            Step::Forget => return self.forget(name),
            Step::Start(candidate) => {
                let (number, fresh) = (service.number(), service.fresh);
                let begin = match fresh {
                    true => op::Begin::Fresh,
                    false
                        if self.shared.good.holds(&candidate.path)
                            && self.files.candidates().any(|file| {
                                file.manifest.name == name && service.is_rolled_back(&file.digest)
                            }) =>
                    {
                        op::Begin::GoneBack
                    }
                    false => op::Begin::Usual,
                };
                service.enter(Phase::Starting, None);
                service.reload = false;
                if fresh {
                    self.shared.good.forget_state(name);
                }
                self.mark_start(name, &candidate);
                self.shared.tables.rest(name);
                let wanted = Wanted::among(&mut self.read, *candidate);
                let start = move |shared: &Arc<_>| op::start(shared, &slot, wanted, number, begin);
                (Task::Start, self.spawn(name, start))
            }
            Step::Swap(candidate) => {
                let force = self.wishes.iter().any(|wish| wish.forces(name, &candidate.digest));
                let Some(old) = service.generation.take() else { return };
                service.enter(Phase::Swapping, None);
                service.reload = false;
                let wanted = Wanted::among(&mut self.read, *candidate);
                (Task::Swap, self.spawn(name, move |shared| op::swap(shared, &slot, old, wanted, force)))
            }
            Step::RollBack(good, cause) => {
                let Some(old) = service.generation.take() else { return };
                service.enter(Phase::Swapping, None);
                let back = move |shared: &Arc<_>| op::roll_back(shared, &slot, old, *good, &cause);
                (Task::RollBack, self.spawn(name, back))
            }
            Step::Stop | Step::GiveUp => {
                let how = match step {
                    Step::GiveUp => op::Stop::NoGood,
                    _ if self.wishes.iter().any(|wish| wish.forces_stop(name)) => op::Stop::Forced,
                    _ => op::Stop::Asked,
                };
                let Some(generation) = service.generation.take() else { return };
                let stop = move |shared: &Arc<_>| op::stop(shared, &slot, generation, how);
                (Task::Stop, self.spawn(name, stop))
            }
            Step::Restart(by) => {
                let how = if by == By::Supervision { op::Stop::Faulty } else { op::Stop::Restart };
                let Some(generation) = service.generation.take() else { return };
                let stop = move |shared: &Arc<_>| op::stop(shared, &slot, generation, how);
                (Task::Stop, self.spawn(name, stop))
            }
            Step::Snapshot => {
                let Some(generation) = service.generation.clone() else { return };
                service.snapshot_wanted = false;
                (Task::Snapshot, self.spawn(name, move |shared| op::snapshot(shared, generation)))
            }
            Step::Keep => {
                let Some(generation) = service.generation.clone() else { return };
                (Task::Keep, self.spawn(name, move |shared| op::keep(shared, generation)))
            }
            Step::TellLevel => {
                let Some(generation) = service.generation.clone() else { return };
                (Task::Configure, self.spawn(name, move |shared| op::tell_level(shared, generation)))
            }
            Step::Configure(table) => {
                let Some(generation) = service.generation.clone() else { return };
                (Task::Configure, self.spawn(name, move |shared| op::configure(shared, generation, table)))
            }
        };
        let Some(service) = self.services.get_mut(name) else { return };
        match spawned {
            Ok(()) => service.busy = Some(Busy { task, since: Instant::now() }),
            Err(error) => {
                let why = format!("failed to start a thread for an operation: {error}; trying again");
                let why = Trouble::new(Code::NoThread, why);
                tracing::error!(plugin = name, "{why}");
                service.generation = kept;
                service.rest_for(super::RETRY, why, false);
            }
        }
    }

    fn stay(&mut self, name: &str, phase: Phase, reason: Option<Why>) {
        let Some(service) = self.services.get_mut(name) else { return };
        let wakes = service.resting().map(|rest| rest.until);
        let keeps = Some(service.keep_due).filter(|due| *due > Instant::now());
        // What a service waits for in `starting` may only be time.
        let waits =
            (phase == Phase::Starting && service.busy.is_none()).then(|| Instant::now() + PRIORITY_PATIENCE);
        self.decide_at = self.decide_at.into_iter().chain(wakes).chain(keeps).chain(waits).min();
        let entered = service.enter(phase, reason.clone());
        if let Some(reason) = reason.as_ref().filter(|_| entered && service.serving.is_some()) {
            tracing::warn!(plugin = name, reason = reason.text, "it serves on as it is");
        }
        if !entered || service.serving.is_some() || service.busy.is_some() {
            return;
        }
        // What was published before is that nobody is there, too.
        let _ = service.slot.take_down(phase, reason.as_ref().map(|why| why.text.clone()));
        // A failure of an operation is on record already.
        if phase == Phase::Faulted && service.failed.is_empty() && service.rest.is_none() {
            self.shared.journal.note("faulted", Some(name), None, reason.unwrap_or_else(|| "".into()));
        }
    }

    fn forget(&mut self, name: &str) {
        let Some(service) = self.services.remove(name) else { return };
        // Who takes a plugin's file away and brings another one later does not want the first one back. One that is being written is not
        // taken away.
        if !self.files.is_settling() {
            self.shared.served.forget(name);
        }
        if service.ended > 0 {
            self.gone.insert(name.to_owned(), Past::of(service));
        }
        let _ = self.shared.inboxes.forget(name);
        self.shared.registry.remove(name);
    }
}
