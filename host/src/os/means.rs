//! What a process may have of its system, and how much of it it has: where a limit is near, a load fails somewhere inside the system's
//! loader, in words of its own or by a crash.

/// Something that there is so much of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mean {
    pub(crate) kind: Kind,
    /// Who sets the limit.
    pub(crate) by: String,
    pub(crate) used: u64,
    pub(crate) limit: u64,
}

/// What it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(any(target_os = "linux", target_os = "android", test)),
    expect(dead_code, reason = "other systems tell of some of it")
)]
pub(crate) enum Kind {
    Mappings,
    Files,
    Threads,
    Bytes,
}

/// All that this system tells of, and that has a limit. `lanes` threads more are about to be asked for.
///
/// Linux: all of it. macOS: open files. Windows: memory; there is no limit to the rest that would be met before it, but for thread-local
/// slots (`has_thread_slots`).
pub(crate) fn means(lanes: u64) -> Vec<Mean> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        linux::means(lanes)
    }
    #[cfg(all(unix, not(any(target_os = "linux", target_os = "android"))))]
    {
        let _ = lanes;
        let used = std::fs::read_dir("/dev/fd").map_or(0, |files| files.count() as u64);
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let mean = |limit| Mean { kind: Kind::Files, by: "RLIMIT_NOFILE".to_owned(), used, limit };
        limit.map(mean).into_iter().collect()
    }
    #[cfg(windows)]
    {
        let _ = lanes;
        super::windows::memory()
            .map(|(used, limit)| Mean { kind: Kind::Bytes, by: "the system".to_owned(), used, limit })
            .into_iter()
            .collect()
    }
}

