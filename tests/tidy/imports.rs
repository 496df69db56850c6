//! Who may know what.

use crate::sources::{has_word, none, rust};

/// Lines outside `allowed` that break.
fn outside(allowed: &[&str], breaks: impl Fn(&str) -> bool) -> Vec<String> {
    rust()
        .iter()
        .filter(|source| !source.is_in(allowed))
        .flat_map(|source| source.lines_where(&breaks))
        .collect()
}

/// Lines inside `places` that break.
fn inside(places: &[&str], breaks: impl Fn(&str) -> bool) -> Vec<String> {
    rust()
        .iter()
        .filter(|source| source.is_in(places))
        .flat_map(|source| source.lines_where(&breaks))
        .collect()
}

#[test]
fn only_ffi_touches_libloading() {
    let places = outside(&["host/src/ffi/"], |line| has_word(line, "libloading"));
    none("libraries are opened and closed in host/src/ffi alone, where the safety argument stands", places);
}

#[test]
fn abi_stable_stays_at_the_boundary() {
    let boundary = [
        "host/src/ffi/",
        "plugin-api/src/abi/",
        "plugin-api/src/testkit.rs",
        "plugin-api/src/testkit/",
        "plugin-api/src/export.rs",
        // By itself, it is one of what the bench measures beside us.
        "tests/peers/",
    ];
    let places = outside(&boundary, |line| has_word(line, "abi_stable"));
    none(
        "abi_stable is unmaintained and fenced into host/src/ffi and plugin-api/src/abi, so that it can be left",
        places,
    );
}

#[test]
fn only_watch_touches_notify() {
    let places = outside(&["host/src/watch.rs", "host/src/watch/"], |line| {
        has_word(line, "notify::Watcher") || line.contains("use notify") || line.contains("notify::")
    });
    none("events of the file system only wake the kernel, and come from host/src/watch alone", places);
}

#[test]
fn watcher_and_control_plane_never_load() {
    let places = inside(&["host/src/watch.rs", "host/src/watch/", "host/src/control/"], |line| {
        ["ffi::", "crate::ffi", "load::", "crate::load", "swap::", "crate::swap", "probe::run"].iter().any(
            |word| {
                line.match_indices(word)
                    .any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            },
        )
    });
    none(
        "the watcher and the control plane send events to the one kernel loop; only that loads and swaps",
        places,
    );
}

#[test]
fn the_bus_does_not_know_what_a_plugin_is() {
    let places = inside(&["host/src/bus/", "host/src/bus.rs"], |line| line.to_lowercase().contains("plugin"));
    none("the bus carries envelopes between names; plugins are the kernel's business", places);
    let places = inside(&["host/src/bus/"], |line| {
        let other = |word: &str| line.contains(word) && !line.contains("crate::linked");
        ["crate::kernel", "crate::ffi", "crate::host", "crate::control", "super::super::"]
            .into_iter()
            .any(other)
    });
    none("the bus knows nobody but itself: kernel and control plane use it", places);
}

#[test]
fn the_hosts_threads_begin_in_one_place() {
    let host = rust().into_iter().filter(|source| source.path.starts_with("host/src/"));
    let of_tests = |path: &str| path.ends_with("/tests.rs") || path.ends_with("/model.rs");
    let host = host.filter(|source| source.path != "host/src/os/threads.rs" && !of_tests(&source.path));
    let places = host.flat_map(|source| {
        let tests = source.code().find(|(_, line)| line.starts_with("#[cfg(") && line.contains("test"));
        let end = tests.map_or(usize::MAX, |(at, _)| at);
        let begins = source.code().filter(move |(at, line)| {
            *at < end && (line.contains("thread::spawn(") || line.contains("thread::Builder"))
        });
        begins.map(|(at, line)| format!("{}:{at}: {}", source.path, line.trim())).collect::<Vec<_>>()
    });
    none(
        "`os::spawn` begins the host's threads: else they are taken for a plugin's that was not joined",
        places.collect(),
    );
}

#[test]
fn the_library_prints_nothing() {
    let command_line = ["host/src/cli/", "host/src/main.rs", "host/src/probe/", "host/src/probe.rs"];
    let printing = ["println!", "eprintln!", "print!", "eprint!"];
    let places = outside(
        &[&command_line[..], &["scripts/", "tests/", "state/tests/", "plugin-api/build.rs", "host/build.rs"]]
            .concat(),
        |line| printing.iter().any(|word| line.trim_start().starts_with(word)),
    );
    none("who embeds a host owns its terminal: log with `tracing`; only the command line prints", places);
}
