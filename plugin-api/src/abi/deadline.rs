//! Deadlines: how long whoever asked still waits. The host knows it of its threads, and a plugin asks.

use std::time::Duration;

use abi_stable::StableAbi;

use super::{ExtensionPtr, HostHandle, HostLink};

/// Id and revision of the extension of a host that tells deadlines.
pub const DEADLINE_EXTENSION: (&str, u32) = ("hotbay.deadline", 1);

/// No deadline.
const NONE: u64 = u64::MAX;

/// The deadline extension of a host, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct DeadlineExtension {
    /// Nanoseconds that are left until who asked gives up, on this thread; 0 where it has, `u64::MAX` where there is no deadline. From `create`
    /// on, any thread.
    pub remaining_ns: extern "C" fn(HostHandle) -> u64,
    /// Whether who asked has given up. From `create` on, any thread.
    pub is_cancelled: extern "C" fn(HostHandle) -> bool,
}

impl HostLink {
    fn deadlines(self) -> Option<&'static DeadlineExtension> {
        let (id, revision) = DEADLINE_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        // SAFETY: A3; it was asked for in these words, and a host's tables are there for as long as the host.
        unsafe { table.as_deadline() }
    }

    /// What is left; `None` where there is no deadline, or the host tells none.
    pub(crate) fn remaining(self) -> Option<Duration> {
        let left = (self.deadlines()?.remaining_ns)(self.handle);
        (left != NONE).then(|| Duration::from_nanos(left))
    }

    pub(crate) fn is_cancelled(self) -> bool {
        self.deadlines().is_some_and(|table| (table.is_cancelled)(self.handle))
    }
}

impl ExtensionPtr {
    /// A host's answer to [`DEADLINE_EXTENSION`].
    #[must_use]
    pub fn of_deadline(table: &'static DeadlineExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of the deadline extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`DEADLINE_EXTENSION`].
    unsafe fn as_deadline<'a>(self) -> Option<&'a DeadlineExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<DeadlineExtension>().as_ref() }
    }
}
