//! What may stand in the name of a file, or be shown to a person.

/// Longest service name, in bytes.
pub(crate) const MAX_SERVICE: usize = 64;

/// Longest text in a header, in bytes: what a length of one byte can say.
pub(crate) const MAX_TEXT: usize = 255;

/// Whether `service` can name a file.
///
/// A service is a file's name before it is anything else: with `[a-z0-9_-]{1,64}` no name leaves the folder, hides,
/// or means the same file as another one where upper and lower case are one. Windows takes some words for devices,
/// with any extension: what is written to `nul.state` is gone. They are refused everywhere, so that a home can
/// move from one system to another.
pub(crate) fn is_service(service: &str) -> bool {
    (1..=MAX_SERVICE).contains(&service.len())
        && service.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-'))
        && !is_device(service)
}

fn is_device(name: &str) -> bool {
    let numbered =
        |port: &str| name.strip_prefix(port).is_some_and(|n| matches!(n.as_bytes(), [b'1'..=b'9']));
    matches!(name, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt")
}

/// Whether `text` can be a plugin's name or version, or a content type.
///
/// Headers are shown before anything has been authenticated; with visible ASCII only, a forged one cannot
/// send control sequences to the terminal of whoever lists the folder.
pub(crate) fn is_text(text: &str) -> bool {
    text.len() <= MAX_TEXT && text.bytes().all(|b| b.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_the_folder_or_be_a_device_are_refused() {
        let long = "a".repeat(65);
        for name in [
            "", ".", "..", "a/b", "a\\b", "../x", "Echo", "é", "a b", "a.b", "a\0", "nul", "com1", "lpt9",
            &long,
        ] {
            assert!(!is_service(name), "{name:?}");
        }
        for name in ["a", "echo", "echo-v2", "_x", "-", "0", "com", "com0", "com10", "null", &long[..64]] {
            assert!(is_service(name), "{name:?}");
        }
    }

    #[test]
    fn texts_are_visible_ascii() {
        for text in ["1.0\n", "1.0 ", "\x1b[2J", "1.0é", &"1".repeat(256)] {
            assert!(!is_text(text), "{text:?}");
        }
        for text in ["", "1.0.0", "2.0.0-rc.1+build.5", &"1".repeat(255)] {
            assert!(is_text(text), "{text:?}");
        }
    }
}
