//! The HTTP extension: requests to the outside, which the host makes for a plugin.

use std::sync::atomic::Ordering;
use std::time::Duration;

use hotbay_plugin_api::abi::{ExtensionPtr, HostHandle, HttpExtension, RawBuffer, RawHttpRequest, Status};

use super::host_side::{guarded, side};
use crate::context::{Answered, Asked, HttpError};

static TABLE: HttpExtension = HttpExtension { request };

/// What the host's `extension` answers for it.
pub(super) fn table() -> ExtensionPtr {
    ExtensionPtr::of_http(&TABLE)
}

extern "C" fn request(
    handle: HostHandle,
    request: &RawHttpRequest<'_>,
    head: &mut RawBuffer,
    body: &mut RawBuffer,
    error: &mut RawBuffer,
) -> Status {
    guarded(Status::FAILED, || {
        let side = side(handle);
        let url = request.url.as_str();
        if !side.accepting().load(Ordering::Acquire) {
            let _ = error.write(format!("ask {url} outside of start … stop").as_bytes());
            return Status::REFUSED;
        }
        let headers = request.headers.as_slice().iter();
        let headers: Vec<(&str, &str)> =
            headers.map(|header| (header.name.as_str(), header.value.as_str())).collect();
        let asked = Asked {
            method: request.method.as_str(),
            url,
            headers,
            body: request.body.as_slice(),
            timeout: Duration::from_millis(request.timeout_ms),
            max_bytes: request.max_bytes,
            retries: request.retries,
            follows: request.follows,
        };
        match side.http().ask(&side.settings().http, &asked) {
            Ok(answered) => give(&answered, head, body, error),
            Err(failure) => {
                let _ = error.write(failure.to_string().as_bytes());
                status(&failure)
            }
        }
    })
}

fn give(answered: &Answered, head: &mut RawBuffer, body: &mut RawBuffer, error: &mut RawBuffer) -> Status {
    let Answered { status, url, headers, body: bytes } = answered;
    let json = serde_json::json!({ "status": status, "url": url, "headers": headers });
    if head.write(json.to_string().as_bytes()) && body.write(bytes) {
        return Status::OK;
    }
    let _ = error.write(b"take the answer: no more memory is lent");
    Status::FAILED
}

fn status(failure: &HttpError) -> Status {
    match failure {
        HttpError::NotAllowed { .. } | HttpError::Refused { .. } => Status::REFUSED,
        HttpError::TimedOut { .. } => Status::TIMED_OUT,
        HttpError::Malformed { .. } | HttpError::TooLong { .. } | HttpError::Failed { .. } => Status::FAILED,
    }
}
