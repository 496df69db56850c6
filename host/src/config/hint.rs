//! What somebody meant who wrote something else.

/// Keys that other programs have, and what they are called here.
const SYNONYMS: &[(&str, &str)] = &[
    ("debounce_ms", "settle_ms"),
    ("poll_ms", "rescan_ms"),
    ("timeout_ms", "deadline_ms"),
    ("snapshot_ms", "interval_ms"),
    ("key", "key_file"),
];

/// Below this two words are not alike; above it typing slips of one or two letters are.
const ALIKE: f64 = 0.84;

/// Serde's message about a key or value that it does not know, with a suggestion in place of the whole list.
///
/// Serde tells these only as text: `unknown field` or `unknown variant`, the word, then the ones it expected, each in
/// backticks. Other messages stay as they are, but for what only programmers understand.
pub(super) fn explain(message: &str) -> String {
    let what = if message.starts_with("unknown field") {
        "key"
    } else if message.starts_with("unknown variant") {
        "value"
    } else if message == "invalid type: map, expected path string" {
        // The folder is called `plugins`, so this is what one writes first.
        return "a folder is no table; a plugin's own table is `[plugin.NAME]`".to_owned();
    } else {
        return message.replace("u64", "a whole number");
    };
    let mut words = message.split('`').skip(1).step_by(2);
    let Some(unknown) = words.next() else { return message.to_owned() };
    let known: Vec<&str> = words.collect();
    match meant(unknown, &known) {
        Some(meant) => format!("unknown {what} `{unknown}`, did you mean `{meant}`?"),
        None => format!("unknown {what} `{unknown}`; known are {}", known.join(", ")),
    }
}

/// The one of `known` that `unknown` is most like, if it is like one at all.
pub(super) fn meant<'a>(unknown: &str, known: &[&'a str]) -> Option<&'a str> {
    let synonyms = SYNONYMS.iter().filter_map(|(other, ours)| {
        let ours = known.iter().find(|known| *known == ours)?;
        Some((*other, *ours))
    });
    let known = known.iter().map(|known| (*known, *known));
    known
        .chain(synonyms)
        .map(|(word, meant)| (strsim::jaro_winkler(unknown, word), meant))
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, meant)| meant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised() {
        let serde = "unknown field `setle_ms`, expected one of `mode`, `settle_ms`, `rescan_ms`";
        assert_eq!(explain(serde), "unknown key `setle_ms`, did you mean `settle_ms`?");
    }

    #[test]
    fn what_others_call_it_is_recognised_with_a_slip_too() {
        let serde = "unknown field `debouce_ms`, expected one of `mode`, `settle_ms`, `rescan_ms`";
        assert_eq!(explain(serde), "unknown key `debouce_ms`, did you mean `settle_ms`?");
    }

    #[test]
    fn what_is_like_nothing_gets_the_list() {
        let serde = "unknown variant `x`, expected `native` or `poll`";
        assert_eq!(explain(serde), "unknown value `x`; known are native, poll");
        assert_eq!(explain("expected an equals"), "expected an equals");
    }
}
