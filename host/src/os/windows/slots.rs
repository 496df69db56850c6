//! How many of Windows' thread-local slots are free.
//!
//! The system marks those in use in two bitmaps of the process's environment block. They are read there, since to take some for a
//! moment would leave a plugin's thread without in that moment. What `winternl.h` says of the block ends before them, but they
//! have lain there since Windows 2000, and wine lays them out alike.

use windows_sys::Wdk::System::Threading::{NtQueryInformationProcess, ProcessBasicInformation};
use windows_sys::Win32::System::Threading::{GetCurrentProcess, PROCESS_BASIC_INFORMATION};

use super::read;

/// More than a library takes.
const ROOM: u32 = 32;

/// Where in the block the bitmaps begin, and their sizes in bytes: 64 slots, and 1,024 more.
#[cfg(target_pointer_width = "64")]
const BITMAPS: [(usize, usize); 2] = [(0x80, 8), (0x240, 128)];
#[cfg(target_pointer_width = "32")]
const BITMAPS: [(usize, usize); 2] = [(0x44, 8), (0x154, 128)];

/// Whether this process has thread-local slots left for one more library. The standard library for `windows-gnu` takes some in
/// each and gives none back; a program that finds none is ended by it.
pub(crate) fn has_thread_slots() -> bool {
    // Where the system does not tell, a library is loaded as if there were no limit.
    free().is_none_or(|free| free >= ROOM)
}

/// So many are free.
fn free() -> Option<u32> {
    let mut told = PROCESS_BASIC_INFORMATION::default();
    let size = u32::try_from(size_of_val(&told)).ok()?;
    // SAFETY: O6: the call takes nothing; what it answers stands for this process.
    let this = unsafe { GetCurrentProcess() };
    // SAFETY: O16: `told` is of the class and size that are named, and lives over the call.
    let status = unsafe {
        NtQueryInformationProcess(
            this,
            ProcessBasicInformation,
            (&raw mut told).cast(),
            size,
            std::ptr::null_mut(),
        )
    };
    let block = (status >= 0).then(|| told.PebBaseAddress.addr())?;
    BITMAPS.iter().try_fold(0, |free, (at, len)| {
        let mut bits = vec![0; *len];
        let whole = read(block + at, &mut bits)? == *len;
        whole.then(|| free + bits.iter().map(|byte| byte.count_zeros()).sum::<u32>())
    })
}

#[cfg(test)]
mod tests {
    use windows_sys::Win32::System::Threading::{TLS_OUT_OF_INDEXES, TlsAlloc, TlsFree};

    use super::*;

    #[test]
    fn slots_that_are_taken_are_not_free_until_they_are_given_back() {
        // More than other tests take meanwhile, and more than the first bitmap holds.
        const TAKEN: u32 = 200;
        const OTHERS: u32 = 20;

        let before = free().unwrap();
        // SAFETY: O16: the call takes nothing, and gives a slot that is ours to free.
        let slots: Vec<u32> = (0..TAKEN).map(|_| unsafe { TlsAlloc() }).collect();
        let between = free().unwrap();
        for slot in slots {
            assert_ne!(slot, TLS_OUT_OF_INDEXES);
            // SAFETY: O16: it was just given to us, and nothing was stored in it.
            unsafe { TlsFree(slot) };
        }
        assert!(before.abs_diff(between + TAKEN) < OTHERS, "{before} {between}");
        assert!(before.abs_diff(free().unwrap()) < OTHERS);
    }
}
