//! What to do next for each service: the difference between what should run and what does. Nothing here changes
//! anything; `carry_out` does.

mod apart;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use apart::{step_after_failure, step_back, step_of_rest};

use super::{Kernel, PRIORITY_PATIENCE};
use crate::error::{Code, Trouble, Why};
use crate::ffi;
use crate::kernel::files::Candidate;
use crate::kernel::op::Cause;
use crate::kernel::plan::{Graph, Node, circle, start_order};
use crate::kernel::restarts::By;
use crate::kernel::service::{FailureKind, Service, Serving, Task};
use crate::kernel::tables::Table;
use crate::kernel::view::Phase;

/// What a service should do next.
pub(super) enum Step {
    /// Nothing, and this is where it is.
    Stay(Phase, Option<Why>),
    Start(Box<Candidate>),
    Swap(Box<Candidate>),
    /// To the last good version.
    RollBack(Box<Candidate>, Cause),
    Stop,
    /// Stops, to be started again.
    Restart(By),
    /// Neither what serves is any good, nor what served before.
    GiveUp,
    Snapshot,
    /// Its bytes are nowhere else any more.
    Keep,
    /// Its table of the configuration is another than the file's.
    Configure(Arc<Table>),
    /// Its library was told another level of the log.
    TellLevel,
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
                let mut service = Service::new(self.shared.registry.register(&name));
                service.slot.guard().set(self.shared.settings().service_of(&name), None);
                if let Some(past) = self.gone.remove(&name) {
                    past.come_back(&mut service);
                }
                self.recall(&name, &mut service);
                self.services.insert(name, service);
            }
        }
        self.follow_renames();
        let graph = self.graph();
        self.tell_dependents(&graph);
        self.note_missed(&graph);
        let order = start_order(&graph);
        self.leaving = self.leaving(&order, &graph);
        for name in &order {
            let step = self.step(name, &graph);
            self.carry_out(name, step);
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
                serving.home.clone_from(&first.path);
            }
            if self.shared.keeps(&serving.source) {
                let mut of_it = self.files.candidates().filter(|c| c.manifest.name == *name);
                let rolled_back = |c: &&Candidate| {
                    service.failed.get(&c.digest).is_some_and(|f| f.kind == FailureKind::RolledBack)
                };
                let instead = match self.files.exists(&serving.home) {
                    true => of_it.find(rolled_back),
                    false => of_it.max_by_key(|c| (rolled_back(c), &c.version)),
                };
                if let Some(instead) = instead {
                    serving.home.clone_from(&instead.path);
                }
            }
        }
    }

    /// Who requires whom: by what serves, else by what would serve.
    pub(super) fn graph(&self) -> Graph {
        let node = |(name, service): (&String, &Service)| {
            let manifest = match (&service.serving, self.target(name)) {
                (Some(serving), _) => &serving.manifest,
                (None, Some(target)) => &target.manifest,
                (None, None) => return (name.clone(), Node::default()),
            };
            let (requires, wants) = (manifest.requires.clone(), manifest.wants.clone());
            (name.clone(), Node { requires, wants, priority: manifest.priority })
        };
        self.services.iter().map(node).collect()
    }

    /// What would serve if it could: the best candidate, else the highest that failed.
    pub(crate) fn target(&self, name: &str) -> Option<&Candidate> {
        let candidates = self.contenders(name);
        let best = self.services.get(name).and_then(|service| service.best(&candidates));
        best.or_else(|| match self.services.get(name) {
            Some(service) => service.highest(&candidates),
            None => candidates.into_iter().max_by_key(|candidate| &candidate.version),
        })
    }

    /// The files that hold a service.
    pub(super) fn candidates_of<'a>(&'a self, name: &str) -> Vec<&'a Candidate> {
        self.files.candidates().filter(|candidate| candidate.manifest.name == name).collect()
    }

    /// What may serve: the files, and where one of them was rolled back the last good version as well. One that serves is
    /// not replaced by it on this way: that is for `step_back`. Where nothing serves, and a file did not take in the state that
    /// there is, whoever wrote that state may: it hands it over then.
    fn contenders<'a>(&'a self, name: &str) -> Vec<&'a Candidate> {
        let mut candidates = self.candidates_of(name);
        let Some(service) = self.services.get(name) else { return candidates };
        let good = service
            .good
            .as_ref()
            .filter(|good| service.serving.as_ref().is_none_or(|serving| serving.digest == good.digest));
        if candidates.iter().any(|candidate| service.is_rolled_back(&candidate.digest)) {
            candidates.extend(good);
        } else if service.serving.is_none() && candidates.iter().any(|c| service.is_unread_by(&c.digest)) {
            let stateful = |kept: &&Candidate| kept.manifest.state.is_some();
            // Where that one failed as well, nobody else does, who would leave out what it added.
            let tried =
                |kept: &&Candidate| service.served.is_some() && service.failed.contains_key(&kept.digest);
            let kept = service.writer().filter(|kept| !tried(kept)).filter(stateful);
            let is_new = |kept: &&Candidate| candidates.iter().all(|file| file.digest != kept.digest);
            candidates.extend(kept.filter(is_new));
        }
        candidates
    }

    fn step(&self, name: &str, graph: &Graph) -> Step {
        let service = &self.services[name];
        if let Some(busy) = service.busy {
            let phase = match busy.task {
                Task::Start => Phase::Starting,
                Task::Swap | Task::RollBack => Phase::Swapping,
                Task::Stop | Task::Snapshot | Task::Keep | Task::Configure => service.phase,
            };
            return Step::Stay(phase, if phase == service.phase { service.reason.clone() } else { None });
        }
        let candidates = self.contenders(name);
        let best = service.best(&candidates);
        let step = match (&service.serving, best) {
            _ if self.held.contains(name) => match service.serving {
                Some(_) => self.step_out(name, service, graph),
                None if candidates.is_empty() => Step::Forget,
                None => Step::Stay(
                    Phase::Stopped,
                    Some(format!("it was stopped with `hotbay stop {name}`").into()),
                ),
            },
            (None, Some(best)) => self.step_to_start(name, best, graph),
            (None, None) => step_after_failure(service, &candidates, &self.candidates_of(name)),
            (Some(_), _) if service.condemned().is_some() => step_back(service),
            (Some(_), _) if service.back && service.way_back().is_some() => step_back(service),
            (Some(_), _) if self.leaves(name) => self.step_out(name, service, graph),
            (Some(serving), best) => {
                self.step_while_serving(name, service, serving, best, &candidates, graph)
            }
        };
        if matches!(step, Step::Start(_)) && self.reserved.contains(name) {
            return Step::Stay(
                Phase::Starting,
                Some("another snapshot of it is being put in its place".into()),
            );
        }
        let step = match (self.held_up(), step) {
            (Some(holder), Step::Start(_)) => {
                Step::Stay(Phase::Faulted, Some(waits_for_loader(&holder).into()))
            }
            (Some(holder), Step::Swap(next) | Step::RollBack(next, _)) => {
                step_of_rest(service, Some(does_not_take_over(&next, &waits_for_loader(&holder).into())))
            }
            (_, step) => step,
        };
        // What was tried a moment ago needs time.
        match (service.resting(), &step) {
            (Some(rest), Step::Start(_)) => {
                let phase = if rest.brief { Phase::Starting } else { Phase::Faulted };
                Step::Stay(phase, Some((&rest.why).into()))
            }
            (Some(rest), Step::Swap(_) | Step::RollBack(..) | Step::Stop | Step::Restart(_)) => {
                Step::Stay(Phase::Running, (!rest.brief).then(|| (&rest.why).into()))
            }
            // Before a swap as well: what this version refuses, the next one does not get.
            (None, Step::Stay(Phase::Running, _) | Step::Snapshot | Step::Swap(_))
                if self.table_for(name, service).is_some() =>
            {
                self.table_for(name, service).map_or(step, Step::Configure)
            }
            (None, Step::Stay(Phase::Running, _) | Step::Snapshot) if self.has_other_level(name, service) => {
                Step::TellLevel
            }
            (None, Step::Stay(Phase::Running, _) | Step::Snapshot)
                if service.keep_due <= Instant::now() && self.is_homeless(name, service) =>
            {
                Step::Keep
            }
            // Something else that it is told of says more.
            (_, Step::Stay(Phase::Running, None)) => {
                let table = service.serving.as_ref().map(|serving| &serving.table);
                let trouble = table.and_then(|table| self.shared.tables.trouble(name, table));
                Step::Stay(Phase::Running, trouble.map(Into::into))
            }
            _ => step,
        }
    }

    fn step_to_start(&self, name: &str, best: &Candidate, graph: &Graph) -> Step {
        match self.missing(name, best, graph) {
            Some(Missing::Never(reason)) => {
                return Step::Stay(Phase::Faulted, Some(reason.within("failed to start").into()));
            }
            Some(Missing::NotYet(reason)) => return Step::Stay(Phase::Starting, Some(reason.into())),
            Some(Missing::Stopped(reason)) => return Self::step_without(&reason),
            None => {}
        }
        // A start retires nobody, so it adds nothing: only whose earlier generations are pinned starts no other.
        let holds = self.services.get(name).is_some_and(|service| !service.remains.is_empty());
        if let Some(reason) = self.over_budget().filter(|_| holds) {
            return Step::Stay(Phase::Faulted, Some(reason.within("failed to start").into()));
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
        serving: &Serving,
        best: Option<&Candidate>,
        candidates: &[&Candidate],
        graph: &Graph,
    ) -> Step {
        // The file that it came from is there, and what it holds now did not take over: it failed, is no plugin, or is
        // being written.
        let at_home = candidates.iter().find(|candidate| candidate.path == serving.home);
        let provides_another =
            self.files.candidates().any(|c| c.path == serving.home && c.manifest.name != name);
        let home_is_bad = self.files.exists(&serving.home)
            && !provides_another
            && at_home.is_none_or(|candidate| service.failed.contains_key(&candidate.digest));
        let next = match best {
            Some(best) if home_is_bad && best.version <= serving.version => None,
            Some(best) if best.digest == serving.digest && !service.reload => None,
            Some(best) => Some(best),
            None if home_is_bad => None,
            None => return Step::Stop,
        };
        let Some(next) = next else { return step_of_rest(service, None) };
        let mut with_next = graph.clone();
        if let Some(node) = with_next.get_mut(name) {
            node.requires.clone_from(&next.manifest.requires);
        }
        if let Some(reason) = self.over_budget() {
            return step_of_rest(service, Some(does_not_take_over(next, &reason.into())));
        }
        match self.missing(name, next, &with_next) {
            None => Step::Swap(Box::new(next.clone())),
            Some(Missing::Never(reason) | Missing::Stopped(reason)) => {
                step_of_rest(service, Some(does_not_take_over(next, &reason.into())))
            }
            Some(Missing::NotYet(reason)) => {
                step_of_rest(service, Some(does_not_take_over(next, &reason.into())))
            }
        }
    }

    /// What keeps a candidate from starting.
    fn missing(&self, name: &str, candidate: &Candidate, graph: &Graph) -> Option<Missing> {
        if let Some(circle) = circle(graph, name) {
            let reason = format!("it requires itself: {circle}; break the circle in one of them");
            return Some(Missing::Never(Trouble::new(Code::RequiresItself, reason)));
        }
        candidate.manifest.requires.iter().find_map(|required| match self.services.get(required) {
            Some(other) if other.serving.is_some() && !self.leaves(required) => None,
            Some(_) if self.held.contains(required) => {
                self.stopped_dependency(required).map(Missing::Stopped)
            }
            Some(other) => {
                Some(Missing::NotYet(format!("waits for service `{required}`, which is {}", other.phase)))
            }
            None if self.files.is_settling() => {
                Some(Missing::NotYet(format!("waits for service `{required}`")))
            }
            None => {
                let text =
                    format!("it requires service `{required}`, which no file provides; drop that plugin in");
                Some(Missing::Never(Trouble::new(Code::RequiredMissing, text)))
            }
        })
    }
}

fn does_not_take_over(next: &Candidate, why: &Why) -> Why {
    let text = format!("version {} does not take over: {}", next.version, why.text);
    Why { code: why.code, text }
}

fn waits_for_loader(holder: &ffi::Holder) -> Trouble {
    // Without the time, which would be another reason with each look.
    let service = holder.object.service();
    let text = format!(
        "plugin `{service}` keeps the system's loader for itself; take its file away and restart the host"
    );
    Trouble::new(Code::LoaderKept, text)
}

/// Why a candidate cannot start.
enum Missing {
    /// Something is on its way.
    NotYet(String),
    /// Nothing will come by itself.
    Never(Trouble),
    /// Somebody stopped what it requires.
    Stopped(Trouble),
}
