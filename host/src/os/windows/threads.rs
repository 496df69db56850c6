//! The threads of this process, as Windows tells of them, and whether they run the code of a library.
//!
//! On Windows nothing keeps a library mapped under a thread that runs it: who closes one looks first. A thread that a library's
//! code began has its first address there; for others the stack is read, from where it stands when the thread is stopped for
//! a moment. Between stop and go no lock is taken: the one that is stopped may hold it.

use std::collections::BTreeSet;
use std::io;
use std::ops::Range;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use windows_sys::Wdk::System::Threading::{NtQueryInformationThread, ThreadQuerySetWin32StartAddress};
use windows_sys::Win32::Foundation::{FILETIME, INVALID_HANDLE_VALUE, LocalFree, STILL_ACTIVE};
use windows_sys::Win32::System::Diagnostics::Debug::{CONTEXT, GetThreadContext, ReadProcessMemory};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::Memory::{MEMORY_BASIC_INFORMATION, VirtualQuery};
use windows_sys::Win32::System::SystemInformation::GetSystemTimeAsFileTime;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcess, GetCurrentProcessId, GetCurrentThread, GetCurrentThreadId, GetExitCodeThread,
    GetThreadDescription, GetThreadTimes, OpenThread, ResumeThread, SuspendThread, THREAD_GET_CONTEXT,
    THREAD_QUERY_INFORMATION, THREAD_SUSPEND_RESUME,
};

use super::{addresses, addresses_around};
use crate::os::threads::{Moment, Thread};

/// When that many are noted, those that ended are forgotten.
const MANY: usize = 256;

/// Looks for threads in a library before it is closed, and the time between two: one that is about to end, such as one that
/// was just joined by other means than its handle, is given so long.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(5);

/// Threads of the host's own. With the moment at which they began: a system uses the ids of ended threads again.
static OURS: Mutex<BTreeSet<(u64, Moment)>> = Mutex::new(BTreeSet::new());

/// Notes that this thread is the host's own.
pub(crate) fn claim() {
    // SAFETY: O4: the call takes nothing; what it answers stands for this thread.
    let this = unsafe { GetCurrentThread() };
    let Some(began) = began(this) else { return };
    let mut ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    // Where the system does not tell which are alive, none is forgotten.
    if ours.len() >= MANY
        && let Ok(alive) = all()
    {
        let alive: BTreeSet<u64> = alive.into_iter().collect();
        ours.retain(|(id, _)| alive.contains(id));
    }
    ours.insert((current_id(), began));
}

/// The system's id of this thread.
pub(crate) fn current_id() -> u64 {
    // SAFETY: O4: the call takes nothing and always succeeds.
    u64::from(unsafe { GetCurrentThreadId() })
}

/// Now, on the clock that threads' beginnings are told by.
pub(crate) fn moment() -> Moment {
    let mut now = FILETIME::default();
    // SAFETY: O10: `now` lives over the call, which writes to it.
    unsafe { GetSystemTimeAsFileTime(&raw mut now) };
    time(now)
}

/// Threads that began since and are not the host's own.
pub(crate) fn strangers_since(moment: Moment) -> io::Result<Vec<Thread>> {
    let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let mut strangers = Vec::new();
    for id in all()? {
        // One that is gone by now is no stranger any more.
        let Some(handle) = open(id, THREAD_QUERY_INFORMATION) else { continue };
        if began(handle.as_raw_handle()).is_some_and(|began| began >= moment && !ours.contains(&(id, began)))
        {
            strangers.push(Thread { id, name: name(&handle) });
        }
    }
    strangers.sort();
    Ok(strangers)
}

/// Whether a thread that is not the host's own runs the code of the library that has something at `address`. Whenever it began:
/// the clock may have been set back since, and threads of the system's pool are older than what they run. Where it cannot be
/// told, the answer is yes: who closes what is inhabited ends the process.
pub(crate) fn is_inhabited(address: usize) -> bool {
    for look in 0..LOOKS {
        if look > 0 {
            std::thread::park_timeout(PAUSE);
        }
        if !has_somebody_inside(address) {
            return false;
        }
    }
    true
}

fn has_somebody_inside(address: usize) -> bool {
    let Some(library) = addresses_around(address) else { return true };
    let Ok(ids) = all() else { return true };
    let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let this = current_id();
    let is_ours = |id| {
        let began = open(id, THREAD_QUERY_INFORMATION).and_then(|thread| began(thread.as_raw_handle()));
        began.is_some_and(|began| ours.contains(&(id, began)))
    };
    let others = ids.into_iter().filter(|id| *id != this && !is_ours(*id));
    // One that cannot be told of because it is gone is not inside.
    others.into_iter().any(|id| stands_in(id, &library).unwrap_or_else(|| is_alive(id)))
}

