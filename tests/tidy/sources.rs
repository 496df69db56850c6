//! What the rules look at: the files of this repository.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file.
pub(crate) struct Source {
    /// From the top of the repository, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Source {
    pub(crate) fn is_in(&self, places: &[&str]) -> bool {
        // A place is a file, or a folder when it ends in `/`.
        places.iter().any(|place| {
            if place.ends_with('/') { self.path.starts_with(place) } else { self.path == *place }
        })
    }

    /// Lines without their comments, counted from 1.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, without_comment(line)))
    }

    /// Where `breaks` holds of a line of code: `path:line: the line`.
    pub(crate) fn lines_where(&self, breaks: impl Fn(&str) -> bool) -> Vec<String> {
        let broken = self.code().filter(|(_, line)| breaks(line));
        broken.map(|(at, line)| format!("{}:{at}: {}", self.path, line.trim())).collect()
    }
}

/// Every Rust source but these rules, which name what they forbid.
pub(crate) fn rust() -> Vec<Source> {
    texts()
        .into_iter()
        .filter(|source| source.path.ends_with(".rs") && !source.is_in(&["tests/tidy/"]))
        .collect()
}

/// Every text file.
pub(crate) fn texts() -> Vec<Source> {
    let mut found = Vec::new();
    collect(&root(), &mut found);
    found.sort();
    assert!(found.len() > 50, "the repository was not found");
    let read = |path: PathBuf| Some(Source { text: fs::read_to_string(&path).ok()?, path: from_root(&path) });
    found.into_iter().filter_map(read).collect()
}

/// The top of the repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("`tests` stands in the repository").to_owned()
}

/// Fails with all places at once when there are any.
#[track_caller]
pub(crate) fn none(rule: &str, places: Vec<String>) {
    assert!(places.is_empty(), "{rule}\n  {}\n", places.join("\n  "));
}

/// Whether `word` stands in `line` as a word of its own, and not in a string: `unsafe` does not stand in `unsafe_code`.
pub(crate) fn has_word(line: &str, word: &str) -> bool {
    let of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    let in_string = |before: &str| before.replace("\\\"", "").matches('"').count() % 2 == 1;
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (&line[..at], &line[at + word.len()..]);
        !before.ends_with(of_a_name) && !after.starts_with(of_a_name) && !in_string(before)
    })
}

/// Workspaces of their own that are ours: what is measured against, or built with instruments, weighs on nobody who builds Hotbay.
pub(crate) const APART: &[&str] = &["host/fuzz", "state/fuzz", "tests/bench", "tests/peers"];

/// Whether a folder is a workspace of its own, as `hotbay new` writes it: whoever tries that here has not broken a rule.
pub(crate) fn is_foreign(folder: &Path) -> bool {
    if APART.iter().any(|ours| folder == root().join(ours)) {
        return false;
    }
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    manifest.lines().any(|line| line.trim() == "[workspace]")
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository can be read").flatten() {
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
        if path.is_dir() {
            // Not what git ignores, and not git itself.
            let ours = !name.starts_with("target") && ![".git", ".hotbay"].contains(&name.as_str());
            if ours && !is_foreign(&path) {
                collect(&path, found);
            }
        } else if [".rs", ".toml", ".md"].iter().any(|end| name.ends_with(end)) || name == "run" {
            found.push(path);
        }
    }
}

fn from_root(path: &Path) -> String {
    let path = path.strip_prefix(root()).expect("found below the root");
    path.to_string_lossy().replace('\\', "/")
}

/// The line up to `//`, unless that stands in a string.
fn without_comment(line: &str) -> &str {
    let (mut in_string, mut before) = (false, ' ');
    for (at, c) in line.char_indices() {
        match c {
            '"' if before != '\\' && before != '\'' => in_string = !in_string,
            '/' if !in_string && before == '/' => return &line[..at - 1],
            _ => {}
        }
        before = c;
    }
    line
}

#[test]
fn comments_are_told_from_code() {
    assert_eq!(without_comment("let a = 1; // unsafe"), "let a = 1; ");
    assert_eq!(without_comment(r#"let a = "http://x"; // b"#), r#"let a = "http://x"; "#);
    assert_eq!(without_comment("//! unsafe"), "");
    assert!(has_word("pub unsafe fn", "unsafe") && !has_word("forbid(unsafe_code)", "unsafe"));
    assert!(has_word(r#"f("a"); unsafe { "#, "unsafe") && !has_word(r#"["a", "unsafe"]"#, "unsafe"));
}
