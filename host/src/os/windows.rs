//! What Windows does its own way: process groups that end as one, the words for crash codes, and who may use a file.

use std::ffi::OsStr;
use std::io;
use std::ops::Range;
use std::os::windows::ffi::OsStrExt as _;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::Path;
use std::process::Child;
use std::sync::OnceLock;
use std::time::Duration;

use windows_sys::Win32::Foundation::{
    ERROR_ACCESS_DENIED, ERROR_LOCK_VIOLATION, ERROR_SHARING_VIOLATION, HMODULE,
};
use windows_sys::Win32::System::Diagnostics::Debug::{
    ReadProcessMemory, SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX, SetErrorMode,
    SetUnhandledExceptionFilter,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_ACTIVE_PROCESS,
    JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION, JOB_OBJECT_LIMIT_JOB_MEMORY,
    JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectExtendedLimitInformation, SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::GetCurrentProcess;

use super::Bounds;
use crate::kernel::patience::look_until;

mod frames;
pub(super) mod inside;
mod slots;
pub(super) mod threads;

pub(crate) use slots::has_thread_slots;

/// What a path begins with whose length has no limit.
const VERBATIM: [u8; 4] = *br"\\?\";

/// A child, and what it starts: a job, which the system ends with the last handle to it, also when the host is killed.
#[derive(Debug)]
pub(crate) struct Group(OwnedHandle);

impl Group {
    /// Puts the child, which has started nothing yet, into a job of its own, with these bounds.
    pub(crate) fn of(child: &Child, bounds: &Bounds) -> io::Result<Self> {
        // SAFETY: O7: null stands for no attributes and no name; what is answered is ours to close.
        let job = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if job.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: O7: the handle was just made for us, and nobody else has it.
        let job = unsafe { OwnedHandle::from_raw_handle(job) };
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        // A crash is to end it, not to open a window that somebody has to close.
        limits.BasicLimitInformation.LimitFlags =
            JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
        if let Some(memory) = bounds.memory.and_then(|memory| usize::try_from(memory).ok()) {
            limits.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_JOB_MEMORY;
            limits.JobMemoryLimit = memory;
        }
        if let Some(processes) = bounds.processes {
            limits.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
            limits.BasicLimitInformation.ActiveProcessLimit = processes;
        }
        let size = u32::try_from(size_of_val(&limits)).unwrap_or_default();
        // SAFETY: O7: the handle is open, `limits` is of the class that is named and lives over the call.
        let set = unsafe {
            SetInformationJobObject(
                job.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size,
            )
        };
        require(set)?;
        // SAFETY: O7: both handles are open.
        require(unsafe { AssignProcessToJobObject(job.as_raw_handle(), child.as_raw_handle()) })?;
        Ok(Self(job))
    }

    /// Ends all of it.
    pub(crate) fn kill(&self, child: &mut Child) {
        // SAFETY: O7: the handle is open.
        let _ = unsafe { TerminateJobObject(self.0.as_raw_handle(), 1) };
        let _ = child.kill();
    }
}

/// From now on a crash of this process, or a library that it cannot load, opens no window that waits for somebody.
pub(crate) fn no_dialogs() {
    let quiet = SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX;
    // SAFETY: O8: the call takes flags and always succeeds.
    let _ = unsafe { SetErrorMode(quiet) };
}

/// What would be called when nobody catches an exception: an address, or zero.
pub(super) fn exception_filter() -> usize {
    // SAFETY: O20: the call exchanges one function for another, and what was there is put back at once; nobody calls it meanwhile but
    // who crashes.
    let before = unsafe { SetUnhandledExceptionFilter(None) };
    // SAFETY: O20, as above.
    let _ = unsafe { SetUnhandledExceptionFilter(before) };
    before.map_or(0, |function| function as usize)
}

/// What all processes have of memory and files for it, and what there is. In a job with a limit of its own there is less.
pub(super) fn memory() -> Option<(u64, u64)> {
    use windows_sys::Win32::System::SystemInformation::{GlobalMemoryStatusEx, MEMORYSTATUSEX};
    let size = u32::try_from(size_of::<MEMORYSTATUSEX>()).unwrap_or_default();
    let mut told = MEMORYSTATUSEX { dwLength: size, ..Default::default() };
    // SAFETY: O22: `told` is of the size that it names and lives over the call.
    let done = unsafe { GlobalMemoryStatusEx(&raw mut told) };
    (done != 0).then(|| (told.ullTotalPageFile.saturating_sub(told.ullAvailPageFile), told.ullTotalPageFile))
}

/// Whether this is no Windows but wine, some of whose calls say that they did what they did not.
pub(super) fn is_wine() -> bool {
    use windows_sys::Win32::System::LibraryLoader::{GetModuleHandleW, GetProcAddress};
    static IS: OnceLock<bool> = OnceLock::new();
    *IS.get_or_init(|| {
        let name = wide("ntdll.dll");
        // SAFETY: O2: `name` ends with a zero and lives over the call, which only looks.
        let ntdll = unsafe { GetModuleHandleW(name.as_ptr()) };
        // SAFETY: O2: the name ends with a zero, and no process is without this library; what is found is not called.
        !ntdll.is_null() && unsafe { GetProcAddress(ntdll, c"wine_get_version".as_ptr().cast()) }.is_some()
    })
}

/// Gives the file `from` the name `to`, in one step, whatever `to` was before. Windows refuses that while somebody has `to`
/// open, and there is somebody now and then: a reader, an indexer, a virus scanner. So it is tried until the deadline; what
/// may not be replaced whoever has it open is refused at once.
pub(crate) fn rename_over(from: &Path, to: &Path, deadline: Duration) -> io::Result<()> {
    let (first, longest) = (Duration::from_millis(1), Duration::from_millis(50));
    let mut refused = None;
    let done = look_until(deadline, first, longest, || match std::fs::rename(from, to) {
        Err(error)
            if is_held(&error)
                || is_one_of(&error, &[ERROR_ACCESS_DENIED]) && !hotbay_state::is_fixed(to) =>
        {
            refused = Some(error);
            None
        }
        done => Some(done),
    });
    done.unwrap_or_else(|| Err(refused.unwrap_or_else(|| io::ErrorKind::PermissionDenied.into())))
}

/// Whether an error says that who has the file open lets nobody else in.
pub(crate) fn is_held(error: &io::Error) -> bool {
    is_one_of(error, &[ERROR_SHARING_VIOLATION, ERROR_LOCK_VIOLATION])
}

fn is_one_of(error: &io::Error, codes: &[u32]) -> bool {
    error.raw_os_error().is_some_and(|code| codes.contains(&code.cast_unsigned()))
}

/// The name of a code that a process crashed with.
pub(super) fn crash_name(code: u32) -> Option<&'static str> {
    Some(match code {
        0x8000_0003 => "breakpoint",
        0xc000_0005 => "access violation",
        0xc000_0006 => "a page could not be read",
        0xc000_001d => "illegal instruction",
        0xc000_0025 => "an exception that cannot be continued",
        0xc000_008e => "floating-point division by zero",
        0xc000_0094 => "division by zero",
        0xc000_0096 => "privileged instruction",
        0xc000_00fd => "stack overflow",
        0xc000_0135 => "a library that it needs is missing",
        0xc000_0139 => "a function that it needs is missing in a library",
        0xc000_013a => "Ctrl-C",
        0xc000_0142 => "the initialiser of a library failed",
        0xc000_0374 => "heap corruption",
        0xc000_0409 => "abort, or a stack buffer overrun",
        _ => return None,
    })
}

