//! The frames of a thread: the addresses that its functions return to.
//!
//! The thread is stopped for a moment. Between stop and go no lock is taken, for the one that is stopped may hold it: its
//! registers and its stack are copied, and nothing more. The copy is walked when the thread runs again, as profilers do: the
//! pointers into the stack are made to point into the copy, and the system's own unwinder follows them. Where it cannot, each
//! word on the stack is taken for an address to return to, such as earlier calls left there as well.

use std::ops::Range;
use std::os::windows::io::{AsRawHandle as _, OwnedHandle};

use windows_sys::Win32::System::Diagnostics::Debug::{CONTEXT, GetThreadContext};
use windows_sys::Win32::System::Memory::{MEMORY_BASIC_INFORMATION, VirtualQuery};
use windows_sys::Win32::System::Threading::{ResumeThread, SuspendThread};

use super::read;

/// By how much a stack may grow between two looks at it.
const GROWTH: usize = 64 << 10;
const WORD: usize = size_of::<usize>();

/// What a thread was at when it was stopped.
pub(super) struct Frames {
    registers: Registers,
    // The words of the stack, and the address that they have in it.
    stack: Vec<usize>,
    top: usize,
}

/// The system wants it so.
#[derive(Clone)]
#[repr(C, align(16))]
struct Registers(CONTEXT);

impl Frames {
    /// Those of a thread that is not this one. `None` where the system does not tell.
    pub(super) fn of(thread: &OwnedHandle) -> Option<Self> {
        let top = Stop::of(thread)?.registers()?.top();
        let end = end_of(top)?;
        // Taken while it runs: the allocator has locks.
        let mut bytes = vec![0; end - top + GROWTH];
        let stop = Stop::of(thread)?;
        let registers = stop.registers()?;
        let top = registers.top();
        let bytes = bytes.get_mut(..end.checked_sub(top)?)?;
        let read = read(top, bytes);
        drop(stop);
        if read != Some(bytes.len()) {
            return None;
        }
        let words = bytes.chunks_exact(WORD).filter_map(|word| word.try_into().ok());
        Some(Self { registers, stack: words.map(usize::from_ne_bytes).collect(), top })
    }

    /// Whether one of them is in the library.
    pub(super) fn are_in(mut self, library: &Range<usize>) -> bool {
        if library.contains(&self.registers.at()) {
            return true;
        }
        self.stack.iter().any(|word| library.contains(word)) && self.walk(library).unwrap_or(true)
    }

    /// The same, function by function. `None` where it is not known what one does to the stack.
    #[cfg(target_arch = "x86_64")]
    fn walk(&mut self, library: &Range<usize>) -> Option<bool> {
        self.point_into_copy();
        let copy = self.stack.as_ptr_range();
        let copy = copy.start.addr()..copy.end.addr();
        let mut registers = self.registers.clone();
        for frame in 0.. {
            let (top, at) = (registers.top(), registers.at());
            if library.contains(&at) {
                return Some(true);
            }
            // The first function of a thread returns to nowhere.
            if at == 0 || top == copy.end {
                return Some(false);
            }
            if !copy.contains(&top) {
                return None;
            }
            registers.leave(frame == 0)?;
            // The stack shrinks with each function that is left, or something is wrong with it.
            if registers.top() <= top {
                return None;
            }
        }
        None
    }

    /// Other processors' registers are told otherwise, and nothing of ours runs there.
    #[cfg(not(target_arch = "x86_64"))]
    fn walk(&mut self, _: &Range<usize>) -> Option<bool> {
        None
    }

    /// What points into the stack is to point to the same word of its copy.
    #[cfg(target_arch = "x86_64")]
    fn point_into_copy(&mut self) {
        let top = self.top;
        let len = self.stack.len() * WORD;
        let copy = self.stack.as_ptr().expose_provenance();
        let moved = |word: usize| match word.checked_sub(top) {
            Some(offset) if offset < len => copy + offset,
            _ => word,
        };
        for word in &mut self.stack {
            *word = moved(*word);
        }
        let CONTEXT { Rsp, Rbp, Rbx, Rsi, Rdi, R12, R13, R14, R15, .. } = &mut self.registers.0;
        for register in [Rsp, Rbp, Rbx, Rsi, Rdi, R12, R13, R14, R15] {
            *register = moved(*register as usize) as u64;
        }
    }
}

/// A thread that stands still until this is dropped.
struct Stop<'a>(&'a OwnedHandle);

impl<'a> Stop<'a> {
    fn of(thread: &'a OwnedHandle) -> Option<Self> {
        // SAFETY: O14: the handle is open; the thread goes on when this is dropped, whatever happens between.
        let stopped = unsafe { SuspendThread(thread.as_raw_handle()) } != u32::MAX;
        stopped.then_some(Self(thread))
    }

