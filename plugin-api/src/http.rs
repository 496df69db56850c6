//! Requests to the outside, which the host makes.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::abi::{HostLink, RawHeader, RawHttpRequest, Status};
use crate::{Context, Error, Result};

/// How often a request is tried once more where nobody says.
const RETRIES: u32 = 2;

/// The host's HTTP client, by [`Context::http`].
#[derive(Clone, Copy)]
pub struct Http {
    link: HostLink,
}

/// A request to be made.
#[derive(Debug, Clone)]
#[must_use = "it is made by `send`"]
pub struct HttpRequest<'a> {
    link: HostLink,
    method: &'a str,
    url: &'a str,
    headers: Vec<(&'a str, &'a str)>,
    body: Vec<u8>,
    timeout: Duration,
    max_bytes: u64,
    retries: u32,
    follows: bool,
}

/// What was answered. Any status is an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpResponse {
    /// 200, 404 …
    pub status: u16,
    /// Where the answer came from: another place than was asked, after redirects.
    pub url: String,
    /// Names, in small letters, and values.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Context {
    /// The host's HTTP client: TLS, time-outs and retries are the host's, and so is the list of hosts that this plugin may ask
    /// (`[service.NAME.http]` of `hotbay.toml`), which is empty until the operator writes one.
    #[must_use]
    pub fn http(&self) -> Http {
        Http { link: self.link() }
    }
}

impl Http {
    /// A `GET` of this URL.
    pub fn get<'a>(&self, url: &'a str) -> HttpRequest<'a> {
        self.request("GET", url)
    }

    /// A `POST` to this URL.
    pub fn post<'a>(&self, url: &'a str) -> HttpRequest<'a> {
        self.request("POST", url)
    }

    /// A request by another method.
    pub fn request<'a>(&self, method: &'a str, url: &'a str) -> HttpRequest<'a> {
        HttpRequest {
            link: self.link,
            method,
            url,
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Duration::ZERO,
            max_bytes: 0,
            retries: RETRIES,
            follows: true,
        }
    }
}

impl<'a> HttpRequest<'a> {
    /// With this header. `host` and those that say how long the body is are the host's.
    pub fn header(mut self, name: &'a str, value: &'a str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// With this body.
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// With this value as JSON for its body.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let body = serde_json::to_vec(value)
            .map_err(|e| Error::msg(format_args!("write the request as JSON: {e}")))?;
        Ok(self.header("content-type", "application/json").body(body))
    }

    /// All of it, tries and redirects included, may take so long; 30 s where this is not said. On a thread that handles a request it takes no
    /// longer than who asked waits ([`Context::remaining`]).
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The answer's body may be so long; 16 MiB where this is not said.
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes, ..self }
    }

    /// It is tried so often once more when the connection fails, or the other side says that it is busy (429, 502, 503, 504), after a
    /// pause that grows and is never twice the same; 2 where this is not said. Only methods that do the same when they come twice:
    /// `GET`, `HEAD`, `PUT`, `DELETE`, `OPTIONS`.
    pub fn retries(self, retries: u32) -> Self {
        Self { retries, ..self }
    }

    /// Redirects are answers like any other.
    pub fn without_redirects(self) -> Self {
        Self { follows: false, ..self }
    }

    /// Makes it on this thread, and waits for the answer.
    ///
    /// # Errors
    /// The host may not be asked (`Status::REFUSED`; the error says what to write into `hotbay.toml`), it does not answer or not in time
    /// (`Status::TIMED_OUT`), the answer is too long, the plugin is not started, or this host makes no requests.
    pub fn send(self) -> Result<HttpResponse> {
        let headers: Vec<RawHeader<'_>> =
            self.headers.iter().map(|(name, value)| RawHeader::new(name, value)).collect();
        let raw = RawHttpRequest {
            method: self.method.into(),
            url: self.url.into(),
            headers: headers.as_slice().into(),
            body: self.body.as_slice().into(),
            timeout_ms: u64::try_from(self.timeout.as_millis()).unwrap_or(u64::MAX),
            max_bytes: self.max_bytes,
            retries: self.retries,
            follows: self.follows,
        };
        match self.link.http(&raw) {
            Ok(Some((head, body))) => HttpResponse::of(&head, body),
            Ok(None) => Err(Error::with_status(
                Status::REFUSED,
                format_args!("ask {}: this host makes no requests to the outside", self.url),
            )),
            Err((status, text)) => Err(Error::with_status(status, text)),
        }
    }
}

/// What comes before the body, as it crosses.
#[derive(serde::Deserialize)]
struct Head {
    status: u16,
    url: String,
    headers: Vec<(String, String)>,
}

impl HttpResponse {
    fn of(head: &[u8], body: Vec<u8>) -> Result<Self> {
        let Head { status, url, headers } = serde_json::from_slice(head)
            .map_err(|e| Error::msg(format_args!("read what the host tells of an answer: {e}")))?;
        Ok(Self { status, url, headers, body })
    }

    /// Whether its status is of those that say yes: 200 to 299.
    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The first header of this name, which is given in small letters.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    ///
    /// # Errors
    /// It is not UTF-8.
    pub fn text(&self) -> Result<&str> {
        std::str::from_utf8(&self.body)
            .map_err(|e| Error::msg(format_args!("read the answer of {} as text: {e}", self.url)))
    }

    /// The body as JSON.
    ///
    /// # Errors
    /// It is not JSON, or not of this shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_slice(&self.body)
            .map_err(|e| Error::msg(format_args!("read the answer of {} as JSON: {e}", self.url)))
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Http").finish_non_exhaustive()
    }
}