/// UTF-16 that ends in zero.
pub(super) fn wide(text: impl AsRef<OsStr>) -> Vec<u16> {
    text.as_ref().encode_wide().chain([0]).collect()
}

/// Addresses of the library that was opened from `path`, while it is mapped.
pub(super) fn addresses(path: &Path) -> Option<Range<usize>> {
    use windows_sys::Win32::System::LibraryLoader::GetModuleHandleW;
    let module = |name: &[u16]| {
        // SAFETY: O2: `name` ends with a zero and lives over the call, which only looks.
        let module = unsafe { GetModuleHandleW(name.as_ptr()) };
        (!module.is_null()).then_some(module)
    };
    let name = wide(path);
    // A loader may know it by its path without the prefix that lifts the limit on a path's length.
    let plain = name.strip_prefix(&VERBATIM.map(u16::from));
    addresses_of(module(&name).or_else(|| module(plain?))?)
}

/// Addresses of the library that this one is in.
fn addresses_around(address: usize) -> Option<Range<usize>> {
    use windows_sys::Win32::System::LibraryLoader::{
        GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT,
        GetModuleHandleExW,
    };
    let flags = GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS | GET_MODULE_HANDLE_EX_FLAG_UNCHANGED_REFCOUNT;
    let mut module = std::ptr::null_mut();
    // SAFETY: O2: by these flags the address stands for itself and is not read; `module` lives over the call.
    let found = unsafe { GetModuleHandleExW(flags, std::ptr::without_provenance(address), &raw mut module) };
    (found != 0).then(|| addresses_of(module)).flatten()
}

fn addresses_of(module: HMODULE) -> Option<Range<usize>> {
    use windows_sys::Win32::System::ProcessStatus::{K32GetModuleInformation, MODULEINFO};
    // SAFETY: O6: the call takes nothing; what it answers stands for this process.
    let this = unsafe { GetCurrentProcess() };
    let mut told = MODULEINFO::default();
    let size = u32::try_from(size_of_val(&told)).unwrap_or_default();
    // SAFETY: O9: `told` is of the size that is named and lives over the call; a module that is gone is an error.
    let found = unsafe { K32GetModuleInformation(this, module, &raw mut told, size) };
    let start = told.lpBaseOfDll.addr();
    (found != 0).then(|| start..start + usize::try_from(told.SizeOfImage).unwrap_or_default())
}

fn require(done: windows_sys::core::BOOL) -> io::Result<()> {
    if done == 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Reads memory of this process which may be gone by now: the system says so, where a read of our own would crash.
fn read(address: usize, into: &mut [u8]) -> Option<usize> {
    // SAFETY: O6: the call takes nothing; what it answers stands for this process.
    let this = unsafe { GetCurrentProcess() };
    let (from, mut len) = (std::ptr::without_provenance(address), 0);
    // SAFETY: O15: `into` is as long as is named and lives over the call, which fails where the address names nothing.
    let done = unsafe { ReadProcessMemory(this, from, into.as_mut_ptr().cast(), into.len(), &raw mut len) };
    (done != 0).then_some(len)
}