    fn registers(&self) -> Option<Registers> {
        let mut registers = Registers(CONTEXT { ContextFlags: WANTED, ..CONTEXT::default() });
        // SAFETY: O14: the handle is open, and `registers` live over the call, which writes to them.
        let told = unsafe { GetThreadContext(self.0.as_raw_handle(), &raw mut registers.0) };
        (told != 0).then_some(registers)
    }
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        // SAFETY: O14: the handle is open, and the thread was stopped by `of`.
        unsafe { ResumeThread(self.0.as_raw_handle()) };
    }
}

#[cfg(target_arch = "x86_64")]
const WANTED: u32 = windows_sys::Win32::System::Diagnostics::Debug::CONTEXT_FULL_AMD64;
#[cfg(target_arch = "aarch64")]
const WANTED: u32 = windows_sys::Win32::System::Diagnostics::Debug::CONTEXT_CONTROL_ARM64;
#[cfg(target_arch = "x86")]
const WANTED: u32 = windows_sys::Win32::System::Diagnostics::Debug::CONTEXT_CONTROL_X86;

#[expect(clippy::cast_possible_truncation, reason = "registers are as wide as addresses")]
impl Registers {
    /// The address of the stack's top.
    fn top(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        return self.0.Rsp as usize;
        #[cfg(target_arch = "aarch64")]
        return self.0.Sp as usize;
        #[cfg(target_arch = "x86")]
        return self.0.Esp as usize;
    }

    /// The address of what is run next.
    fn at(&self) -> usize {
        #[cfg(target_arch = "x86_64")]
        return self.0.Rip as usize;
        #[cfg(target_arch = "aarch64")]
        return self.0.Pc as usize;
        #[cfg(target_arch = "x86")]
        return self.0.Eip as usize;
    }

    /// Goes on where the innermost function returns to. `None` where the system does not know what that function does to the
    /// stack; one that calls no other, so that it is the innermost, may do nothing.
    #[cfg(target_arch = "x86_64")]
    fn leave(&mut self, is_innermost: bool) -> Option<()> {
        use windows_sys::Win32::System::Diagnostics::Debug::{
            RtlLookupFunctionEntry, RtlVirtualUnwind, UNW_FLAG_NHANDLER,
        };
        let mut base = 0;
        let _there = Kept::around(self.at())?;
        // SAFETY: O17: the library of the address is kept; `base` lives over the call, and null stands for no cache.
        let function = unsafe { RtlLookupFunctionEntry(self.0.Rip, &raw mut base, std::ptr::null_mut()) };
        if function.is_null() {
            let mut word = [0; WORD];
            if !is_innermost || read(self.top(), &mut word)? != WORD {
                return None;
            }
            self.0.Rip = u64::from_ne_bytes(word);
            self.0.Rsp += WORD as u64;
            return Some(());
        }
        let (at, mut data, mut frame) = (self.0.Rip, std::ptr::null_mut(), 0);
        // SAFETY: O17: `function` was just found for this address, in a library that is kept; the stack's top is within the copy,
        // as is what the registers saved there point to; the rest lives over the call.
        unsafe {
            RtlVirtualUnwind(
                UNW_FLAG_NHANDLER,
                base,
                at,
                function,
                &raw mut self.0,
                &raw mut data,
                &raw mut frame,
                std::ptr::null_mut(),
            )
        };
        Some(())
    }
}

/// A library that stays as long as this does.
#[cfg(target_arch = "x86_64")]
struct Kept(windows_sys::Win32::Foundation::HMODULE);

#[cfg(target_arch = "x86_64")]
impl Kept {
    /// The one that the address is in.
    fn around(address: usize) -> Option<Self> {
        use windows_sys::Win32::System::LibraryLoader::{
            GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, GetModuleHandleExW,
        };
        let at = std::ptr::without_provenance(address);
        let mut library = std::ptr::null_mut();
        // SAFETY: O17: by this flag the address stands for itself and is not read; `library` lives over the call.
        let found =
            unsafe { GetModuleHandleExW(GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS, at, &raw mut library) };
        (found != 0).then_some(Self(library))
    }
}

#[cfg(target_arch = "x86_64")]
impl Drop for Kept {
    fn drop(&mut self) {
        // SAFETY: O17: it was counted by `around`, and nothing of it is used any more.
        unsafe { windows_sys::Win32::Foundation::FreeLibrary(self.0) };
    }
}

/// Where the memory ends that the system treats like the address's: of a stack, the part in use.
fn end_of(address: usize) -> Option<usize> {
    let mut told = MEMORY_BASIC_INFORMATION::default();
    let at = std::ptr::without_provenance(address);
    // SAFETY: O15: the call looks at its table of pages only, not at what the address names; `told` lives over it.
    let len = unsafe { VirtualQuery(at, &raw mut told, size_of_val(&told)) };
    (len != 0).then(|| told.BaseAddress.addr() + told.RegionSize)
}
