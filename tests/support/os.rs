//! What differs between systems.

/// Resident memory of a process, where the system tells it simply: on Linux. Elsewhere `None`, and the test that asks
/// holds its other claims only.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    // Pages; all Linux targets that the tests run on have pages of 4 KiB.
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

/// Whether a process maps a file whose path contains this, on Linux. Elsewhere `None`.
#[must_use]
pub fn is_mapped(pid: u32, part: &str) -> Option<bool> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    Some(maps.lines().any(|line| line.contains(part)))
}

/// What a process holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Census {
    /// Its threads.
    pub threads: usize,
    /// Its open files.
    pub files: usize,
    /// Its mappings.
    pub maps: usize,
}

/// Counts what a process holds, on Linux. Elsewhere `None`.
#[must_use]
pub fn census(pid: u32) -> Option<Census> {
    let entries = |of: &str| Some(std::fs::read_dir(format!("/proc/{pid}/{of}")).ok()?.count());
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?.lines().count();
    Some(Census { threads: entries("task")?, files: entries("fd")?, maps })
}

/// Asks a process to end, as a service manager does.
///
/// Unix only: on Windows the same is asked by a console event, which cannot be sent to one process of the test's own
/// console; there the kernel's own test of its handler stands in.
#[cfg(unix)]
pub fn terminate(child: &std::process::Child) {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), rustix::process::Signal::TERM)
        .expect("failed to send SIGTERM");
}

/// Makes a FIFO. Unix only: Windows has no such files.
#[cfg(unix)]
pub fn make_fifo(path: &std::path::Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status().expect("failed to run mkfifo");
    assert!(made.success());
}

/// Whether the tests run as root, for whom no permission is missing.
#[cfg(unix)]
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
