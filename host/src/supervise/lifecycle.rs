//! Who leaves with whom, and who is told: services that require others when those stop, fail and come back.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::Kernel;
use super::decide::Step;
use crate::bus::{KERNEL, Manner, Outgoing};
use crate::config::WhenDependencyStops;
use crate::error::{Code, Trouble};
use crate::kernel::cascade::{self, Standing};
use crate::kernel::plan::Graph;
use crate::kernel::restarts::{By, Restart};
use crate::kernel::service::Service;
use crate::kernel::view::{Action, Phase, Planned};

impl Kernel {
    /// Services that serve and are to stop, in the order in which they would start: those that somebody stopped, those that are to be
    /// restarted, and those that do not stay without one of these.
    pub(super) fn leaving(&self, order: &[String], graph: &Graph) -> Vec<String> {
        let mut leaving = Vec::new();
        for name in order {
            let Some(service) = self.services.get(name).filter(|service| service.serving.is_some()) else {
                continue;
            };
            let misses = |required: &String| leaving.contains(required) || !self.serves(required);
            let follows =
                self.policy_of(name) == WhenDependencyStops::Stop && graph[name].requires.iter().any(misses);
            if self.held.contains(name) || service.restart.is_some() || follows {
                leaving.push(name.clone());
            }
        }
        leaving
    }

    pub(super) fn leaves(&self, name: &str) -> bool {
        self.leaving.iter().any(|leaving| leaving == name)
    }

    pub(super) fn serves(&self, name: &str) -> bool {
        self.services.get(name).is_some_and(|service| service.serving.is_some())
    }

    fn policy_of(&self, name: &str) -> WhenDependencyStops {
        let settings = self.shared.settings();
        settings.service.get(name).map(|service| service.when_dependency_stops).unwrap_or_default()
    }

    /// Services that are restarted when what they require is there again: notes who misses something, and whose time has come.
    pub(super) fn note_missed(&mut self, graph: &Graph) {
        let names: Vec<String> = self.services.keys().cloned().collect();
        for name in names {
            if self.policy_of(&name) != WhenDependencyStops::Restart {
                continue;
            }
            let requires = &graph[&name].requires;
            let missed: Vec<String> =
                requires.iter().filter(|required| !self.serves(required)).cloned().collect();
            let Some(service) = self.services.get_mut(&name).filter(|service| service.serving.is_some())
            else {
                continue;
            };
            if !missed.is_empty() {
                service.missed.extend(missed);
            } else if let Some(back) = service.missed.pop_first()
                && service.restart.is_none()
            {
                let text = format!("service `{back}`, which it requires, serves again");
                let why = Trouble::new(Code::DependencyStopped, text);
                service.missed.clear();
                service.restart = Some(Restart { why, by: By::Dependency });
            }
        }
    }

    /// The way out of a service that leaves: after those that hang on it. Of services that hang on each other one has to go first: who would
    /// start last.
    pub(super) fn step_out(&self, name: &str, service: &Service, graph: &Graph) -> Step {
        let is_sick = service.restart.as_ref().is_some_and(|restart| restart.by == By::Supervision);
        let mut later = self.leaving.iter().skip_while(|other| *other != name).skip(1);
        let before = later.find(|other| graph[*other].hangs_on(name) && self.serves(other));
        match before {
            Some(other) if !is_sick => Step::Stay(
                service.phase,
                Some(format!("it stops after service `{other}`, which uses it").into()),
            ),
            _ => match &service.restart {
                Some(restart) if !self.held.contains(name) => Step::Restart(restart.by),
                _ => Step::Stop,
            },
        }
    }

    /// Tells who requires or wants a service, and whoever listens, that it came or went.
    pub(super) fn tell_dependents(&mut self, graph: &Graph) {
        let mut news = Vec::new();
        for (name, service) in &mut self.services {
            let now = service.serving.as_ref().map(|serving| serving.side.generation);
            let before = std::mem::replace(&mut service.told, now);
            if now != before {
                news.push((name.clone(), before.is_some() != now.is_some()));
            }
        }
        for (name, came_or_went) in news {
            if came_or_went {
                self.note_for_dependents(&name, graph);
            }
            let (service, bus) = (&self.services[&name], self.shared.registry.bus());
            let topic = format!("hotbay.service.{name}");
            // A topic that nobody listens to is not one that was published to.
            if !bus.is_heard(&topic) {
                continue;
            }
            let told = serde_json::json!({
                "service": name,
                "serves": service.serving.is_some(),
                "phase": service.phase,
                "version": service.serving.as_ref().map(|serving| &serving.side.version),
                "generation": service.told,
                "reason": service.reason.as_ref().map(|why| &why.text),
            });
            // Who has no room misses it: the loop waits for nobody.
            let manner = Manner::Confirm(Duration::ZERO);
            let bytes = told.to_string().into_bytes();
            let sender = Arc::from(KERNEL);
            let _ = bus.publish(&sender, &topic, Outgoing::from(&*bytes), manner);
        }
    }

