//! A name that is good for a service, a folder, a crate and its library.

use hotbay_plugin_api::manifest::is_valid_name;

use super::embedded::{LOCKED, TEMPLATE};

/// Words that no crate can be called: those of the language, and its own crates.
const TAKEN: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "union",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
];

/// Types that every Rust file knows without naming them where they come from.
const PRELUDE: &[&str] = &[
    "Box", "Clone", "Copy", "Default", "Drop", "Err", "Fn", "From", "Into", "Iterator", "None", "Ok",
    "Option", "Send", "Some", "String", "Sync", "Vec",
];

/// The name of a new plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(super) fn new(name: &str) -> Result<Self, String> {
        if !is_valid_name(name) {
            return Err("names are [a-z0-9_-]{1,64}, and none that Windows keeps for devices".to_owned());
        }
        if !name.starts_with(|first: char| first.is_ascii_lowercase()) {
            return Err("a crate's name begins with a letter".to_owned());
        }
        let library = name.replace('-', "_");
        if TAKEN.contains(&library.as_str()) {
            return Err("the word belongs to Rust".to_owned());
        }
        if LOCKED.iter().any(|(crate_name, _)| crate_name.replace('-', "_") == library) {
            return Err("a crate of this name is what plugins are built from".to_owned());
        }
        Ok(Self(name.to_owned()))
    }

    /// As the service, the crate and its folder are called.
    pub(super) fn service(&self) -> &str {
        &self.0
    }

    /// As the library is called, between what the system puts before and after it.
    pub(super) fn library(&self) -> String {
        self.0.replace('-', "_")
    }

    /// As the plugin's type is called; not as another type in the template.
    pub(super) fn type_name(&self) -> String {
        let words = self.0.split(['-', '_']);
        let mut name: String = words
            .filter_map(|word| {
                let first = word.chars().next()?;
                Some(first.to_ascii_uppercase().to_string() + &word[first.len_utf8()..])
            })
            .collect();
        let code = TEMPLATE.lines().filter(|line| !line.trim_start().starts_with("//"));
        let words = code.flat_map(|line| line.split(|c: char| !c.is_alphanumeric() && c != '_'));
        let mut known = words.chain(PRELUDE.iter().copied());
        if known.any(|word| word == name && word != "Template") {
            name.push_str("Plugin");
        }
        name
    }
}
