//! What each system does its own way.

#![allow(unsafe_code, reason = "the one module of this crate that calls the system's own functions")]

use std::io;
use std::path::Path;
#[cfg(unix)]
use std::process::Child;
use std::process::Command;
#[cfg(unix)]
use std::time::Duration;

#[cfg(windows)]
use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW};

mod asker;
mod bounds;
mod census;
mod means;
mod open;
mod private;
mod sealed;
#[cfg(feature = "cli")]
mod space;
mod stack;
mod threads;
#[cfg(windows)]
mod windows;

pub(crate) use asker::asked_line;
pub(crate) use bounds::{Bounds, bound};
pub(crate) use census::Census;
pub(crate) use means::{Kind, Mean, limit_again, means};
pub(crate) use open::{holding_reader, identity, is_link, make_unwritable, patient_reader, private_file};
#[cfg(feature = "cli")]
pub(crate) use private::keep_private;
pub(crate) use sealed::SealedFile;
#[cfg(feature = "cli")]
pub(crate) use space::{Space, space};
pub(crate) use stack::is_inside;
pub(crate) use threads::{
    Moment, Thread, claim, current_id, is_inhabited, moment, name_thread, spawn, strangers_since,
    threads_have_begun,
};
#[cfg(windows)]
pub(crate) use windows::{Group, has_thread_slots, is_held, no_dialogs, rename_over};

/// Whether a library is mapped into this process that the system lists by this name: its path, or that of a sealed file.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn is_mapped(path: &Path) -> io::Result<bool> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let maps = std::fs::read("/proc/self/maps")?;
    let wanted = path.as_os_str().as_bytes();
    Ok(maps.split(|byte| *byte == b'\n').any(|line| {
        line.ends_with(wanted) || line.strip_suffix(b" (deleted)").is_some_and(|line| line.ends_with(wanted))
    }))
}

/// Elsewhere nobody can be asked: say so, and the generation is filed as pinned. (On macOS dyld can, see `ffi`.)
#[cfg(all(unix, not(any(target_os = "linux", target_os = "android", target_vendor = "apple"))))]
pub(crate) fn is_mapped(_: &Path) -> io::Result<bool> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

/// Whether a library that was opened from `path` is mapped into this process.
#[cfg(windows)]
pub(crate) fn is_mapped(path: &Path) -> io::Result<bool> {
    Ok(windows::addresses(path).is_some())
}

/// Makes every processor that runs a thread of this process pass a full barrier; an error where there is no such call.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
pub(crate) fn barrier_everywhere() -> io::Result<()> {
    use rustix::thread::{MembarrierCommand, membarrier};
    match membarrier(MembarrierCommand::PrivateExpedited) {
        // The process has to say once that it will ask.
        Err(rustix::io::Errno::PERM) => {
            membarrier(MembarrierCommand::RegisterPrivateExpedited)?;
            Ok(membarrier(MembarrierCommand::PrivateExpedited)?)
        }
        other => Ok(other?),
    }
}

/// Makes every processor that runs a thread of this process pass a full barrier; an error where the call is there and does
/// nothing, as in wine 8.
#[cfg(windows)]
pub(crate) fn barrier_everywhere() -> io::Result<()> {
    if windows::is_wine() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    // SAFETY: O3: the call takes nothing and always succeeds.
    unsafe { windows_sys::Win32::System::Threading::FlushProcessWriteBuffers() };
    Ok(())
}

/// macOS and others have no such call, nor does Miri.
#[cfg(any(miri, not(any(target_os = "linux", target_os = "android", windows))))]
pub(crate) fn barrier_everywhere() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Makes the child the head of its own process group: what is typed at the host's terminal is not for it, and what it
/// starts can be ended with it, see [`Group`].
pub(crate) fn own_group(command: &mut Command) {
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(command, 0);
    #[cfg(windows)]
    std::os::windows::process::CommandExt::creation_flags(
        command,
        // Without a window: it would get a console of its own where the host, as a service or a program with windows, has none.
        CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW,
    );
}