/// Whether the thread has not ended, or that cannot be told.
fn is_alive(id: u64) -> bool {
    if let Some(thread) = open(id, THREAD_QUERY_INFORMATION) {
        let mut code = 0;
        // SAFETY: O10: the handle is open, and `code` lives over the call, which writes to it.
        let told = unsafe { GetExitCodeThread(thread.as_raw_handle(), &raw mut code) };
        if told != 0 && code != STILL_ACTIVE.cast_unsigned() {
            return false;
        }
    }
    all().map_or(true, |ids| ids.contains(&id))
}

/// Whether thread `id` is inside the library that was opened from `path`. `None` where it cannot be told.
pub(crate) fn is_inside(id: u64, path: &Path) -> Option<bool> {
    stands_in(id, &addresses(path)?)
}

/// Whether thread `id`, which is not this one, runs code at these addresses. `None` where it cannot be told.
fn stands_in(id: u64, library: &Range<usize>) -> Option<bool> {
    /// No frames that matter lie deeper.
    const DEEPEST: usize = 8 << 20;
    const WORD: usize = size_of::<usize>();

    if id == current_id() {
        // Nobody would let it go on.
        return None;
    }
    let access = THREAD_QUERY_INFORMATION | THREAD_SUSPEND_RESUME | THREAD_GET_CONTEXT;
    let thread = open(id, access)?;
    if first_address(&thread).is_some_and(|first| library.contains(&first)) {
        return Some(true);
    }
    let (top, at) = where_it_stands(&thread)?;
    if library.contains(&at) {
        return Some(true);
    }
    let end = region(top)?.end;
    let mut stack = vec![0; (end - top).min(DEEPEST)];
    let len = read(top, &mut stack)?;
    let words =
        stack[..len].chunks_exact(WORD).filter_map(|word| word.try_into().ok()).map(usize::from_ne_bytes);
    Some(words.into_iter().any(|word| library.contains(&word)))
}

/// The ids of all threads of this process.
fn all() -> io::Result<Vec<u64>> {
    // SAFETY: O11: the call takes flags; what it answers is ours to close.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0) };
    if snapshot == INVALID_HANDLE_VALUE {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: O11: the handle was just made for us, and nobody else has it.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(snapshot) };
    // SAFETY: O4: the call takes nothing and always succeeds.
    let process = unsafe { GetCurrentProcessId() };
    let mut entry = THREADENTRY32 {
        dwSize: u32::try_from(size_of::<THREADENTRY32>()).unwrap_or_default(),
        ..THREADENTRY32::default()
    };
    let mut ids = Vec::new();
    // SAFETY: O11: the handle is open, `entry` names its size and lives over the call.
    let mut more = unsafe { Thread32First(snapshot.as_raw_handle(), &raw mut entry) };
    while more != 0 {
        if entry.th32OwnerProcessID == process {
            ids.push(u64::from(entry.th32ThreadID));
        }
        // SAFETY: O11: as above.
        more = unsafe { Thread32Next(snapshot.as_raw_handle(), &raw mut entry) };
    }
    Ok(ids)
}

