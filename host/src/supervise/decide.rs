//! What to do next for each service: the difference between what should run and what does.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Kernel;
use crate::kernel::files::Candidate;
use crate::kernel::op;
use crate::kernel::plan::{Graph, Node, circle, start_order};
use crate::kernel::service::{Busy, FailureKind, Service, Task};
use crate::kernel::view::Phase;

/// A service lets one of higher priority finish its start first, for so long at most: one that hangs holds nobody up.
const PRIORITY_PATIENCE: Duration = Duration::from_secs(1);

/// What a service should do next.
enum Step {
    /// Nothing, and this is where it is.
    Stay(Phase, Option<String>),
    Start(Box<Candidate>),
    Swap(Box<Candidate>),
    Stop,
    Snapshot,
    /// Nothing holds the name any more.
    Forget,
}

impl Kernel {
    /// Decides for every service, in the order in which they would start.
    pub(super) fn decide(&mut self) {
        self.decide_at = None;
        let names: BTreeSet<String> = self.files.candidates().map(|c| c.manifest.name.clone()).collect();
        for name in names {
            if !self.services.contains_key(&name) {
                let slot = self.shared.registry.register(&name);
                self.services.insert(name, Service::new(slot));
            }
        }
        self.follow_renames();
        let graph = self.graph();
        for name in start_order(&graph) {
            let step = self.step(&name, &graph);
            self.take_step(&name, step);
        }
    }

    /// A file that was given another name is still where its generation came from.
    fn follow_renames(&mut self) {
        for (name, service) in &mut self.services {
            let Some(serving) = &mut service.serving else { continue };
            let mut same =
                self.files.candidates().filter(|c| c.manifest.name == *name && c.digest == serving.digest);
            let first = same.next();
            if let Some(first) = first
                && first.path != serving.source
                && same.all(|other| other.path != serving.source)
            {
                serving.source.clone_from(&first.path);
            }
        }
    }

    /// Who requires whom: by what serves, else by what would serve.
    pub(super) fn graph(&self) -> Graph {
        let node = |(name, service): (&String, &Service)| {
            let manifest = match (&service.serving, self.target(name)) {
                (Some(serving), _) => &serving.manifest,
                (None, Some(target)) => &target.manifest,
                (None, None) => return (name.clone(), Node { requires: Vec::new(), priority: 0 }),
            };
            (name.clone(), Node { requires: manifest.requires.clone(), priority: manifest.priority })
        };
        self.services.iter().map(node).collect()
    }

    /// What would serve if it could: the best candidate, else the highest that failed.
    pub(crate) fn target(&self, name: &str) -> Option<&Candidate> {
        let candidates = self.candidates_of(name);
        let best = self.services.get(name).and_then(|service| service.best(&candidates));
        best.or_else(|| candidates.into_iter().max_by_key(|candidate| &candidate.version))
    }

