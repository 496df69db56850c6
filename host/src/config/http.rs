//! `[service.NAME.http]`: whom a plugin may ask by HTTP.

use std::fmt;
use std::net::IpAddr;

/// Whom the plugin of a service may ask. Nobody, where nothing is written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Http {
    /// `hosts = ["api.example.com", "*.example.org", "127.0.0.1:8080"]`
    pub hosts: Vec<AllowedHost>,
    /// `private = true`: names may lead to addresses of private networks and of this machine as well. Addresses that are listed
    /// themselves, and `localhost`, may in any case.
    pub private: bool,
}

/// A host that may be asked: a name, `*.` and a name for all below it, or an address; with a port, or for the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    name: String,
    below: bool,
    port: Option<u16>,
}

#[cfg_attr(not(feature = "http-client"), allow(dead_code, reason = "nobody asks without a client"))]
impl Http {
    /// The entry that allows this host, in small letters and without brackets, at this port.
    pub(crate) fn find(&self, host: &str, port: u16, schemes_own: bool) -> Option<&AllowedHost> {
        self.hosts.iter().find(|allowed| allowed.allows(host, port, schemes_own))
    }

    /// Whether a host that is listed leads to private addresses: it is one, or says so.
    pub(crate) fn is_private(&self, host: &str) -> bool {
        self.private || host == "localhost" || host.parse::<IpAddr>().is_ok()
    }
}

impl AllowedHost {
    /// Reads an entry.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| Err(format!("no host can be `{text}`: {why}"));
        if text.contains("://") || text.contains('/') || text.contains('@') {
            return wrong("write the host alone, as in `api.example.com` or `127.0.0.1:8080`");
        }
        let (name, port) = split_port(text);
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return wrong("its port is a number from 1 to 65535"),
        };
        let (below, name) = name.strip_prefix("*.").map_or((false, name), |name| (true, name));
        let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let name = name.to_ascii_lowercase();
        let is_address = name.parse::<IpAddr>().is_ok();
        if below && (is_address || !name.contains('.')) {
            return wrong("`*.` stands before a name with a dot in it: `*.example.org`");
        }
        let is_word = |word: &str| {
            !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        if !is_address && !name.split('.').all(is_word) {
            return wrong("a name is of words with dots between, of letters, digits and `-`");
        }
        Ok(Self { name, below, port })
    }

    fn allows(&self, host: &str, port: u16, schemes_own: bool) -> bool {
        let here = match self.port {
            Some(own) => own == port,
            None => schemes_own,
        };
        let named = if self.below {
            host.strip_suffix(&self.name).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            host == self.name
        };
        here && named
    }
}

/// A host and its port: of `[::1]:80`, and of `::1`, which has none.
fn split_port(text: &str) -> (&str, Option<&str>) {
    if text.starts_with('[') {
        return match text.rsplit_once("]:") {
            Some((_, port)) => (&text[..text.len() - port.len() - 1], Some(port)),
            None => (text, None),
        };
    }
    match text.split_once(':') {
        Some((name, port)) if !port.contains(':') => (name, Some(port)),
        _ => (text, None),
    }
}

impl fmt::Display for AllowedHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let below = if self.below { "*." } else { "" };
        let name = if self.name.contains(':') { format!("[{}]", self.name) } else { self.name.clone() };
        match self.port {
            Some(port) => write!(f, "{below}{name}:{port}"),
            None => write!(f, "{below}{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(entry: &str, host: &str, port: u16, schemes_own: bool) -> bool {
        let http = Http { hosts: vec![AllowedHost::parse(entry).unwrap()], private: false };
        http.find(host, port, schemes_own).is_some()
    }

    #[test]
    fn a_host_is_allowed_by_its_name_and_port_and_no_other_is() {
        assert!(allows("api.example.com", "api.example.com", 443, true));
        assert!(allows("API.Example.com", "api.example.com", 443, true));
        assert!(!allows("api.example.com", "api.example.com", 8443, false), "another port");
        assert!(allows("api.example.com:8443", "api.example.com", 8443, false));
        assert!(!allows("api.example.com:8443", "api.example.com", 443, true));
        for other in ["example.com", "x.api.example.com", "api.example.com.evil.org", "notapi.example.com"] {
            assert!(!allows("api.example.com", other, 443, true), "{other}");
        }
        assert!(allows("*.example.org", "a.example.org", 443, true));
        assert!(allows("*.example.org", "a.b.example.org", 443, true));
        for other in ["example.org", ".example.org", "anexample.org", "a.example.org.evil.com"] {
            assert!(!allows("*.example.org", other, 443, true), "{other}");
        }
        assert!(allows("[::1]:8080", "::1", 8080, false) && allows("::1", "::1", 80, true));
        assert!(allows("127.0.0.1:8080", "127.0.0.1", 8080, false));
    }

    #[test]
    fn what_is_no_host_is_refused_in_words() {
        for wrong in [
            "",
            "https://a.b",
            "a.b/c",
            "u@a.b",
            "*",
            "*.com",
            "*.127.0.0.1",
            "a b",
            "a..b",
            "a:0",
            "a:b",
            "a.*",
        ] {
            let error = AllowedHost::parse(wrong).unwrap_err();
            assert!(error.starts_with(&format!("no host can be `{wrong}`: ")), "{error}");
        }
        for good in ["a.example:81", "*.example.org", "[::1]:80", "127.0.0.1", "localhost:3000"] {
            assert_eq!(AllowedHost::parse(good).unwrap().to_string(), good);
        }
    }
}
