//! What a probe is told by its environment: what the system needs to run a program, and what the settings name.

use std::process::Command;

/// Where programs, libraries and files are, the language, the time, the size of stacks, and what loaders, heaps, sanitizers and coverage
/// are told.
const OF_SYSTEMS: &[&str] = &[
    "PATH",
    "HOME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "USER",
    "LOGNAME",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NIX_LD",
    "NIX_LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "GLIBC_TUNABLES",
    "MALLOC_ARENA_MAX",
    "RUST_MIN_STACK",
    "ASAN_OPTIONS",
    "LSAN_OPTIONS",
    "TSAN_OPTIONS",
    "UBSAN_OPTIONS",
    "LLVM_PROFILE_FILE",
    // Windows.
    "SYSTEMROOT",
    "SYSTEMDRIVE",
    "WINDIR",
    "TEMP",
    "TMP",
    "PATHEXT",
    "COMSPEC",
    "USERPROFILE",
    "APPDATA",
    "LOCALAPPDATA",
    "PROGRAMDATA",
    "NUMBER_OF_PROCESSORS",
    "PROCESSOR_ARCHITECTURE",
    "OS",
    "USERNAME",
];

/// Has a program be told that, of what this process is told, and no more: neither keys nor what a service manager gives.
pub(super) fn scrub(command: &mut Command, also: &[String]) {
    command.env_clear();
    let known = |name: &str| {
        OF_SYSTEMS.iter().any(|of| is_same(of, name)) || name.starts_with("LC_") || name.starts_with("WINE")
    };
    let named = |name: &str| also.iter().any(|also| is_same(also, name));
    for (name, value) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| known(name) || named(name)) {
            command.env(name, value);
        }
    }
}

/// Windows does not tell `Path` from `PATH`.
fn is_same(one: &str, other: &str) -> bool {
    if cfg!(windows) { one.eq_ignore_ascii_case(other) } else { one == other }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_named_is_not_told() {
        let mut command = Command::new("probe");
        command.env("HOTBAY_KEY", "secret");
        scrub(&mut command, &[]);
        let told: Vec<_> = command.get_envs().filter_map(|(name, value)| value.map(|_| name)).collect();
        assert!(told.contains(&std::ffi::OsStr::new("PATH")) || cfg!(windows), "{told:?}");
        // Cargo tells this to tests, among much else.
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert!(!told.iter().any(|name| *name == "CARGO_MANIFEST_DIR" || *name == "HOTBAY_KEY"), "{told:?}");
        scrub(&mut command, &["CARGO_MANIFEST_DIR".to_owned()]);
        assert!(command.get_envs().any(|(name, _)| name == "CARGO_MANIFEST_DIR"));
    }
}