/// A child that was started in its [`own_group`], and what it starts.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct Group;

#[cfg(unix)]
impl Group {
    /// The group is as old as the child, which bounds itself: see [`bound`].
    pub(crate) fn of(_: &Child, _: &Bounds) -> io::Result<Self> {
        Ok(Self)
    }

    /// Ends all of it.
    pub(crate) fn kill(&self, child: &mut Child) {
        if let Some(group) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = child.kill();
    }
}

/// Windows: a crash opens a window that waits for somebody, unless told not to. Elsewhere none does.
#[cfg(unix)]
pub(crate) fn no_dialogs() {}

/// Ends the process at once. At an ordinary end the system's loader runs what libraries left to be done, and waits for one that
/// hangs in it.
#[cfg(unix)]
pub(crate) fn end_now(code: u8) -> ! {
    unsafe extern "C" {
        safe fn _exit(code: std::ffi::c_int) -> !;
    }
    _exit(code.into())
}

/// Ends the process at once, without what its libraries left to be done. Only commands ask for it on Windows.
#[cfg(all(windows, feature = "cli"))]
pub(crate) fn end_now(code: u8) -> ! {
    use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};
    // SAFETY: O6: the call takes nothing; what it answers stands for this process.
    let this = unsafe { GetCurrentProcess() };
    // SAFETY: O6: the handle is this process's, which ends.
    unsafe { TerminateProcess(this, code.into()) };
    // Should the system refuse.
    std::process::exit(code.into())
}

/// Keeps the heap small where threads come and go. glibc gives each new thread an arena of its own, up to eight per processor,
/// and each keeps what it once held; two per processor are enough for who allocates at once.
#[cfg(all(target_os = "linux", target_env = "gnu", feature = "cli"))]
pub(crate) fn limit_arenas() {
    const M_ARENA_MAX: std::ffi::c_int = -8;
    unsafe extern "C" {
        safe fn mallopt(option: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
    }
    let arenas = 2 * std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let _ = mallopt(M_ARENA_MAX, arenas.try_into().unwrap_or(std::ffi::c_int::MAX));
}

/// Other heaps have no such arenas.
#[cfg(all(not(all(target_os = "linux", target_env = "gnu")), feature = "cli"))]
pub(crate) fn limit_arenas() {}

/// Has no core dump of this process be written: keys and state in the clear are in its memory, and plugins may crash. Children, as the
/// probe is, inherit it.
///
/// On Linux the limit is one byte: as too small for any dump it is as good as none, and it is also heard where dumps are piped to a
/// program (`core_pattern`), which are made in spite of a limit of none.
#[cfg(all(unix, feature = "cli"))]
pub(crate) fn dump_no_core() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let limit = Some(u64::from(cfg!(target_os = "linux")));
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: limit, maximum: limit }) {
        tracing::warn!(%error, "failed to turn core dumps off: a crash may write the key that seals state to the disk");
    }
}

/// Windows writes none by itself, and its window for a crash, from where one can, is not opened.
#[cfg(all(windows, feature = "cli"))]
pub(crate) fn dump_no_core() {}

/// How a process ended, in words: its signal or crash code, else its exit code.
pub(crate) fn describe(status: std::process::ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return match signal_name(signal) {
            Some(name) => format!("it was ended by signal {signal} ({name})"),
            None => format!("it was ended by signal {signal}"),
        };
    }
    match status.code() {
        #[cfg(windows)]
        Some(code) if code < 0 => match windows::crash_name(code.cast_unsigned()) {
            Some(name) => format!("it crashed with code {code:#010x} ({name})"),
            None => format!("it crashed with code {code:#010x}"),
        },
        Some(code) => format!("it ended the process with exit code {code}"),
        None => "it ended".to_owned(),
    }
}

