//! Whether a thread runs the code of a library.
//!
//! On Windows nothing keeps a library mapped under a thread that runs it: who closes one looks first. A thread that a library's
//! code began has its first address there; for others, what its functions will return to is looked up, see [`super::frames`].

use std::ops::Range;
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};
use std::path::Path;
use std::time::Duration;

use windows_sys::Wdk::System::Threading::{NtQueryInformationThread, ThreadQuerySetWin32StartAddress};
use windows_sys::Win32::Foundation::STILL_ACTIVE;
use windows_sys::Win32::System::Threading::{
    GetExitCodeThread, THREAD_GET_CONTEXT, THREAD_QUERY_INFORMATION, THREAD_SUSPEND_RESUME,
};

use super::frames::Frames;
use super::threads::{all, current_id, is_ours, open};
use super::{addresses, addresses_around};

/// Looks for threads in a library before it is closed, and the time between two: one that is about to end, such as one that
/// was just joined by other means than its handle, is given so long.
const LOOKS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(5);

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
    let this = current_id();
    let others: Vec<u64> = ids.into_iter().filter(|id| *id != this && !is_ours(*id)).collect();
    // One that cannot be told of because it is gone is not inside.
    others.into_iter().any(|id| runs(id, &library).unwrap_or_else(|| is_alive(id)))
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
    runs(id, &addresses(path)?)
}

/// Whether thread `id`, which is not this one, runs code at these addresses. `None` where it cannot be told.
fn runs(id: u64, library: &Range<usize>) -> Option<bool> {
    if id == current_id() {
        // Nobody would let it go on.
        return None;
    }
    let thread = open(id, THREAD_QUERY_INFORMATION | THREAD_SUSPEND_RESUME | THREAD_GET_CONTEXT)?;
    if first_address(&thread).is_some_and(|first| library.contains(&first)) {
        return Some(true);
    }
    Some(Frames::of(&thread)?.are_in(library))
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use windows_sys::Win32::Foundation::HMODULE;

    use super::super::threads::moment;
    use super::*;
    use crate::os::Moment;

    /// A small library of the system's that no thread runs.
    fn quiet_library() -> HMODULE {
        let name: Vec<u16> = "version.dll\0".encode_utf16().collect();
        // SAFETY: O2: `name` ends with a zero and lives over the call; it is a library of the system's.
        unsafe { windows_sys::Win32::System::LibraryLoader::LoadLibraryW(name.as_ptr()) }
    }

    #[test]
    fn what_another_thread_runs_is_inhabited_however_old_that_is_and_what_none_runs_is_not() {
        let (end, wait) = mpsc::channel::<()>();
        let stranger = std::thread::spawn(move || wait.recv());
        assert!(is_inhabited((moment as fn() -> Moment as *const ()).addr()), "this program");
        assert!(!is_inhabited(quiet_library().addr()), "version.dll");
        // Where there is no library, nothing can be told.
        assert!(is_inhabited(16));
        drop(end);
        let _ = stranger.join().unwrap();
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn an_address_left_on_the_stack_of_a_thread_is_no_frame_of_it() {
        let library = addresses_around(quiet_library().addr()).unwrap();
        let (left, wait_left) = mpsc::channel();
        let (end, wait) = mpsc::channel::<()>();
        let stranger = std::thread::spawn({
            let library = library.clone();
            move || {
                let words: Vec<usize> = library.step_by(0x100).take(64).collect();
                let on_stack: [usize; 16] = std::array::from_fn(|at| words[at % words.len()]);
                let on_stack = std::hint::black_box(&on_stack);
                left.send(current_id()).unwrap();
                let _ = wait.recv();
                std::hint::black_box(on_stack);
            }
        });
        let id = wait_left.recv().unwrap();
        assert_eq!(runs(id, &library), Some(false));
        let this_program = addresses_around((moment as fn() -> Moment as *const ()).addr()).unwrap();
        assert_eq!(runs(id, &this_program), Some(true));
        drop(end);
        stranger.join().unwrap();
    }

    #[test]
    fn a_thread_does_not_stop_itself() {
        assert_eq!(runs(current_id(), &(0..1)), None);
        assert!(is_alive(current_id()));
    }
}
