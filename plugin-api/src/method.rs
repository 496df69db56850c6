//! A method of another service in hand.

use crate::abi::{Buffer, FoundMethod, HostLink, Status};
use crate::{Error, Result};

/// A method of another service, found once by [`Context::method`](crate::Context::method): for a plugin that calls it often.
///
/// It follows the service through swaps, stops and starts; a call is answered by its old version or by its new one. Keep it in the
/// plugin's value; any thread may use it, between the plugin's `start` and the end of its `stop`.
#[derive(Clone)]
pub struct Method {
    way: Way,
}

#[derive(Clone)]
enum Way {
    Found(FoundMethod),
    /// The host does not know how to find one: it looks each time.
    Named {
        link: HostLink,
        service: Box<str>,
        method: Box<str>,
    },
}

impl Method {
    pub(crate) fn find(link: HostLink, service: &str, method: &str) -> Result<Self> {
        let found = link.find(service, method);
        let found = found.map_err(|(status, text)| Error::of_callee(status, text))?;
        let named = || Way::Named { link, service: service.into(), method: method.into() };
        Ok(Self { way: found.map_or_else(named, Way::Found) })
    }

    /// Asks the service, through the kernel, on this thread.
    ///
    /// # Errors
    /// The service does not run or has no such method, its error, or its panic.
    pub fn call(&self, request: &[u8]) -> Result<Vec<u8>> {
        let mut reply = Buffer::with_capacity(0);
        self.call_into(request, &mut reply)?;
        Ok(reply.into_vec())
    }

    /// The same, appending the reply to a buffer of the caller's: no allocation when it is large enough.
    ///
    /// # Errors
    /// As [`Method::call`]; `reply` is then as it was.
    #[inline]
    pub fn call_into(&self, request: &[u8], reply: &mut Buffer) -> Result<()> {
        let before = reply.len();
        let status = match &self.way {
            Way::Found(found) => found.call(request, reply.out()),
            Way::Named { link, service, method } => link.call(service, method, request, reply.out()),
        };
        match status {
            Status::OK => Ok(()),
            status => Err(failed(status, reply, before)),
        }
    }
}

#[cold]
fn failed(status: Status, reply: &mut Buffer, before: usize) -> Error {
    Error::of_callee(status, reply.out().take_words(before))
}

impl std::fmt::Debug for Method {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Method").finish_non_exhaustive()
    }
}
