//! The handle: a service in hand, for callers to whom finding it by name each time is too long.

use std::sync::Arc;
use std::time::Duration;

use hotbay_plugin_api::abi::Lent;

use crate::kernel::slot::Slot;
use crate::{CallError, call};

/// A service, found once. It follows the service through swaps, stops and starts, and through its file being removed and put
/// back; cheap to clone, and to send to other threads.
///
/// It does not keep the host running: when that has ended, calls fail with [`CallError::NotRunning`].
#[derive(Debug, Clone)]
pub struct Handle {
    slot: Arc<Slot>,
}

impl Handle {
    pub(super) fn new(slot: Arc<Slot>) -> Self {
        Self { slot }
    }

    /// The service's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.slot.name()
    }

    /// Calls on this thread and appends the reply to `reply`, as [`Host::call`](crate::Host::call) does. Allocates nothing
    /// where `reply` has room.
    ///
    /// # Errors
    /// As [`Host::call`](crate::Host::call). `reply` is then as it was.
    #[inline]
    pub fn call(&self, method: &str, request: &[u8], reply: &mut Vec<u8>) -> Result<(), CallError> {
        call::inline(&self.slot, method, request, Lent::new(reply).out()).map_err(|error| *error)
    }

    /// Calls through the service's lane, waits for the reply, `deadline` at most, and appends it to `reply`. Allocates nothing
    /// from a thread's second request on, where `reply` has room.
    ///
    /// # Errors
    /// As [`Host::request`](crate::Host::request). `reply` is then as it was.
    pub fn request(
        &self,
        method: &str,
        request: &[u8],
        reply: &mut Vec<u8>,
        deadline: Duration,
    ) -> Result<(), CallError> {
        call::request(&self.slot, method, request, reply, deadline).map_err(|error| *error)
    }
}
