//! How much a process may take that runs what nobody knows yet.

use serde::{Deserialize, Serialize};

/// What a probe may take. The rest of a machine's means is for those who are known.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Bounds {
    /// Seconds of the processors, all threads together; what it starts has as much each.
    pub(crate) cpu: Option<u64>,
    /// Bytes of memory.
    pub(crate) memory: Option<u64>,
    /// Bytes of a file that it writes.
    pub(crate) file: Option<u64>,
    /// Open files.
    pub(crate) files: Option<u64>,
    /// Processes, itself among them. Windows only: Unix counts those of a user.
    pub(crate) processes: Option<u32>,
}

/// Bounds this process, and what it starts, for good. What is bounded closer stays as it is, and what the system refuses is let be:
/// the deadline holds in any case.
#[cfg(unix)]
pub(crate) fn bound(bounds: &Bounds) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // One byte is as good as none, and also heard where dumps are piped to a program.
    let wanted = [
        (Resource::Core, Some(u64::from(cfg!(target_os = "linux")))),
        (Resource::Cpu, bounds.cpu),
        (Resource::Fsize, bounds.file),
        (Resource::Nofile, bounds.files),
        // What is written to, and belongs to nobody else: address space that is only reserved, as by heaps and sanitizers, is free.
        (Resource::Data, bounds.memory.filter(|memory| has_room(*memory))),
    ];
    for (resource, limit) in wanted {
        let Some(limit) = limit else { continue };
        let now = getrlimit(resource);
        let least = |other: Option<u64>| Some(other.map_or(limit, |other| other.min(limit)));
        let current = least(now.current);
        // At the soft limit of time comes a signal that tells of it, at the hard one just an end.
        let maximum = if resource == Resource::Cpu {
            Some(now.maximum.map_or(limit + 5, |other| other.min(limit + 5)))
        } else {
            least(now.maximum)
        };
        let _ = setrlimit(resource, Rlimit { current, maximum });
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        // Nothing that it starts has more rights than it.
        let _ = rustix::thread::set_no_new_privs(true);
    }
}

/// Windows: its job bounds it, see [`super::Group`].
#[cfg(windows)]
pub(crate) fn bound(_: &Bounds) {}

/// Whether this process has not taken the half of it by now: so it is under sanitizers, whose shadow counts.
#[cfg(unix)]
fn has_room(memory: u64) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let data = status.lines().find_map(|line| line.strip_prefix("VmData:"));
    let data = data.and_then(|data| data.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    data.is_none_or(|kib| kib.saturating_mul(1024) < memory / 2)
}