/// Asks again for those limits that are the process's own: somebody may have changed them.
pub(crate) fn limit_again(means: &mut [Mean]) {
    #[cfg(unix)]
    for mean in means {
        use rustix::process::{Resource, getrlimit};
        let resource = match mean.by.as_str() {
            "RLIMIT_NOFILE" => Resource::Nofile,
            "RLIMIT_NPROC" => Resource::Nproc,
            "RLIMIT_AS" => Resource::As,
            "RLIMIT_DATA" => Resource::Data,
            _ => continue,
        };
        mean.limit = getrlimit(resource).current.unwrap_or(u64::MAX);
    }
    // Windows: a process has none.
    #[cfg(windows)]
    let _ = means;
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod linux {
    use std::path::{Path, PathBuf};

    use rustix::process::{Resource, geteuid, getrlimit};

    use super::{Kind, Mean};

    pub(super) fn means(lanes: u64) -> Vec<Mean> {
        let mut means = Vec::new();
        let mut add = |kind, by: &str, used: Option<u64>, limit: Option<u64>| {
            if let (Some(used), Some(limit)) = (used, limit) {
                means.push(Mean { kind, by: by.to_owned(), used, limit });
            }
        };
        let number = |path: &str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
        // One that is not set now may be set before it is asked for again.
        let limit = |resource| Some(getrlimit(resource).current.unwrap_or(u64::MAX));

        let maps = std::fs::read("/proc/self/maps").ok();
        let maps = maps.map(|maps| maps.iter().filter(|byte| **byte == b'\n').count() as u64);
        add(Kind::Mappings, "vm.max_map_count", maps, number("/proc/sys/vm/max_map_count"));

        // One of them is the list's own.
        let files = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64 - 1);
        add(Kind::Files, "RLIMIT_NOFILE", files, limit(Resource::Nofile));

        let all = std::fs::read_to_string("/proc/loadavg").ok().and_then(|text| all_threads(&text));
        add(Kind::Threads, "kernel.threads-max", all, number("/proc/sys/kernel/threads-max"));
        // Root has as many as there are.
        if let Some(limit) = limit(Resource::Nproc).filter(|_| !geteuid().is_root()) {
            // Looking at all processes takes its time: not where there are fewer of all users.
            let near = all.is_none_or(|all| all + lanes + limit / 10 >= limit);
            let used = if near { threads_of(geteuid().as_raw()) } else { all.unwrap_or_default() };
            add(Kind::Threads, "RLIMIT_NPROC", Some(used), Some(limit));
        }

        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        add(Kind::Bytes, "RLIMIT_AS", kib(&status, "VmSize:"), limit(Resource::As));
        add(Kind::Bytes, "RLIMIT_DATA", kib(&status, "VmData:"), limit(Resource::Data));
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let (total, left) = (kib(&memory, "MemTotal:"), kib(&memory, "MemAvailable:"));
        let used = total.zip(left).map(|(total, left)| total.saturating_sub(left));
        add(Kind::Bytes, "the memory of this machine", used, total);

        means.extend(groups());
        means
    }

    /// All threads of the system: behind the slash of `0.1 0.2 0.3 2/345 678`.
    pub(super) fn all_threads(text: &str) -> Option<u64> {
        text.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
    }

    fn threads_of(user: u32) -> u64 {
        use std::os::unix::fs::MetadataExt as _;
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let theirs = processes.filter(|entry| {
            entry.file_name().as_encoded_bytes().iter().all(u8::is_ascii_digit)
                && entry.metadata().is_ok_and(|of| of.uid() == user)
        });
        theirs
            .map(|entry| std::fs::read_dir(entry.path().join("task")).map_or(0, |all| all.count() as u64))
            .sum()
    }

    /// A value of `/proc/*/status` or `/proc/meminfo`, in bytes.
    pub(super) fn kib(text: &str, name: &str) -> Option<u64> {
        let value = text.lines().find_map(|line| line.strip_prefix(name))?;
        value.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// The control groups that this process is in, and those above: each may have a limit.
    fn groups() -> Vec<Mean> {
        let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let mut means = Vec::new();
        for line in text.lines() {
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let top = |name: &str| Path::new("/sys/fs/cgroup").join(name);
            let of = |name: &str| controllers.split(',').any(|of| of == name);
            if controllers.is_empty() {
                means.extend(above(&top(""), path, "memory.max", memory_of_2));
                means.extend(above(&top(""), path, "pids.max", threads));
            }
            if of("memory") {
                means.extend(above(&top("memory"), path, "memory.limit_in_bytes", memory_of_1));
            }
            if of("pids") {
                means.extend(above(&top("pids"), path, "pids.max", threads));
            }
        }
        means
    }

    /// From a group up to the top of what is mounted here, which in a container is the group itself.
    fn above(top: &Path, path: &str, file: &str, read: fn(&Path, &str) -> Option<Mean>) -> Vec<Mean> {
        let path = PathBuf::from(path.trim_start_matches('/'));
        path.ancestors().filter_map(|group| read(&top.join(group), file)).collect()
    }

    fn value(path: &Path) -> Option<u64> {
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    }

    fn threads(group: &Path, file: &str) -> Option<Mean> {
        let (used, limit) = (value(&group.join("pids.current"))?, value(&group.join(file))?);
        Some(Mean { kind: Kind::Threads, by: group.join(file).display().to_string(), used, limit })
    }

    fn memory_of_2(group: &Path, file: &str) -> Option<Mean> {
        memory(group, file, "memory.current", &["inactive_file ", "active_file ", "slab_reclaimable "])
    }

    fn memory_of_1(group: &Path, file: &str) -> Option<Mean> {
        memory(group, file, "memory.usage_in_bytes", &["total_inactive_file ", "total_active_file "])
    }

    /// What is given back at need is not used: files that were read, of whatever age, and what the kernel remembers of them.
    fn memory(group: &Path, file: &str, current: &str, idle: &[&str]) -> Option<Mean> {
        // The older kind has a number for no limit.
        let limit = value(&group.join(file)).filter(|limit| *limit < 1 << 60)?;
        let stat = std::fs::read_to_string(group.join("memory.stat")).unwrap_or_default();
        let of =
            |line: &str| idle.iter().find_map(|name| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        let idle: u64 = stat.lines().filter_map(of).sum();
        let used = value(&group.join(current))?.saturating_sub(idle);
        Some(Mean { kind: Kind::Bytes, by: group.join(file).display().to_string(), used, limit })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_the_system_tells_is_read() {
            assert_eq!(all_threads("0.00 0.01 0.05 2/345 6789\n"), Some(345));
            assert_eq!(kib("VmPeak:\t  9 kB\nVmSize:\t  12 kB\n", "VmSize:"), Some(12288));
            let means = means(1);
            let of =
                |by: &str| means.iter().find(|mean| mean.by == by).unwrap_or_else(|| panic!("{means:?}"));
            for by in
                ["vm.max_map_count", "RLIMIT_NOFILE", "kernel.threads-max", "the memory of this machine"]
            {
                assert!((1..=of(by).limit).contains(&of(by).used), "{by}: {means:?}");
            }
        }

        #[test]
        fn a_group_is_limited_by_those_above_it_too() {
            let top = tempfile::tempdir().unwrap();
            let inner = top.path().join("outer/inner");
            std::fs::create_dir_all(&inner).unwrap();
            let write = |of: &Path, name: &str, text: &str| std::fs::write(of.join(name), text).unwrap();
            let outer = inner.parent().unwrap();
            write(&inner, "memory.max", "max\n");
            write(&inner, "memory.current", "70\n");
            write(outer, "memory.max", "100\n");
            write(outer, "memory.current", "90\n");
            write(
                outer,
                "memory.stat",
                "anon 1\ninactive_file 30\nactive_file 5\nslab_reclaimable 3\nslab 7\n",
            );
            let means = above(top.path(), "/outer/inner", "memory.max", memory_of_2);
            assert_eq!(means.iter().map(|mean| (mean.used, mean.limit)).collect::<Vec<_>>(), [(52, 100)]);
            write(&inner, "pids.max", "8\n");
            write(&inner, "pids.current", "3\n");
            let means = above(top.path(), "/outer/inner", "pids.max", threads);
            assert_eq!(means.iter().map(|mean| (mean.used, mean.limit)).collect::<Vec<_>>(), [(3, 8)]);
        }
    }
}
