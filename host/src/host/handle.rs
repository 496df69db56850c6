//! The handle: a service in hand, for callers to whom finding it by name each time is too long.

use std::sync::Arc;
use std::time::Duration;

use hotbay_plugin_api::Buffer;
use hotbay_plugin_api::abi::Lent;

use crate::call::known;
use crate::kernel::slot::Slot;
use crate::{CallError, Opening, Stream, call};

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

    /// A method of the service, for who calls it often. There is one also where no version has such a method: the calls say so.
    #[must_use]
    pub fn method(&self, method: &str) -> Method {
        Method { known: known::Own::new(Arc::clone(&self.slot), method) }
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

    /// Opens a stream, as [`Host::open_stream`](crate::Host::open_stream) does.
    ///
    /// # Errors
    /// As [`Host::open_stream`](crate::Host::open_stream).
    pub fn open_stream(&self, method: &str, request: &[u8], opening: Opening) -> Result<Stream, CallError> {
        call::open(Arc::clone(&self.slot), method, request, opening).map_err(|error| *error)
    }

    /// Calls through the service's lane, waits for the reply, `deadline` at most or else the service's own, and appends it to `reply`. Allocates nothing
    /// from a thread's second request on, where `reply` has room.
    ///
    /// # Errors
    /// As [`Host::request`](crate::Host::request). `reply` is then as it was.
    pub fn request(
        &self,
        method: &str,
        request: &[u8],
        reply: &mut Vec<u8>,
        deadline: impl Into<Option<Duration>>,
    ) -> Result<(), CallError> {
        call::request(&self.slot, method, request, reply, deadline).map_err(|error| *error)
    }
}

/// A method of a service, in hand: the quickest way in, for one thread at a time that calls it again and again. Each thread has its
/// own: it knows where that thread went in last, so that neither a name is compared nor anything looked up. Follows the service
/// as its [`Handle`] does.
#[derive(Debug)]
pub struct Method {
    known: known::Own,
}

impl Method {
    /// The service's name.
    #[must_use]
    pub fn service(&self) -> &str {
        self.known.slot().name()
    }

    /// The method's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.known.method()
    }

    /// Calls on this thread and appends the reply to `reply`. Allocates nothing where `reply` has room.
    ///
    /// # Errors
    /// As [`Host::call`](crate::Host::call). `reply` is then as it was.
    #[inline]
    pub fn call(&self, request: &[u8], reply: &mut Buffer) -> Result<(), CallError> {
        self.known.call(request, reply.out()).map_err(|error| *error)
    }
}

impl Clone for Method {
    fn clone(&self) -> Self {
        Self { known: known::Own::new(Arc::clone(self.known.slot()), self.known.method()) }
    }
}
