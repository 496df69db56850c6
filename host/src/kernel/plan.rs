//! Which services may start now, and in which order all stop: dependencies first, then priority, then name.

use std::collections::{BTreeMap, BTreeSet};

/// What a plan needs to know of a service.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Node {
    pub(crate) requires: Vec<String>,
    /// What it uses where that is there.
    pub(crate) wants: Vec<String>,
    pub(crate) priority: i32,
}

impl Node {
    /// Whether it uses this service, and so stops before it.
    pub(crate) fn hangs_on(&self, name: &str) -> bool {
        self.requires.iter().chain(&self.wants).any(|used| used == name)
    }
}

/// The services by name.
pub(crate) type Graph = BTreeMap<String, Node>;

/// A circle that `name` is part of, as `a → b → a`.
pub(crate) fn circle(graph: &Graph, name: &str) -> Option<String> {
    fn walk<'a>(
        graph: &'a Graph,
        at: &'a str,
        goal: &str,
        path: &mut Vec<&'a str>,
        seen: &mut BTreeSet<&'a str>,
    ) -> bool {
        let Some(node) = graph.get(at) else { return false };
        for next in &node.requires {
            if next == goal {
                return true;
            }
            if seen.insert(next) {
                path.push(next);
                if walk(graph, next, goal, path, seen) {
                    return true;
                }
                path.pop();
            }
        }
        false
    }
    let mut path = vec![name];
    walk(graph, name, name, &mut path, &mut BTreeSet::new()).then(|| {
        path.push(name);
        path.join(" → ")
    })
}

/// All services in the order in which they start: what is required before what requires it; among those that could go
/// next, the higher priority, then the name; what is wanted before what wants it, where that can be. Those in a circle, and what hangs on them, come last, by name.
pub(crate) fn start_order(graph: &Graph) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    let mut left: BTreeSet<&String> = graph.keys().collect();
    while !left.is_empty() {
        let ready =
            |name: &&String| graph[name.as_str()].requires.iter().all(|required| !left.contains(required));
        // What it only wants keeps nobody from being next where that waits for something itself.
        let has_all = |name: &&String| graph[name.as_str()].wants.iter().all(|wanted| !left.contains(wanted));
        let next = highest(graph, left.iter().copied().filter(|name| ready(name) && has_all(name)));
        let next = next.or_else(|| highest(graph, left.iter().copied().filter(|name| ready(name))));
        let next = next.or_else(|| left.first().copied());
        let Some(next) = next else { break };
        left.remove(next);
        order.push(next.clone());
    }
    order
}

fn highest<'a>(graph: &Graph, names: impl Iterator<Item = &'a String>) -> Option<&'a String> {
    names.max_by_key(|name| (graph[name.as_str()].priority, std::cmp::Reverse(name.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(nodes: &[(&str, &[&str], i32)]) -> Graph {
        let node = |requires: &[&str], priority| Node {
            requires: requires.iter().map(ToString::to_string).collect(),
            priority,
            ..Node::default()
        };
        nodes.iter().map(|(name, requires, priority)| (name.to_string(), node(requires, *priority))).collect()
    }

    #[test]
    fn what_is_required_starts_first_and_priority_orders_the_rest() {
        let graph = graph(&[("a", &["c"], 9), ("b", &[], 1), ("c", &[], 0), ("d", &[], 5), ("e", &[], 5)]);
        assert_eq!(start_order(&graph), ["d", "e", "b", "c", "a"]);
    }

    #[test]
    fn what_is_wanted_starts_first_and_a_circle_of_wants_keeps_nobody() {
        let mut graph = graph(&[("a", &[], 9), ("b", &[], 0)]);
        graph.get_mut("a").unwrap().wants = vec!["b".to_owned()];
        assert_eq!(start_order(&graph), ["b", "a"]);
        graph.get_mut("b").unwrap().wants = vec!["a".to_owned()];
        assert_eq!(start_order(&graph), ["a", "b"]);
        assert_eq!(circle(&graph, "a"), None);
    }

    #[test]
    fn a_circle_is_named_and_keeps_nobody_else_from_the_plan() {
        let graph =
            graph(&[("a", &["b"], 0), ("b", &["c"], 0), ("c", &["a"], 0), ("d", &["a"], 0), ("e", &[], 0)]);
        assert_eq!(circle(&graph, "a").as_deref(), Some("a → b → c → a"));
        assert_eq!(circle(&graph, "d"), None);
        assert_eq!(start_order(&graph)[0], "e");
        assert_eq!(start_order(&graph).len(), 5);
    }

    #[test]
    fn a_service_that_requires_itself_is_a_circle() {
        assert_eq!(circle(&graph(&[("a", &["a"], 0)]), "a").as_deref(), Some("a → a"));
    }
}
