//! JSON at compile time: written into an array, and looked at whether a text is any.

/// JSON being written; bytes beyond `N` are counted only.
pub(super) struct Json<const N: usize> {
    pub(super) bytes: [u8; N],
    pub(super) len: usize,
}

impl<const N: usize> Json<N> {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; N], len: 0 }
    }

    pub(super) const fn byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }

    pub(super) const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            self.byte(bytes[at]);
            at += 1;
        }
    }

    pub(super) const fn string(&mut self, text: &str) {
        self.byte(b'"');
        self.part(text.as_bytes(), 0);
        self.byte(b'"');
    }

    /// What stands within a string, from a place on.
    pub(super) const fn part(&mut self, bytes: &[u8], mut at: usize) {
        while at < bytes.len() {
            match bytes[at] {
                quoted @ (b'"' | b'\\') => {
                    self.byte(b'\\');
                    self.byte(quoted);
                }
                control @ 0..0x20 => {
                    self.raw("\\u00");
                    self.byte(b'0' + (control >> 4));
                    self.byte(b"0123456789abcdef"[(control & 15) as usize]);
                }
                byte => self.byte(byte),
            }
            at += 1;
        }
    }

    pub(super) const fn strings(&mut self, texts: &[&str]) {
        self.byte(b'[');
        let mut at = 0;
        while at < texts.len() {
            if at > 0 {
                self.byte(b',');
            }
            self.string(texts[at]);
            at += 1;
        }
        self.byte(b']');
    }

    pub(super) const fn number(&mut self, number: u64) {
        if number >= 10 {
            self.number(number / 10);
        }
        self.byte(b'0' + (number % 10) as u8);
    }

    pub(super) const fn signed(&mut self, number: i64) {
        if number < 0 {
            self.byte(b'-');
        }
        self.number(number.unsigned_abs());
    }
}

/// Whether a text is one JSON value and no more.
pub(crate) const fn is_json(text: &str) -> bool {
    let bytes = text.as_bytes();
    match value(bytes, blank(bytes, 0)) {
        Some(end) => blank(bytes, end) == bytes.len(),
        None => false,
    }
}

/// Where the value ends that begins there; `None` where there is none.
const fn value(bytes: &[u8], at: usize) -> Option<usize> {
    if at >= bytes.len() {
        return None;
    }
    match bytes[at] {
        b'{' => entries(bytes, at + 1, b'}'),
        b'[' => entries(bytes, at + 1, b']'),
        b'"' => string(bytes, at + 1),
        b't' => word(bytes, at, b"true"),
        b'f' => word(bytes, at, b"false"),
        b'n' => word(bytes, at, b"null"),
        _ => number(bytes, at),
    }
}

/// Those of a list, or of an object, which have names before them.
const fn entries(bytes: &[u8], mut at: usize, close: u8) -> Option<usize> {
    at = blank(bytes, at);
    if at < bytes.len() && bytes[at] == close {
        return Some(at + 1);
    }
    loop {
        if close == b'}' {
            at = blank(bytes, at);
            if at >= bytes.len() || bytes[at] != b'"' {
                return None;
            }
            let Some(end) = string(bytes, at + 1) else { return None };
            at = blank(bytes, end);
            if at >= bytes.len() || bytes[at] != b':' {
                return None;
            }
            at += 1;
        }
        let Some(end) = value(bytes, blank(bytes, at)) else { return None };
        at = blank(bytes, end);
        if at >= bytes.len() {
            return None;
        }
        match bytes[at] {
            b',' => at += 1,
            byte if byte == close => return Some(at + 1),
            _ => return None,
        }
    }
}

const fn string(bytes: &[u8], mut at: usize) -> Option<usize> {
    while at < bytes.len() {
        match bytes[at] {
            b'"' => return Some(at + 1),
            0..0x20 => return None,
            b'\\' => {
                if at + 1 >= bytes.len() {
                    return None;
                }
                match bytes[at + 1] {
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => at += 2,
                    b'u' => {
                        let mut digit = at + 2;
                        while digit < at + 6 {
                            if digit >= bytes.len() || !bytes[digit].is_ascii_hexdigit() {
                                return None;
                            }
                            digit += 1;
                        }
                        at += 6;
                    }
                    _ => return None,
                }
            }
            _ => at += 1,
        }
    }
    None
}

const fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    if at < bytes.len() && bytes[at] == b'-' {
        at += 1;
    }
    let begin = at;
    at = digits(bytes, at);
    if at == begin || (at - begin > 1 && bytes[begin] == b'0') {
        return None;
    }
    if at < bytes.len() && bytes[at] == b'.' {
        let begin = at + 1;
        at = digits(bytes, begin);
        if at == begin {
            return None;
        }
    }
    if at < bytes.len() && (bytes[at] == b'e' || bytes[at] == b'E') {
        at += 1;
        if at < bytes.len() && (bytes[at] == b'+' || bytes[at] == b'-') {
            at += 1;
        }
        let begin = at;
        at = digits(bytes, begin);
        if at == begin {
            return None;
        }
    }
    Some(at)
}

const fn digits(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at].is_ascii_digit() {
        at += 1;
    }
    at
}

const fn word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    let mut seen = 0;
    while seen < word.len() {
        if at + seen >= bytes.len() || bytes[at + seen] != word[seen] {
            return None;
        }
        seen += 1;
    }
    Some(at + word.len())
}

const fn blank(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && matches!(bytes[at], b' ' | b'\t' | b'\n' | b'\r') {
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::is_json;

    #[test]
    fn what_is_json_is_what_serde_takes_for_json() {
        for text in [
            "{}",
            " [ ] ",
            r#"{"a":[1,-2.5e+3,true,null,"x\u00e9\n"],"b":{}}"#,
            "0",
            "-0",
            "01",
            "1.",
            "1e",
            "- 1",
            "[1,]",
            r#"{"a"}"#,
            r#"{"a":1,}"#,
            r#"{a:1}"#,
            r#""\x""#,
            r#""\u12g4""#,
            "\"\n\"",
            "\"",
            "",
            "tru",
            "1 2",
            "{]",
            "1_000",
            "5u32",
            "None",
        ] {
            let serde = serde_json::from_str::<serde_json::Value>(text).is_ok();
            assert_eq!(is_json(text), serde, "{text}");
        }
    }
}