/// Whether a process ended itself because something was wrong.
pub(crate) fn is_abort(status: std::process::ExitStatus) -> bool {
    #[cfg(unix)]
    {
        let abort = rustix::process::Signal::ABORT.as_raw();
        std::os::unix::process::ExitStatusExt::signal(&status) == Some(abort)
    }
    #[cfg(windows)]
    {
        // STATUS_STACK_BUFFER_OVERRUN, by which all of Rust's aborts end.
        status.code().map(i32::cast_unsigned) == Some(0xc000_0409)
    }
}

/// The names of signals that end a process which runs wrong; some have other numbers elsewhere.
#[cfg(unix)]
fn signal_name(signal: i32) -> Option<&'static str> {
    use rustix::process::Signal;
    let named = [
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        // The kernel of macOS ends who runs a page that its signature does not cover, as after `strip`.
        (
            Signal::KILL,
            if cfg!(target_vendor = "apple") {
                "SIGKILL; is its code signature broken? `codesign --force --sign -` makes a new one"
            } else {
                "SIGKILL"
            },
        ),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::SYS, "SIGSYS"),
        (Signal::XCPU, "SIGXCPU: it used up the time that it was given of the processors"),
        (Signal::XFSZ, "SIGXFSZ: it wrote a larger file than it may"),
    ];
    named.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

/// Whether a folder is that of the user whom this process runs as.
#[cfg(feature = "cli")]
pub(crate) fn owns(path: &Path) -> io::Result<bool> {
    let metadata = std::fs::metadata(path)?;
    #[cfg(unix)]
    {
        let user = rustix::process::geteuid().as_raw();
        Ok(std::os::unix::fs::MetadataExt::uid(&metadata) == user)
    }
    #[cfg(windows)]
    {
        // Who may write there writes files that the folder's owner may read.
        Ok(metadata.is_dir())
    }
}

/// Makes a folder, and its parents, that only its owner can enter. One that exists is left as it is.
pub(crate) fn private_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    {
        let mut builder = std::fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.recursive(true).create(path)
    }
    #[cfg(windows)]
    {
        hotbay_state::make_folders(path)?;
        if path.is_dir() { Ok(()) } else { Err(io::ErrorKind::NotADirectory.into()) }
    }
}

/// Whether this process has thread-local slots left for one more library. Windows: there is a limit; elsewhere there is none.
#[cfg(unix)]
pub(crate) fn has_thread_slots() -> bool {
    true
}

/// Whether an error says that who writes the file lets nobody else read it yet. Windows: writers may; elsewhere none can.
#[cfg(unix)]
pub(crate) fn is_held(_: &io::Error) -> bool {
    false
}

/// Gives the file `from` the name `to`, in one step, whatever `to` was before.
#[cfg(unix)]
pub(crate) fn rename_over(from: &Path, to: &Path, _: Duration) -> io::Result<()> {
    std::fs::rename(from, to)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::Stdio;

    use super::*;

    #[test]
    fn a_group_ends_with_what_its_child_started() {
        // A shell that starts another, which says so and waits for input that does not come.
        let mut command = Command::new(if cfg!(windows) { "cmd" } else { "sh" });
        #[cfg(windows)]
        std::os::windows::process::CommandExt::raw_arg(&mut command, r#"/c cmd /c "echo up& set /p x=""#);
        #[cfg(unix)]
        command.args(["-c", "sh -c 'echo up; read x'; true"]);
        own_group(&mut command);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let group = Group::of(&child, &Bounds::default()).unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let mut said = [0; 2];
        stdout.read_exact(&mut said).unwrap();
        assert_eq!(&said, b"up");

        let (tell, ended) = std::sync::mpsc::channel();
        let reading = std::thread::spawn(move || tell.send(stdout.read_to_end(&mut Vec::new()).is_ok()));
        group.kill(&mut child);
        assert!(!child.wait().unwrap().success());
        // Its end of the pipe is closed when the last of them has gone.
        assert_eq!(ended.recv_timeout(std::time::Duration::from_secs(20)), Ok(true));
        drop(child.stdin.take());
        reading.join().unwrap().unwrap();
    }
}