fn open(id: u64, access: u32) -> Option<OwnedHandle> {
    // SAFETY: O11: the call takes numbers; what it answers, unless null, is ours to close.
    let handle = unsafe { OpenThread(access, 0, u32::try_from(id).ok()?) };
    // SAFETY: O11: the handle was just made for us, and nobody else has it.
    (!handle.is_null()).then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn began(thread: windows_sys::Win32::Foundation::HANDLE) -> Option<Moment> {
    let [mut began, mut ended, mut kernel, mut user] = [FILETIME::default(); 4];
    // SAFETY: O10: the handle is open, and the four live over the call, which writes to them.
    let told =
        unsafe { GetThreadTimes(thread, &raw mut began, &raw mut ended, &raw mut kernel, &raw mut user) };
    (told != 0).then(|| time(began))
}

fn time(time: FILETIME) -> Moment {
    Moment(u64::from(time.dwHighDateTime) << 32 | u64::from(time.dwLowDateTime))
}

fn name(thread: &OwnedHandle) -> String {
    let mut text = std::ptr::null_mut();
    // SAFETY: O12: the handle is open; where the call succeeds it writes a string that is ours to free.
    let told = unsafe { GetThreadDescription(thread.as_raw_handle(), &raw mut text) };
    if told < 0 || text.is_null() {
        return String::new();
    }
    // SAFETY: O12: the string ends in zero.
    let len = (0..).take_while(|&at| unsafe { text.wrapping_add(at).read() } != 0).count();
    // SAFETY: O12: so many were just read.
    let name = String::from_utf16_lossy(unsafe { std::slice::from_raw_parts(text, len) });
    // SAFETY: O12: it is ours, and not used any more.
    unsafe { LocalFree(text.cast()) };
    name
}

/// The address that the thread was started at.
fn first_address(thread: &OwnedHandle) -> Option<usize> {
    let mut address = 0usize;
    let size = u32::try_from(size_of_val(&address)).ok()?;
    // SAFETY: O13: the handle is open, and `address` is of the size that is named and lives over the call.
    let status = unsafe {
        NtQueryInformationThread(
            thread.as_raw_handle(),
            ThreadQuerySetWin32StartAddress,
            (&raw mut address).cast(),
            size,
            std::ptr::null_mut(),
        )
    };
    (status >= 0).then_some(address)
}

/// The top of the thread's stack, and the address that it goes on at.
fn where_it_stands(thread: &OwnedHandle) -> Option<(usize, usize)> {
    /// The system wants it so.
    #[repr(C, align(16))]
    struct Aligned(CONTEXT);

    let mut context = Aligned(CONTEXT { ContextFlags: CONTROL, ..CONTEXT::default() });
    // SAFETY: O14: the handle is open; the thread goes on below, whatever happens between.
    if unsafe { SuspendThread(thread.as_raw_handle()) } == u32::MAX {
        return None;
    }
    // SAFETY: O14: the handle is open, and `context` lives over the call, which writes to it.
    let told = unsafe { GetThreadContext(thread.as_raw_handle(), &raw mut context.0) };
    // SAFETY: O14: it was stopped above.
    unsafe { ResumeThread(thread.as_raw_handle()) };
    (told != 0)
        .then(|| registers(&context.0))
        .and_then(|(top, at)| Some((usize::try_from(top).ok()?, usize::try_from(at).ok()?)))
}

#[cfg(target_arch = "x86_64")]
const CONTROL: u32 = windows_sys::Win32::System::Diagnostics::Debug::CONTEXT_CONTROL_AMD64;
#[cfg(target_arch = "aarch64")]
const CONTROL: u32 = windows_sys::Win32::System::Diagnostics::Debug::CONTEXT_CONTROL_ARM64;
#[cfg(target_arch = "x86")]
const CONTROL: u32 = windows_sys::Win32::System::Diagnostics::Debug::CONTEXT_CONTROL_X86;

#[cfg(target_arch = "x86_64")]
fn registers(context: &CONTEXT) -> (u64, u64) {
    (context.Rsp, context.Rip)
}
#[cfg(target_arch = "aarch64")]
fn registers(context: &CONTEXT) -> (u64, u64) {
    (context.Sp, context.Pc)
}
#[cfg(target_arch = "x86")]
fn registers(context: &CONTEXT) -> (u64, u64) {
    (context.Esp.into(), context.Eip.into())
}

/// The addresses around this one that the system treats alike: of a stack, those in use.
fn region(address: usize) -> Option<Range<usize>> {
    let mut told = MEMORY_BASIC_INFORMATION::default();
    let at = std::ptr::without_provenance(address);
    // SAFETY: O15: the call looks at its table of pages only, not at what the address names; `told` lives over it.
    let len = unsafe { VirtualQuery(at, &raw mut told, size_of_val(&told)) };
    let start = told.BaseAddress.addr();
    (len != 0).then(|| start..start + told.RegionSize)
}

/// Reads memory of this process which may be gone by now: the system says so, where a read of our own would crash.
pub(super) fn read(address: usize, into: &mut [u8]) -> Option<usize> {
    // SAFETY: O6: the call takes nothing; what it answers stands for this process.
    let this = unsafe { GetCurrentProcess() };
    let (from, mut len) = (std::ptr::without_provenance(address), 0);
    // SAFETY: O15: `into` is as long as is named and lives over the call, which fails where the address names nothing.
    let done = unsafe { ReadProcessMemory(this, from, into.as_mut_ptr().cast(), into.len(), &raw mut len) };
    (done != 0).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_thread_runs_is_inhabited_however_old_that_is_and_what_none_runs_is_not() {
        let (end, wait) = std::sync::mpsc::channel::<()>();
        let stranger = std::thread::spawn(move || wait.recv());
        assert!(is_inhabited((moment as fn() -> Moment as *const ()).addr()), "this program");
        let name: Vec<u16> = "version.dll\0".encode_utf16().collect();
        // SAFETY: O2: `name` ends with a zero and lives over the call; it is a library of the system's.
        let start = unsafe { windows_sys::Win32::System::LibraryLoader::LoadLibraryW(name.as_ptr()) };
        assert!(!is_inhabited(start.addr()), "version.dll");
        // Where there is no library, nothing can be told.
        assert!(is_inhabited(16));
        drop(end);
        let _ = stranger.join().unwrap();
    }

    #[test]
    fn a_thread_does_not_stop_itself() {
        assert_eq!(stands_in(current_id(), &(0..1)), None);
        assert!(is_alive(current_id()));
    }
}
