//! Names that are like one that was asked for.

/// Puts the names first that are most like `asked`; those that are alike as much by the alphabet.
pub(crate) fn nearest_first(asked: &str, mut known: Vec<String>) -> Vec<String> {
    let likeness = |name: &String| strsim::jaro_winkler(asked, name);
    known.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)).then_with(|| a.cmp(b)));
    known
}

#[cfg(test)]
mod tests {
    use super::nearest_first;

    #[test]
    fn what_was_meant_comes_first() {
        let known = || ["kv", "echo", "logger", "greeter"].map(str::to_owned).to_vec();
        assert_eq!(nearest_first("greter", known())[0], "greeter");
        assert_eq!(nearest_first("ecko", known())[0], "echo");
        assert_eq!(nearest_first("", known()), ["echo", "greeter", "kv", "logger"]);
    }
}
