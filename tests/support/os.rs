//! What differs between systems.

#![allow(
    unsafe_code,
    clippy::multiple_unsafe_ops_per_block,
    reason = "the one module of this crate that calls the system's own functions"
)]

/// Resident memory of a process, where the system tells it simply: on Linux. Elsewhere `None`, and the test that asks
/// holds its other claims only.
#[must_use]
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    // Pages; all Linux targets that the tests run on have pages of 4 KiB.
    Some(statm.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4096)
}

/// The most memory that a process ever had resident, but for pages of files, which are its code, on Linux. Elsewhere `None`.
#[must_use]
pub fn peak_bytes(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let bytes_of = |key: &str| {
        let bytes = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(bytes.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    Some(bytes_of("VmHWM:")?.saturating_sub(bytes_of("RssFile:")?))
}

/// Whether a process maps a file whose path contains this, on Linux. Elsewhere `None`.
#[must_use]
pub fn is_mapped(pid: u32, part: &str) -> Option<bool> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    Some(maps.lines().any(|line| line.contains(part)))
}

/// The processes that a process started and that still run, on Linux. Elsewhere `None`.
#[must_use]
pub fn children(pid: u32) -> Option<Vec<u32>> {
    let parent_of = |process: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // Behind the name in parentheses: the state, and the parent.
        stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let all = std::fs::read_dir("/proc").ok()?.flatten();
    let processes = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    Some(processes.filter(|process| parent_of(*process) == Some(pid)).collect())
}

/// Gives a file another's name.
///
/// On Windows that is refused while somebody has the other open, as a host that reads it for a moment (where the system does not
/// know renames of POSIX: before Windows 10, on FAT, and in wine): whoever installs files there tries again, and so does this.
#[track_caller]
pub fn rename(from: &std::path::Path, to: &std::path::Path) {
    crate::eventually(&format!("{} can be replaced", to.display()), || match std::fs::rename(from, to) {
        Err(error) if cfg!(windows) && error.kind() == std::io::ErrorKind::PermissionDenied => None,
        Err(error) => panic!("failed to rename {}: {error}", from.display()),
        Ok(()) => Some(()),
    });
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

/// Has a program be one that [`terminate`] can reach: on Windows that takes a console of its own, without a window.
pub fn terminable(command: &mut std::process::Command) -> &mut std::process::Command {
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(
        command,
        windows_sys::Win32::System::Threading::CREATE_NO_WINDOW,
    );
    command
}

/// Asks a process to end, as a person does: by Ctrl-C. Windows gives that to all that have a console, so this program takes
/// part in that of the process for a moment, and takes no notice of it itself.
///
/// # Panics
/// The process was not started as [`terminable`], or has ended.
#[cfg(windows)]
pub fn terminate(child: &std::process::Child) {
    use std::sync::{Mutex, PoisonError};
    use windows_sys::Win32::System::Console::{
        ATTACH_PARENT_PROCESS, AttachConsole, CTRL_C_EVENT, FreeConsole, GenerateConsoleCtrlEvent,
        GetStdHandle, STD_ERROR_HANDLE, STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetConsoleCtrlHandler,
        SetStdHandle,
    };

    /// A process has one console at a time.
    static ONE: Mutex<()> = Mutex::new(());

    unsafe extern "system" fn takes_no_notice(_: u32) -> windows_sys::core::BOOL {
        1
    }

    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: the calls take numbers and a function that touches nothing.
    let sent = unsafe {
        // Whoever takes part in a console reads and writes there, unless told otherwise.
        let ours = [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE].map(|of| (of, GetStdHandle(of)));
        FreeConsole();
        let attached = AttachConsole(child.id()) != 0;
        SetConsoleCtrlHandler(Some(takes_no_notice), 1);
        let sent = attached && GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0) != 0;
        let error = std::io::Error::last_os_error();
        FreeConsole();
        // Where there was one before, it was the parent's.
        AttachConsole(ATTACH_PARENT_PROCESS);
        for (of, handle) in ours {
            SetStdHandle(of, handle);
        }
        if sent { Ok(()) } else { Err(error) }
    };
    sent.expect("failed to send Ctrl-C");
}

/// Asks a process to end, as a service manager does.
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

/// Something that a process may have so much of.
#[cfg(target_os = "linux")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Open files.
    Files,
    /// Bytes of address space.
    AddressSpace,
}

/// Bounds what a process may have, from now on; answers what it might have before. Linux alone bounds others.
#[cfg(target_os = "linux")]
pub fn bounded(pid: u32, bound: Bound, most: Option<u64>) -> Option<u64> {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process");
    let resource = match bound {
        Bound::Files => Resource::Nofile,
        Bound::AddressSpace => Resource::As,
    };
    let limit = Rlimit { current: most, maximum: getrlimit(resource).maximum };
    prlimit(Some(pid), resource, limit).expect("failed to bound another process").current
}

/// The address space that a process has taken, on Linux.
#[cfg(target_os = "linux")]
#[must_use]
pub fn mapped_bytes(pid: u32) -> u64 {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).expect("a process");
    // Pages, as in `resident_bytes`.
    statm.split_whitespace().next().and_then(|pages| pages.parse::<u64>().ok()).expect("a number") * 4096
}

/// Gives a folder and all that is in it, or a file, to another user and the group of that number. Unix only: as
/// [`crate::Bay::of_user`].
#[cfg(unix)]
pub fn give(path: &std::path::Path, user: u32) {
    std::os::unix::fs::lchown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        std::fs::read_dir(path).unwrap().for_each(|entry| give(&entry.unwrap().path(), user));
    }
}
