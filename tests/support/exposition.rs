//! A reader of OpenMetrics text that takes what the standard allows and nothing else.

use std::collections::{BTreeMap, BTreeSet};

/// Samples by name and labels: `hotbay_calls_total` with `{service="echo"}`.
#[derive(Debug, Default)]
pub struct Exposition {
    samples: BTreeMap<(String, BTreeMap<String, String>), f64>,
    kinds: BTreeMap<String, String>,
}

impl Exposition {
    /// Reads it.
    ///
    /// # Panics
    /// It is not as the standard has it.
    #[must_use]
    #[track_caller]
    pub fn read(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").expect("it ends with its end");
        let (mut all, mut family, mut helped, mut units) =
            (Self::default(), None, BTreeSet::new(), BTreeMap::new());
        for line in body.lines() {
            if let Some(rest) = line.strip_prefix("# ") {
                let mut words = rest.splitn(3, ' ');
                let (word, name, value) =
                    (words.next().unwrap(), words.next().unwrap(), words.next().unwrap());
                match word {
                    "HELP" => assert!(helped.insert(name.to_owned()), "{name} is told twice"),
                    "TYPE" => {
                        assert!(["counter", "gauge", "histogram"].contains(&value), "{line}");
                        assert!(
                            all.kinds.insert(name.to_owned(), value.to_owned()).is_none(),
                            "{name} comes twice"
                        );
                        family = Some((name.to_owned(), value.to_owned()));
                    }
                    "UNIT" => {
                        assert!(name.ends_with(&format!("_{value}")), "{line}");
                        units.insert(name.to_owned(), value.to_owned());
                    }
                    _ => panic!("{line}"),
                }
                continue;
            }
            let (name, labels, value) = sample(line);
            let (family, kind) = family.as_ref().expect("a family comes before its samples");
            let ending =
                name.strip_prefix(family.as_str()).unwrap_or_else(|| panic!("{line} is not of {family}"));
            match kind.as_str() {
                "counter" => assert!(ending == "_total" && value >= 0.0, "{line}"),
                "gauge" => assert_eq!(ending, "", "{line}"),
                _ => assert!(["_bucket", "_sum", "_count"].contains(&ending), "{line}"),
            }
            assert!(all.samples.insert((name, labels), value).is_none(), "twice: {line}");
        }
        for (name, kind) in &all.kinds {
            assert!(helped.contains(name), "{name} says not what it is");
            if kind == "histogram" {
                all.check_histogram(name);
            }
        }
        all
    }

    fn check_histogram(&self, family: &str) {
        let mut series: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
        for ((name, labels), value) in &self.samples {
            if *name == format!("{family}_bucket") {
                let mut labels = labels.clone();
                let end = match labels.remove("le").expect("a part has an end").as_str() {
                    "+Inf" => f64::INFINITY,
                    end => end.parse().unwrap(),
                };
                series.entry(labels).or_default().push((end, *value));
            }
        }
        for (labels, mut parts) in series {
            parts.sort_by(|a, b| a.0.total_cmp(&b.0));
            assert!(parts.is_sorted_by(|a, b| a.1 <= b.1), "{family}{labels:?}: {parts:?}");
            let (end, all) = *parts.last().unwrap();
            let count = self.samples[&(format!("{family}_count"), labels.clone())];
            assert!(end.is_infinite() && (all - count).abs() < 0.5, "{family}{labels:?}");
            assert!(
                self.samples.contains_key(&(format!("{family}_sum"), labels.clone())),
                "{family}{labels:?}"
            );
        }
    }

    /// The sample of this name with these labels, and no others.
    #[must_use]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&(name.to_owned(), labels)).copied()
    }

    /// Samples that have this label.
    #[must_use]
    pub fn with(&self, label: &str, value: &str) -> Vec<String> {
        let has = |labels: &BTreeMap<String, String>| labels.get(label).is_some_and(|known| known == value);
        self.samples
            .keys()
            .filter(|(_, labels)| has(labels))
            .map(|(name, labels)| format!("{name}{labels:?}"))
            .collect()
    }
}

/// A line: name, labels, value.
#[track_caller]
fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = line.find(|c| !is_name(c)).unwrap_or_else(|| panic!("{line}"));
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").unwrap_or_else(|| panic!("{line}"));
            assert!(!label.is_empty() && label.chars().all(is_name), "{line}");
            let (value, after) = quoted(after).unwrap_or_else(|| panic!("{line}"));
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            rest = after.strip_prefix(',').unwrap_or(after);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').unwrap_or_else(|| panic!("{line}"));
    let value = value.parse().unwrap_or_else(|_| panic!("{line}"));
    (name.to_owned(), labels, value)
}

/// What stands before the closing quote, and what behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    loop {
        match chars.next()?.1 {
            '"' => return Some((value, chars.as_str())),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                same @ ('"' | '\\') => same,
                _ => return None,
            }),
            plain => value.push(plain),
        }
    }
}
