//! A cascade: what a command to some services means for those that hang on them, said before it is done.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Graph, Node, circle, start_order};
use super::view::{Action, Planned};
use crate::config::WhenDependencyStops;

/// A service, as far as a plan has to know it.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) node: Node,
    pub(crate) policy: WhenDependencyStops,
    pub(crate) serves: bool,
    /// Somebody stopped it.
    pub(crate) held: bool,
}

type All = BTreeMap<String, Standing>;

/// Services that leave, each with the one that it leaves because of, where nobody named it.
type Leaving = BTreeMap<String, Option<String>>;

/// Stops or restarts `names`, and what does not stay without them: who hangs on others first.
pub(crate) fn stop(all: &All, names: &BTreeSet<String>, action: Action) -> Vec<Planned> {
    let serves = |name: &&String| all.get(*name).is_some_and(|standing| standing.serves);
    leave(all, names.iter().filter(serves).map(|name| (name.clone(), None)).collect(), action)
}

/// Plans who leaves: these, and whom they take along. When they come back, those follow that are restarted then, with whom these take
/// along, and so on.
fn leave(all: &All, first: Leaving, action: Action) -> Vec<Planned> {
    let order = start_order(&graph_of(all));
    let (mut plan, mut level, mut gone, mut next) = (Vec::new(), 0, Leaving::new(), first);
    while !next.is_empty() {
        take_along(all, &mut next, &gone);
        let mut left: Vec<&String> = order.iter().filter(|name| next.contains_key(*name)).collect();
        while !left.is_empty() {
            level += 1;
            // The last of the order always can: so services that hang on each other keep nobody.
            let can = |at: &usize| !left[at + 1..].iter().any(|other| all[*other].node.hangs_on(left[*at]));
            let now: BTreeSet<&String> = (0..left.len()).filter(can).map(|at| left[at]).collect();
            left.retain(|name| !now.contains(name));
            for name in now {
                let because_of = next[name].clone();
                let note = because_of.as_ref().map(|_| said(all[name].policy).to_owned());
                plan.push(Planned { level, service: name.clone(), action, because_of, note });
            }
        }
        gone.append(&mut next);
        if action == Action::Restart {
            next = staying(all, &gone).filter(|(name, _)| is_restarted(all, name)).collect();
        }
    }
    level += 1;
    for (service, cause) in staying(all, &gone) {
        let policy = all[&service].policy;
        let later = if policy == WhenDependencyStops::Restart {
            ": restarted when all of that is there again"
        } else {
            ""
        };
        let note = Some(format!("{}{later}", said(policy)));
        plan.push(Planned { level, service, action: Action::Keep, because_of: cause, note });
    }
    plan
}

/// Adds who does not stay without one that leaves; it may be what another hangs on.
fn take_along(all: &All, leaving: &mut Leaving, gone: &Leaving) {
    loop {
        let follows = staying(all, leaving)
            .find(|(name, _)| all[name].policy == WhenDependencyStops::Stop && !gone.contains_key(name));
        let Some((name, cause)) = follows else { break };
        leaving.insert(name, cause);
    }
}

/// Who serves, does not leave, and requires one that does, with that one.
fn staying(all: &All, leaving: &Leaving) -> impl Iterator<Item = (String, Option<String>)> {
    all.iter().filter(|(name, standing)| standing.serves && !leaving.contains_key(*name)).filter_map(
        |(name, standing)| {
            let cause = standing.node.requires.iter().find(|required| leaving.contains_key(*required))?;
            Some((name.clone(), Some(cause.clone())))
        },
    )
}

/// Whether it is restarted when all that it requires serves again, which that does: what is down already stays so.
fn is_restarted(all: &All, name: &str) -> bool {
    let serves = |required: &String| all.get(required).is_some_and(|standing| standing.serves);
    all[name].policy == WhenDependencyStops::Restart && all[name].node.requires.iter().all(serves)
}

fn said(policy: WhenDependencyStops) -> &'static str {
    match policy {
        WhenDependencyStops::Keep => "when_dependency_stops = \"keep\"",
        WhenDependencyStops::Stop => "when_dependency_stops = \"stop\"",
        WhenDependencyStops::Restart => "when_dependency_stops = \"restart\"",
    }
}

/// Starts `names`, as far as they do not serve, and who waits for one of them only: those of a level at once. Then those are restarted
/// that served without what is there again.
pub(crate) fn start(all: &All, names: &BTreeSet<String>) -> Vec<Planned> {
    let graph = graph_of(all);
    let is_down = |name: &str| all.get(name).is_none_or(|standing| !standing.serves);
    let mut waiting: BTreeSet<String> = names.iter().filter(|name| is_down(name)).cloned().collect();
    // One that waits for one of them may be what another waits for.
    loop {
        let waits = |(name, standing): &(&String, &Standing)| {
            let is_free = !standing.serves && !standing.held && !waiting.contains(*name);
            is_free && standing.node.requires.iter().any(|required| waiting.contains(required))
        };
        let Some((name, _)) = all.iter().find(waits) else { break };
        waiting.insert(name.clone());
    }
    let (mut plan, mut level) = (Vec::new(), 0);
    let mut there: BTreeSet<String> = all.keys().filter(|name| !is_down(name)).cloned().collect();
    loop {
        let can = |name: &&String| {
            graph.get(*name).is_some_and(|node| node.requires.iter().all(|required| there.contains(required)))
        };
        let now: Vec<String> = waiting.iter().filter(can).cloned().collect();
        if now.is_empty() {
            break;
        }
        level += 1;
        for name in now {
            waiting.remove(&name);
            let because_of = (!names.contains(&name)).then(|| cause(&graph, &name, names)).flatten();
            plan.push(Planned {
                level,
                service: name.clone(),
                action: Action::Start,
                because_of,
                note: None,
            });
            there.insert(name);
        }
    }
    let missed = |(name, standing): (&String, &Standing)| {
        let requires = &standing.node.requires;
        let is_one = standing.serves && standing.policy == WhenDependencyStops::Restart;
        let back = requires.iter().find(|required| is_down(required))?;
        (is_one && requires.iter().all(|required| there.contains(required)))
            .then(|| (name.clone(), Some(back.clone())))
    };
    let restarted = leave(all, all.iter().filter_map(missed).collect(), Action::Restart);
    plan.extend(restarted.into_iter().map(|step| Planned { level: level + step.level, ..step }));
    level = plan.last().map_or(0, |step| step.level) + 1;
    for name in waiting.into_iter().filter(|name| names.contains(name)) {
        let missing =
            graph.get(&name).and_then(|node| node.requires.iter().find(|r| !there.contains(*r)).cloned());
        let note = match circle(&graph, &name) {
            Some(circle) => format!("cannot start: it requires itself: {circle}"),
            None => format!("cannot start: it waits for service `{}`", missing.as_deref().unwrap_or("?")),
        };
        plan.push(Planned {
            level,
            service: name,
            action: Action::Start,
            because_of: missing,
            note: Some(note),
        });
    }
    plan
}

fn graph_of(all: &All) -> Graph {
    all.iter().map(|(name, standing)| (name.clone(), standing.node.clone())).collect()
}

fn cause(graph: &Graph, name: &str, names: &BTreeSet<String>) -> Option<String> {
    let requires = &graph.get(name)?.requires;
    requires.iter().find(|required| names.contains(*required)).or(requires.first()).cloned()
}

#[cfg(test)]
mod tests;