    fn note_for_dependents(&self, name: &str, graph: &Graph) {
        for (other, node) in graph.iter().filter(|(_, node)| node.hangs_on(name)) {
            let Some(side) =
                self.services.get(other).and_then(|other| other.serving.as_ref()).map(|s| &s.side)
            else {
                continue;
            };
            let how =
                if node.requires.iter().any(|required| required == name) { "requires" } else { "wants" };
            let text = match self.serves(name) {
                true => format!("service `{name}`, which it {how}, serves"),
                false => format!("service `{name}`, which it {how}, does not serve any more"),
            };
            self.shared.journal.note("dependency", Some(other), Some(side), text);
        }
    }

    /// What a command would do to which services, in which order. Without names, to all that it is for.
    pub(crate) fn plan(
        &self,
        action: Action,
        names: Option<&[String]>,
    ) -> Result<Vec<Planned>, crate::ControlError> {
        let names = self.named(action, names)?;
        let graph = self.graph();
        let standing = |(name, node): (&String, &crate::kernel::plan::Node)| {
            let standing = Standing {
                node: node.clone(),
                policy: self.policy_of(name),
                serves: self.serves(name),
                held: self.held.contains(name),
            };
            (name.clone(), standing)
        };
        let all = graph.iter().map(standing).collect();
        Ok(match action {
            Action::Start => cascade::start(&all, &names),
            Action::Stop | Action::Restart | Action::Keep => cascade::stop(&all, &names, action),
        })
    }

    /// The services that a command is for. The error is that there is none of a name.
    pub(crate) fn named(
        &self,
        action: Action,
        names: Option<&[String]>,
    ) -> Result<BTreeSet<String>, crate::ControlError> {
        let Some(names) = names else {
            let is_meant = |(_, service): &(&String, &Service)| match action {
                Action::Restart => service.serving.is_some(),
                Action::Start | Action::Stop | Action::Keep => true,
            };
            return Ok(self.services.iter().filter(is_meant).map(|(name, _)| name.clone()).collect());
        };
        match names.iter().find(|name| !self.services.contains_key(*name)) {
            Some(unknown) => Err(self.not_found(unknown)),
            None => Ok(names.iter().cloned().collect()),
        }
    }

    /// Stops a service and starts it again, with its state. One that does not run is started.
    pub(crate) fn restart(&mut self, name: String, reply: crate::kernel::wish::Reply) {
        use crate::ControlError;
        use crate::kernel::wish::{Goal, Wish};
        if self.held.contains(&name) {
            let text = format!(
                "failed to restart service `{name}`: it was stopped; `hotbay start {name}` starts it"
            );
            return reply.send(Err(ControlError::Refused { reason: Trouble::new(Code::IsStopped, text) }));
        }
        let Some(service) = self.services.get_mut(&name) else { return self.refuse_unknown(&name, &reply) };
        if service.is_changing() || service.restart.is_some() {
            let with = "another change of it";
            return reply.send(Err(ControlError::Busy { command: "restart", name, with }));
        }
        if service.serving.is_none() {
            return self.start(name, false, reply);
        }
        let why = Trouble::new(Code::IsStopped, "somebody restarts it");
        service.restart = Some(Restart { why, by: By::Command });
        service.restarts.lift();
        service.rest = None;
        // It has stopped, and has started, or failed to.
        let after = service.ended + 1;
        self.wishes.push(Wish::new(name, Goal::Ends { command: "restart", after }, reply));
    }

    /// Why a service cannot run for one that it requires and that somebody stopped.
    pub(super) fn stopped_dependency(&self, required: &str) -> Option<Trouble> {
        self.held.contains(required).then(|| {
            let text = format!(
                "service `{required}`, which it requires, is stopped; `hotbay start {required}` starts it"
            );
            Trouble::new(Code::DependencyStopped, text)
        })
    }

    /// How a service is shown that is down for that.
    pub(super) fn step_without(reason: &Trouble) -> Step {
        Step::Stay(Phase::Stopped, Some(reason.into()))
    }
}
