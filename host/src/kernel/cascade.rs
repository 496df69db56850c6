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

/// Stops or restarts `names`, and what does not stay without them: who hangs on others first.
pub(crate) fn stop(all: &All, names: &BTreeSet<String>, action: Action) -> Vec<Planned> {
    let serves = |name: &&String| all.get(*name).is_some_and(|standing| standing.serves);
    let mut leave: BTreeMap<String, Option<String>> =
        names.iter().filter(serves).map(|n| (n.clone(), None)).collect();
    // One that hangs on one that leaves may be what another hangs on.
    loop {
        let follows = all.iter().find_map(|(name, standing)| {
            let is_one =
                standing.serves && standing.policy == WhenDependencyStops::Stop && !leave.contains_key(name);
            let cause = standing.node.requires.iter().find(|required| leave.contains_key(*required));
            Some((name.clone(), cause.filter(|_| is_one)?.clone()))
        });
        let Some((name, cause)) = follows else { break };
        leave.insert(name, Some(cause));
    }
    let mut plan = Vec::new();
    let order = start_order(&graph_of(all));
    let mut left: Vec<&String> = order.iter().filter(|name| leave.contains_key(*name)).collect();
    let mut level = 0;
    while !left.is_empty() {
        level += 1;
        // The last of the order always can: so services that hang on each other keep nobody.
        let can = |at: &usize| !left[at + 1..].iter().any(|other| all[*other].node.hangs_on(left[*at]));
        let now: BTreeSet<&String> = (0..left.len()).filter(can).map(|at| left[at]).collect();
        left.retain(|name| !now.contains(name));
        for name in now {
            let because_of = leave[name].clone();
            let note = because_of.as_ref().map(|_| "when_dependency_stops = \"stop\"".to_owned());
            plan.push(Planned { level, service: name.clone(), action, because_of, note });
        }
    }
    level += 1;
    for (name, standing) in
        all.iter().filter(|(name, standing)| standing.serves && !leave.contains_key(*name))
    {
        let Some(cause) = standing.node.requires.iter().find(|required| leave.contains_key(*required)) else {
            continue;
        };
        let (done, note) = match (standing.policy, action) {
            (WhenDependencyStops::Restart, Action::Restart) => {
                (Action::Restart, "when_dependency_stops = \"restart\"")
            }
            (WhenDependencyStops::Restart, _) => {
                (Action::Keep, "when_dependency_stops = \"restart\": restarted when that is there again")
            }
            _ => (Action::Keep, "when_dependency_stops = \"keep\""),
        };
        let (because_of, note) = (Some(cause.clone()), Some(note.to_owned()));
        plan.push(Planned { level, service: name.clone(), action: done, because_of, note });
    }
    plan
}

/// Starts `names`, as far as they do not serve, and who waits for one of them only: those of a level at once.
pub(crate) fn start(all: &All, names: &BTreeSet<String>) -> Vec<Planned> {
    let graph = graph_of(all);
    let is_down = |name: &str| all.get(name).is_none_or(|standing| !standing.serves);
    let mut waiting: BTreeSet<String> = names.iter().filter(|name| is_down(name)).cloned().collect();
    for (name, standing) in all.iter().filter(|(_, standing)| !standing.serves && !standing.held) {
        if standing.node.requires.iter().any(|required| waiting.contains(required)) {
            waiting.insert(name.clone());
        }
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
    level += 1;
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
mod tests {
    use super::*;

    use WhenDependencyStops::{Keep, Restart, Stop};

    fn standing(requires: &[&str], policy: WhenDependencyStops, serves: bool) -> Standing {
        let node = Node { requires: requires.iter().map(ToString::to_string).collect(), ..Node::default() };
        Standing { node, policy, serves, held: !serves }
    }

    fn all(services: &[(&str, &[&str], WhenDependencyStops)], serves: bool) -> All {
        let one = |(name, requires, policy): &(&str, &[&str], _)| {
            (name.to_string(), standing(requires, *policy, serves))
        };
        services.iter().map(one).collect()
    }

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(ToString::to_string).collect()
    }

    fn short(plan: &[Planned]) -> Vec<(u32, &str, Action)> {
        plan.iter().map(|step| (step.level, &*step.service, step.action)).collect()
    }

    #[test]
    fn who_does_not_stay_without_it_stops_before_it_and_others_are_kept() {
        let all = all(
            &[
                ("db", &[], Keep),
                ("api", &["db"], Stop),
                ("web", &["api"], Stop),
                ("log", &["db"], Keep),
                ("job", &["db"], Restart),
            ],
            true,
        );
        let plan = stop(&all, &names(&["db"]), Action::Stop);
        let wanted = [
            (1, "web", Action::Stop),
            (2, "api", Action::Stop),
            (3, "db", Action::Stop),
            (4, "job", Action::Keep),
            (4, "log", Action::Keep),
        ];
        assert_eq!(short(&plan), wanted);
        assert_eq!(plan[0].because_of.as_deref(), Some("api"));
        let plan = stop(&all, &names(&["db"]), Action::Restart);
        assert_eq!((plan[3].action, plan[4].action), (Action::Restart, Action::Keep));
    }

    #[test]
    fn independent_services_start_at_one_level_and_a_circle_is_named() {
        let all = all(
            &[
                ("a", &[], Keep),
                ("b", &[], Keep),
                ("c", &["a", "b"], Keep),
                ("x", &["y"], Keep),
                ("y", &["x"], Keep),
            ],
            false,
        );
        let plan = start(&all, &all.keys().cloned().collect());
        assert_eq!(
            short(&plan)[..3],
            [(1, "a", Action::Start), (1, "b", Action::Start), (2, "c", Action::Start)]
        );
        assert_eq!(plan[3].note.as_deref(), Some("cannot start: it requires itself: x → y → x"));
    }

    #[test]
    fn services_that_hang_on_each_other_stop_one_after_the_other() {
        let mut both = all(&[("a", &[], Keep), ("b", &[], Keep), ("c", &["b"], Keep)], true);
        both.get_mut("a").unwrap().node.wants = vec!["b".to_owned()];
        both.get_mut("b").unwrap().node.wants = vec!["a".to_owned(), "c".to_owned()];
        let plan = stop(&both, &names(&["a", "b", "c"]), Action::Stop);
        assert_eq!(short(&plan), [(1, "c", Action::Stop), (2, "b", Action::Stop), (3, "a", Action::Stop)]);
    }

    #[test]
    fn what_is_down_already_is_not_stopped() {
        let all = all(&[("a", &[], Keep)], false);
        assert_eq!(stop(&all, &names(&["a"]), Action::Stop), []);
    }
}
