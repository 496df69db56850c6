//! `bcryptprimitives.dll` for wines that lack it (before version 9): its one function, which every Rust program imports.
//!
//! `cargo xtask windows` compiles it and lays it into the wine prefix that the tests run in. It is never shipped.

#![no_std]

use core::panic::PanicInfo;

#[link(name = "advapi32")]
unsafe extern "system" {
    /// `RtlGenRandom` by its exported name.
    #[link_name = "SystemFunction036"]
    fn random(buffer: *mut u8, length: u32) -> u8;
}

/// Fills the buffer with random bytes; 0 where there are none.
#[unsafe(export_name = "ProcessPrng")]
extern "system" fn process_prng(mut buffer: *mut u8, mut length: usize) -> i32 {
    while length > 0 {
        let some = length.min(1 << 16);
        // SAFETY: the caller's buffer has `length` bytes, of which these are the next.
        if unsafe { random(buffer, some as u32) } == 0 {
            return 0;
        }
        buffer = buffer.wrapping_add(some);
        length -= some;
    }
    1
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // Nothing above panics.
    loop {}
}
