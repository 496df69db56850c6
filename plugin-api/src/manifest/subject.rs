//! The grammar of topics, for a look at compile time. Hosts have the same.

/// Whether `pattern` takes topics: words with dots between, at most 255 bytes; `*` is any one word, and `>`, at the end, one word
/// or more.
#[must_use]
pub const fn is_valid_pattern(pattern: &str) -> bool {
    let bytes = pattern.as_bytes();
    if bytes.is_empty() || bytes.len() > 255 {
        return false;
    }
    let (mut at, mut begin) = (0, 0);
    while at <= bytes.len() {
        if at == bytes.len() || bytes[at] == b'.' {
            let len = at - begin;
            if len == 0 {
                return false;
            }
            let first = bytes[begin];
            // `>` is the last word.
            if first == b'>' && (len > 1 || at < bytes.len()) {
                return false;
            }
            if first == b'*' && len > 1 {
                return false;
            }
            begin = at + 1;
        } else if bytes[at] == b' '
            || bytes[at].is_ascii_control()
            || (at > begin && matches!(bytes[at], b'*' | b'>'))
        {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::is_valid_pattern;

    #[test]
    fn patterns_are_words_with_dots_between_and_wildcards_stand_alone() {
        for good in ["a", "orders.created", "orders.*", "orders.>", ">", "*", "*.b.*.>", "é.ü-9_$"] {
            assert!(is_valid_pattern(good), "{good}");
        }
        for bad in
            ["", ".", "a.", ".a", "a..b", "a b", "a.\tb", "a.>.b", ">.a", "a*", "a.b>", "a.**", "*a", ">>"]
        {
            assert!(!is_valid_pattern(bad), "{bad}");
        }
        assert!(is_valid_pattern(&"x".repeat(255)) && !is_valid_pattern(&"x".repeat(256)));
    }
}