    pub(super) fn candidates_of<'a>(&'a self, name: &str) -> Vec<&'a Candidate> {
        self.files.candidates().filter(|candidate| candidate.manifest.name == name).collect()
    }

    fn step(&self, name: &str, graph: &Graph) -> Step {
        let service = &self.services[name];
        if let Some(busy) = service.busy {
            let phase = match busy.task {
                Task::Start => Phase::Starting,
                Task::Swap => Phase::Swapping,
                Task::Stop | Task::Snapshot => service.phase,
            };
            return Step::Stay(phase, if phase == service.phase { service.reason.clone() } else { None });
        }
        let candidates = self.candidates_of(name);
        let best = service.best(&candidates);
        if self.held.contains(name) {
            return match &service.serving {
                Some(_) => Step::Stop,
                None if candidates.is_empty() => Step::Forget,
                None => Step::Stay(Phase::Stopped, Some(format!("it was stopped with `hotbay stop {name}`"))),
            };
        }
        match (&service.serving, best) {
            (None, Some(best)) => self.step_to_start(name, best, graph),
            (None, None) => step_after_failure(service, &candidates),
            (Some(_), best) => self.step_while_serving(name, service, best, &candidates),
        }
    }

    fn step_to_start(&self, name: &str, best: &Candidate, graph: &Graph) -> Step {
        if let Some(circle) = circle(graph, name) {
            let reason =
                format!("failed to start: it requires itself: {circle}; break the circle in one of them");
            return Step::Stay(Phase::Faulted, Some(reason));
        }
        for required in &best.manifest.requires {
            match self.services.get(required) {
                Some(other) if other.serving.is_some() => {}
                Some(other) => {
                    let reason = format!("waits for service `{required}`, which is {}", other.phase);
                    return Step::Stay(Phase::Starting, Some(reason));
                }
                None if self.files.is_settling() => {
                    return Step::Stay(Phase::Starting, Some(format!("waits for service `{required}`")));
                }
                None => {
                    let reason = format!(
                        "failed to start: it requires service `{required}`, which no file provides; drop that plugin in"
                    );
                    return Step::Stay(Phase::Faulted, Some(reason));
                }
            }
        }
        let goes_first = |(other, node): (&String, &Node)| {
            let busy = self.services.get(other).and_then(|other| other.busy);
            busy.is_some_and(|busy| busy.task == Task::Start && busy.since.elapsed() < PRIORITY_PATIENCE)
                && node.priority > best.manifest.priority
        };
        if graph.iter().any(goes_first) {
            return Step::Stay(Phase::Starting, None);
        }
        Step::Start(Box::new(best.clone()))
    }

    fn step_while_serving(
        &self,
        name: &str,
        service: &Service,
        best: Option<&Candidate>,
        candidates: &[&Candidate],
    ) -> Step {
        let Some(serving) = &service.serving else { return Step::Stay(service.phase, None) };
        // The file that it came from is there, and what it holds now did not take over: it failed, is no plugin, or is
        // being written.
        let at_home = candidates.iter().find(|candidate| candidate.path == serving.source);
        let provides_another =
            self.files.candidates().any(|c| c.path == serving.source && c.manifest.name != name);
        let home_is_bad = self.files.exists(&serving.source)
            && !provides_another
            && at_home.is_none_or(|candidate| service.failed.contains_key(&candidate.digest));
        match best {
            Some(best) if service.reload => Step::Swap(Box::new(best.clone())),
            Some(best) if best.digest == serving.digest => self.step_of_rest(service),
            Some(best) if home_is_bad && best.version <= serving.version => self.step_of_rest(service),
            Some(best) => Step::Swap(Box::new(best.clone())),
            None if home_is_bad => self.step_of_rest(service),
            None => Step::Stop,
        }
    }

    fn step_of_rest(&self, service: &Service) -> Step {
        if service.is_due_for_snapshots() && service.snapshot_due <= Instant::now() {
            return Step::Snapshot;
        }
        Step::Stay(Phase::Running, None)
    }

    fn take_step(&mut self, name: &str, step: Step) {
        let shared = std::sync::Arc::clone(&self.shared);
        let Some(service) = self.services.get_mut(name) else { return };
        let slot = std::sync::Arc::clone(&service.slot);
        // Should no thread be had, the closure and what it holds are gone: this brings the generation back.
        let mut kept = None;
        let (task, spawned) = match step {
            Step::Stay(phase, reason) => {
                if phase == Phase::Starting && service.busy.is_none() {
                    // What it waits for may only be time.
                    self.decide_at = Some(Instant::now() + PRIORITY_PATIENCE);
                }
                if service.enter(phase, reason.clone()) && service.serving.is_none() && service.busy.is_none()
                {
                    // What was published before is that nobody is there, too.
                    let _ = service.slot.take_down(phase, reason.clone());
                    if phase == Phase::Faulted {
                        shared.journal.note("faulted", Some(name), None, reason.unwrap_or_default());
                    }
                }
                return;
            }
            Step::Forget => {
                self.services.remove(name);
                shared.registry.remove(name);
                return;
            }
            Step::Start(candidate) => {
                let (number, fresh) = (service.number(), std::mem::take(&mut service.fresh));
                service.enter(Phase::Starting, None);
                service.reload = false;
                (
                    Task::Start,
                    self.spawn(name, move |shared| op::start(shared, &slot, *candidate, number, fresh)),
                )
            }
            Step::Swap(candidate) => {
                let Some(old) = service.generation.take() else { return };
                service.enter(Phase::Swapping, None);
                service.reload = false;
                kept = Some(std::sync::Arc::clone(&old));
                (Task::Swap, self.spawn(name, move |shared| op::swap(shared, &slot, old, *candidate)))
            }
            Step::Stop => {
                let Some(generation) = service.generation.take() else { return };
                (
                    Task::Stop,
                    self.spawn(name, move |shared| op::stop(shared, &slot, generation, op::Stop::Asked)),
                )
            }
            Step::Snapshot => {
                let Some(generation) = service.generation.clone() else { return };
                service.snapshot_due = Instant::now() + shared.config.state.interval;
                (Task::Snapshot, self.spawn(name, move |shared| op::snapshot(shared, generation)))
            }
        };
        let Some(service) = self.services.get_mut(name) else { return };
        match spawned {
            Ok(()) => service.busy = Some(Busy { task, since: Instant::now() }),
            Err(error) => {
                tracing::error!(plugin = name, %error, "failed to start a thread for an operation; trying again");
                service.generation = kept.or(service.generation.take());
                self.decide_at = Some(Instant::now() + PRIORITY_PATIENCE);
            }
        }
    }
}

fn step_after_failure(service: &Service, candidates: &[&Candidate]) -> Step {
    let highest = candidates.iter().max_by_key(|candidate| &candidate.version);
    let Some(failure) = highest.and_then(|candidate| service.failed.get(&candidate.digest)) else {
        return Step::Forget;
    };
    let phase = match failure.kind {
        FailureKind::Refused => Phase::Rejected,
        FailureKind::Faulted | FailureKind::Moved => Phase::Faulted,
        FailureKind::Quarantined => Phase::Quarantined,
    };
    Step::Stay(phase, Some(failure.reason.clone()))
}
