//! The threads of this process, as Windows tells of them.

use std::collections::BTreeSet;
use std::io;
use std::os::windows::io::{AsRawHandle as _, FromRawHandle as _, OwnedHandle};
use std::sync::{Mutex, PoisonError};

use windows_sys::Win32::Foundation::{FILETIME, INVALID_HANDLE_VALUE, LocalFree};
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, TH32CS_SNAPTHREAD, THREADENTRY32, Thread32First, Thread32Next,
};
use windows_sys::Win32::System::SystemInformation::GetSystemTimeAsFileTime;
use windows_sys::Win32::System::Threading::{
    GetCurrentProcessId, GetCurrentThread, GetCurrentThreadId, GetThreadDescription, GetThreadTimes,
    OpenThread, SetThreadDescription, THREAD_QUERY_INFORMATION,
};

use crate::os::threads::{Moment, Thread};

/// When that many are noted, those that ended are forgotten.
const MANY: usize = 256;

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

/// Gives this thread another name.
pub(crate) fn name_thread(name: &str) {
    let name: Vec<u16> = name.encode_utf16().chain([0]).collect();
    // SAFETY: O4: the call takes nothing; what it answers stands for this thread.
    let this = unsafe { GetCurrentThread() };
    // SAFETY: O25: the string ends in zero, and lives over the call, which copies it.
    unsafe { SetThreadDescription(this, name.as_ptr()) };
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

/// Whether the thread is the host's own.
pub(super) fn is_ours(id: u64) -> bool {
    let began = open(id, THREAD_QUERY_INFORMATION).and_then(|thread| began(thread.as_raw_handle()));
    let ours = OURS.lock().unwrap_or_else(PoisonError::into_inner);
    began.is_some_and(|began| ours.contains(&(id, began)))
}

/// The ids of all threads of this process.
pub(super) fn all() -> io::Result<Vec<u64>> {
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

pub(super) fn open(id: u64, access: u32) -> Option<OwnedHandle> {
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
