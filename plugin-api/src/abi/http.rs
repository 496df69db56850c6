//! The HTTP extension of a host: requests to the outside, which it makes for a plugin.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};

use super::{ExtensionPtr, HostHandle, HostLink, Lent, RawBuffer, RawHeader, Status};

/// Id and revision of the HTTP extension.
pub const HTTP_EXTENSION: (&str, u32) = ("hotbay.http", 1);

/// A request; all of it is the plugin's, and lent for the call.
#[repr(C)]
#[derive(Debug, Clone, Copy, StableAbi)]
pub struct RawHttpRequest<'a> {
    /// `GET`, `POST` …
    pub method: RStr<'a>,
    /// With scheme and host.
    pub url: RStr<'a>,
    /// Its headers.
    pub headers: RSlice<'a, RawHeader<'a>>,
    /// Its body; empty for none.
    pub body: RSlice<'a, u8>,
    /// How long all of it may take, tries and redirects included, milliseconds; 0 for as long as the host says.
    pub timeout_ms: u64,
    /// How long the answer's body may be, bytes; 0 for as long as the host says.
    pub max_bytes: u64,
    /// How often it is tried once more, of methods that do the same when they come twice.
    pub retries: u32,
    /// Whether redirects are followed.
    pub follows: bool,
}

/// The HTTP extension of a host, revision 1: frozen.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct HttpExtension {
    /// Makes the request on this thread and waits for the answer. What came before its body is appended to `head` as JSON: `{"status": 200,
    /// "url": "…", "headers": [["name", "value"], …]}`, and the body to `body`. Any status of HTTP is an answer. `REFUSED` where the
    /// host may not be asked, `TIMED_OUT` when the time has passed. Between `start` and the end of `stop`, any thread.
    pub request: extern "C" fn(
        HostHandle,
        request: &RawHttpRequest<'_>,
        head: &mut RawBuffer,
        body: &mut RawBuffer,
        error: &mut RawBuffer,
    ) -> Status,
}

/// What came before the body, and the body; `None` of a host that makes no requests.
type Answered = Result<Option<(Vec<u8>, Vec<u8>)>, (Status, String)>;

impl HostLink {
    /// Makes a request.
    pub(crate) fn http(self, request: &RawHttpRequest<'_>) -> Answered {
        let (id, revision) = HTTP_EXTENSION;
        let table = (self.table.extension())(id.into(), revision);
        // SAFETY: A3; it was asked for in these words.
        let Some(table) = (unsafe { table.as_http() }) else { return Ok(None) };
        let (mut head, mut body, mut text) = (Vec::new(), Vec::new(), Vec::new());
        let status = {
            let (mut head, mut body, mut text) =
                (Lent::new(&mut head), Lent::new(&mut body), Lent::new(&mut text));
            // SAFETY: A2; it stays where it is.
            let head = unsafe { head.out().into_raw() };
            // SAFETY: A2; it stays where it is.
            let body = unsafe { body.out().into_raw() };
            // SAFETY: A2; it stays where it is.
            let error = unsafe { text.out().into_raw() };
            (table.request)(self.handle, request, head, body, error)
        };
        if status == Status::OK {
            return Ok(Some((head, body)));
        }
        Err((status, String::from_utf8_lossy(&text).into_owned()))
    }
}

impl ExtensionPtr {
    /// A host's answer to [`HTTP_EXTENSION`].
    #[must_use]
    pub fn of_http(table: &'static HttpExtension) -> Self {
        Self(std::ptr::from_ref(table).cast())
    }

    /// The table of the HTTP extension.
    ///
    /// # Safety
    /// The pointer must be the answer of a host's `extension` to [`HTTP_EXTENSION`].
    unsafe fn as_http<'a>(self) -> Option<&'a HttpExtension> {
        // SAFETY: what the caller vouches for.
        unsafe { self.0.cast::<HttpExtension>().as_ref() }
    }
}
