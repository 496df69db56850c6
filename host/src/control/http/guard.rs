//! Whether a request is meant for this host, comes from no web page, and brings the token.
//!
//! A page in a browser of this machine can send requests to loopback. It cannot read a file, so it has no token; that it gets
//! no further than that, also to what needs none, is looked after here: its `Origin` is another site's, and where its name was led
//! to 127.0.0.1 (DNS rebinding), its `Host` is that name.

use std::net::SocketAddr;

use hyper::Request;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, HeaderName, ORIGIN};
use hyper::http::uri::Authority;

use super::problem::Problem;
use super::token::Token;
use crate::control::exit::Exit;
use crate::control::protocol::Failure;
use crate::error::Code;

/// Everything below needs the token.
const TOKEN_NEEDED: &str = "/v1/";

/// Where browsers say how far a request has come.
const FETCHED_FROM: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who is let in.
#[derive(Debug)]
pub(super) struct Guard {
    address: SocketAddr,
    token: Token,
}

impl Guard {
    pub(super) fn new(address: SocketAddr, token: Token) -> Self {
        Self { address, token }
    }

    /// Whether a request may go on to its handler.
    pub(super) fn check<B>(&self, request: &Request<B>) -> Result<(), Problem> {
        let headers = request.headers();
        let mut hosts = headers.get_all(HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
        if !self.is_named_by(host) || hosts.next().is_some() {
            return Err(foreign(format!(
                "the header `Host` is `{host}`, and this host listens at {}",
                self.address
            )));
        }
        if let Some(authority) = request.uri().authority()
            && !self.is_named_by(authority.as_str())
        {
            return Err(foreign(format!(
                "`{authority}` was asked, and this host listens at {}",
                self.address
            )));
        }
        self.check_origin(headers)?;
        if request.uri().path().starts_with(TOKEN_NEEDED) && !self.has_token(headers) {
            let message = "failed to let you in: send the header `Authorization: Bearer TOKEN` with what stands in the file `token` of the \
                           home folder";
            return Err(Failure::new(Exit::Refused, Code::HttpNoToken, message).into());
        }
        Ok(())
    }

    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        for origin in headers.get_all(ORIGIN) {
            let origin = origin.to_str().unwrap_or_default();
            // Our own pages would be of this origin; there are none yet.
            if !origin.strip_prefix("http://").is_some_and(|authority| self.is_named_by(authority)) {
                return Err(foreign(format!("the request comes from a page of `{origin}`")));
            }
        }
        let from = headers.get(FETCHED_FROM).and_then(|from| from.to_str().ok());
        match from {
            None | Some("none" | "same-origin") => Ok(()),
            Some(from) => Err(foreign(format!("the request comes from a page: it is `{from}`"))),
        }
    }

    /// Whether `host`, with or without the port, names this host and nobody else.
    fn is_named_by(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let is_plain = !host.contains('@');
        let name = authority.host().trim_matches(['[', ']']);
        let is_ours = name.eq_ignore_ascii_case("localhost") || name.parse() == Ok(self.address.ip());
        let port = authority.port();
        is_plain && is_ours && port.is_none_or(|port| port.as_str() == self.address.port().to_string())
    }

    fn has_token(&self, headers: &HeaderMap) -> bool {
        let mut all = headers.get_all(AUTHORIZATION).iter();
        let given = all.next().and_then(|value| {
            let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
            scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
        });
        // One alone: of two, who stands before us may have looked at the other.
        given.is_some_and(|token| self.token.is(token)) && all.next().is_none()
    }
}

fn foreign(why: String) -> Problem {
    Failure::new(Exit::Refused, Code::HttpForeign, format!("failed to let you in: {why}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> (Guard, String) {
        let home = tempfile::tempdir().unwrap();
        let token = Token::open(home.path()).unwrap();
        let text = std::fs::read_to_string(home.path().join("token")).unwrap();
        (Guard::new("127.0.0.1:7070".parse().unwrap(), token), text)
    }

    fn status(guard: &Guard, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        guard.check(&request.body(()).unwrap()).map_or_else(|problem| problem.status(), |()| 200)
    }

    #[test]
    fn only_who_names_this_host_is_let_in() {
        let (guard, _) = guard();
        let with = |host: &str| status(&guard, "/healthz", &[("host", host)]);
        for host in ["127.0.0.1:7070", "localhost:7070", "LOCALHOST", "127.0.0.1"] {
            assert_eq!(with(host), 200, "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:7070",
            "127.0.0.1:7071",
            "localhost.evil.example",
            "127.0.0.1.nip.io:7070",
            "[::1]:7070",
            "a@127.0.0.1:7070",
            "127.0.0.1:7070, evil.example",
        ] {
            assert_eq!(with(host), 403, "{host}");
        }
        assert_eq!(status(&guard, "/healthz", &[]), 403, "none");
        assert_eq!(status(&guard, "/healthz", &[("host", "localhost"), ("host", "evil.example")]), 403);
        assert_eq!(status(&guard, "http://evil.example/healthz", &[("host", "localhost")]), 403);
    }

    #[test]
    fn no_web_page_is_let_in() {
        let (guard, _) = guard();
        let with = |name, value| status(&guard, "/metrics", &[("host", "localhost:7070"), (name, value)]);
        assert_eq!(with("origin", "http://127.0.0.1:7070"), 200);
        for origin in ["null", "", "http://evil.example", "https://127.0.0.1:7070", "http://localhost:3000"] {
            assert_eq!(with("origin", origin), 403, "{origin}");
        }
        assert_eq!((with("sec-fetch-site", "none"), with("sec-fetch-site", "same-site")), (200, 403));
        assert_eq!(with("sec-fetch-site", "cross-site"), 403);
    }

    #[test]
    fn what_is_under_v1_needs_the_token() {
        let (guard, token) = guard();
        let with = |path: &str, headers: &[(&str, &str)]| {
            status(&guard, path, &[&[("host", "localhost:7070")], headers].concat())
        };
        let bearer = format!("Bearer {token}");
        assert_eq!(with("/v1/plugins", &[("authorization", &bearer)]), 200);
        assert_eq!(with("/v1/plugins", &[("authorization", &bearer.to_lowercase())]), 200);
        assert_eq!(with("/metrics", &[]), 200);
        for wrong in ["", "Bearer ", "Bearer 0", &token, &bearer[..bearer.len() - 1], &format!("{bearer}0")] {
            assert_eq!(with("/v1/plugins", &[("authorization", wrong)]), 401, "{wrong}");
        }
        assert_eq!(with("/v1/none", &[]), 401, "nobody is told what there is");
        assert_eq!(with("/v1/plugins", &[("authorization", &bearer), ("authorization", "Bearer x")]), 401);
    }
}
