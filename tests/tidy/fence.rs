//! `unsafe` stands behind a fence, so that whoever reviews it knows where to look.

use crate::sources::{Source, has_word, none, rust};

/// Where it may stand, and for what.
const FENCE: &[&str] = &[
    // Loading a library and calling across.
    "host/src/ffi/",
    // The right to be inside a generation, on the path of every call.
    "host/src/kernel/lease.rs",
    "host/src/kernel/lease/",
    // The system's own functions: one module per crate.
    "host/src/os.rs",
    "host/src/os/",
    "state/src/os.rs",
    "state/src/os/",
    // The other side of the boundary, and the kit that plays the host in a plugin's unit tests.
    "plugin-api/src/abi/",
    "plugin-api/src/testkit.rs",
    "plugin-api/src/testkit/",
    "tests/support/os.rs",
    // What wine lacks, in a library that is never shipped.
    "scripts/wine/",
    // They do wrong on purpose.
    "tests/fixtures/",
    // Other hosts of plugins, which the bench measures: they ask it of their authors and embedders.
    "tests/peers/",
];

#[test]
fn unsafe_stands_behind_the_fence() {
    let outside = rust().into_iter().filter(|source| !source.is_in(FENCE));
    let places = outside.flat_map(|source| {
        // An exported name is unsafe to choose; the macro that plugins use does it for them.
        let exports = source.path == "plugin-api/src/export.rs";
        source.lines_where(|line| {
            let export = exports && line.contains("#[unsafe(export_name = ");
            (has_word(line, "unsafe") && !export)
                || line.contains("(unsafe_code") && !line.contains("forbid(")
        })
    });
    none(
        "`unsafe` may stand only in the places that tests/tidy/fence.rs names; is there a safe way?",
        places.collect(),
    );
}

#[test]
fn each_unsafe_block_says_why_it_is_sound() {
    let places = rust().into_iter().flat_map(|source| undocumented(&source));
    none("each unsafe block and impl has a `// SAFETY:` comment right before it", places.collect());
}

#[test]
fn no_safe_function_of_the_host_takes_or_gives_a_raw_pointer() {
    let host = rust().into_iter().filter(|source| source.path.starts_with("host/src/"));
    let places = host.flat_map(|source| {
        let code: Vec<String> = source.code().map(|(_, line)| line.to_owned()).collect();
        let signatures = code.iter().enumerate().filter(|(_, line)| {
            let line = line.trim_start();
            ["pub fn ", "pub(crate) fn ", "pub(super) fn "].iter().any(|begin| line.starts_with(begin))
        });
        let raw = signatures.filter(|(at, _)| {
            // A signature may go over some lines.
            let lines = code[*at..].iter().take(12);
            let end = |line: &&String| line.contains('{') || line.trim_end().ends_with(';');
            let length = lines.clone().position(|line| end(&line)).map_or(12, |last| last + 1);
            lines.take(length).any(|line| {
                let signature = line.split('{').next().unwrap_or_default();
                signature.contains("*const ") || signature.contains("*mut ")
            })
        });
        raw.map(|(at, line)| format!("{}:{}: {}", source.path, at + 1, line.trim())).collect::<Vec<_>>()
    });
    none("who has a raw pointer from safe code can have a dangling one", places.collect());
}

#[test]
fn example_plugins_forbid_unsafe() {
    let crates =
        rust().into_iter().filter(|s| s.path.starts_with("plugins/") && s.path.ends_with("/src/lib.rs"));
    let places = crates.filter(|s| !s.text.contains("\n#![forbid(unsafe_code)]\n")).map(|s| s.path);
    none("what an author writes is safe Rust: `#![forbid(unsafe_code)]` is missing", places.collect());
}

/// Blocks without a `SAFETY` between them and the statement before.
fn undocumented(source: &Source) -> Vec<String> {
    let lines: Vec<&str> = source.text.lines().collect();
    let opens = |line: &str| line.contains("unsafe {") || line.contains("unsafe impl");
    let documented = |at: usize| {
        // The comment stands above the statement, which may have begun some lines before the block.
        let above = lines[..at].iter().rev().take(12);
        above.take_while(|line| !line.is_empty() && !opens(line)).any(|line| line.contains("SAFETY:"))
    };
    let blocks = source.code().filter(|(at, line)| opens(line) && !documented(*at - 1));
    blocks.map(|(at, line)| format!("{}:{at}: {}", source.path, line.trim())).collect()
}
