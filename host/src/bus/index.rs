//! Patterns by their words: which subscriptions take a topic is found along the topic's words, however many patterns there are.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::Pattern;

/// What is registered under patterns.
#[derive(Debug)]
pub(super) struct Index<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    words: HashMap<Box<str>, Node<T>>,
    // Under `*`.
    any: Option<Box<Node<T>>>,
    // Patterns that end here.
    here: Vec<(u64, T)>,
    // Patterns whose last word here is `>`.
    rest: Vec<(u64, T)>,
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { words: HashMap::new(), any: None, here: Vec::new(), rest: Vec::new() }
    }
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { root: Node::default() }
    }
}

impl<T: Clone> Index<T> {
    pub(super) fn insert(&mut self, pattern: &Pattern, id: u64, value: T) {
        let mut node = &mut self.root;
        for word in pattern.words() {
            node = match word {
                ">" => return node.rest.push((id, value)),
                "*" => node.any.get_or_insert_default(),
                word => node.words.entry(word.into()).or_default(),
            };
        }
        node.here.push((id, value));
    }

    pub(super) fn remove(&mut self, pattern: &Pattern, id: u64) {
        let words: Vec<&str> = pattern.words().collect();
        self.root.remove(&words, id);
    }

    /// All that take a topic, each once, by their ids.
    pub(super) fn find(&self, topic: &str) -> Vec<T> {
        let words: Vec<&str> = topic.split('.').collect();
        let mut found = BTreeMap::new();
        self.root.find(&words, &mut found);
        found.into_values().cloned().collect()
    }
}

impl<T> Node<T> {
    fn is_empty(&self) -> bool {
        self.words.is_empty() && self.any.is_none() && self.here.is_empty() && self.rest.is_empty()
    }

    /// As deep as a pattern has words, of which 255 bytes hold 128.
    fn remove(&mut self, words: &[&str], id: u64) {
        match words {
            [] => self.here.retain(|(other, _)| *other != id),
            [">"] => self.rest.retain(|(other, _)| *other != id),
            ["*", others @ ..] => {
                if let Some(node) = &mut self.any {
                    node.remove(others, id);
                }
                self.any.take_if(|node| node.is_empty());
            }
            [word, others @ ..] => {
                let Some(node) = self.words.get_mut(*word) else { return };
                node.remove(others, id);
                if node.is_empty() {
                    self.words.remove(*word);
                }
            }
        }
    }

    fn find<'a>(&'a self, words: &[&str], found: &mut BTreeMap<u64, &'a T>) {
        let [word, others @ ..] = words else {
            found.extend(self.here.iter().map(|(id, value)| (*id, value)));
            return;
        };
        found.extend(self.rest.iter().map(|(id, value)| (*id, value)));
        if let Some(node) = self.words.get(*word) {
            node.find(others, found);
        }
        if let Some(node) = &self.any {
            node.find(others, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Few words, so that patterns and topics meet.
    fn subject(words: &'static [&'static str]) -> impl Strategy<Value = String> {
        prop::collection::vec(prop::sample::select(words), 1..5).prop_map(|words| words.join("."))
    }

    /// What NATS says, word by word.
    fn naive(pattern: &[&str], topic: &[&str]) -> bool {
        match (pattern, topic) {
            ([">"], [_, ..]) | ([], []) => true,
            ([own, pattern @ ..], [word, topic @ ..]) => {
                (*own == "*" || own == word) && naive(pattern, topic)
            }
            _ => false,
        }
    }

    fn split(subject: &str) -> Vec<&str> {
        subject.split('.').collect()
    }

    proptest! {
        #[test]
        fn the_index_finds_what_a_look_at_each_pattern_finds(
            patterns in prop::collection::vec(subject(&["a", "b", "*", ">"]), 0..12),
            gone in prop::collection::vec(any::<bool>(), 12),
            topics in prop::collection::vec(subject(&["a", "b", "c"]), 1..8),
        ) {
            let patterns: Vec<Pattern> = patterns.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
            let mut index = Index::default();
            for (id, pattern) in (0u64..).zip(&patterns) {
                index.insert(pattern, id, id);
            }
            let (left, removed): (Vec<_>, Vec<_>) =
                (0u64..).zip(&patterns).zip(&gone).partition(|(_, gone)| !**gone);
            for ((id, pattern), _) in &removed {
                index.remove(pattern, *id);
            }
            for topic in &topics {
                let takes = |pattern: &Pattern| naive(&split(pattern.as_str()), &split(topic));
                let expected: Vec<u64> =
                    left.iter().filter(|((_, pattern), _)| takes(pattern)).map(|((id, _), _)| *id).collect();
                prop_assert_eq!(index.find(topic), expected);
                for pattern in &patterns {
                    prop_assert_eq!(pattern.takes(topic), takes(pattern), "{} {}", pattern, topic);
                }
            }
            for ((id, pattern), _) in &left {
                index.remove(pattern, *id);
            }
            prop_assert!(index.root.is_empty(), "nothing is left of those that have gone");
        }
    }

    #[test]
    fn who_is_found_by_two_patterns_is_found_once() {
        let mut index = Index::default();
        for pattern in ["orders.*", "orders.>"] {
            index.insert(&Pattern::parse(pattern).unwrap(), 7, "who");
        }
        assert_eq!(index.find("orders.created"), ["who"]);
    }
}
