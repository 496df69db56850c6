//! A URL that is to be asked: its parts, and where one leads that is relative to it.

use std::fmt;

/// An absolute URL of HTTP, without what is behind `#`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Url {
    secure: bool,
    // In small letters; an address of version 6 without its brackets.
    host: String,
    port: u16,
    // From `/` on.
    path: String,
}

impl Url {
    /// Reads it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.bytes().any(|byte| byte <= b' ' || byte == 0x7f || byte == b'\\' || !byte.is_ascii()) {
            return Err(
                "a URL has no spaces, control characters or `\\`, and others than ASCII are written by `%`"
                    .into(),
            );
        }
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err("it is no whole URL, as in `https://api.example.com/v1`".into());
        };
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            other => return Err(format!("its scheme is `{other}`, and `http` and `https` are known")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("a name or password in it is not taken; write it into a header".into());
        }
        let (host, port) = match authority.rsplit_once(':') {
            // The `:` is of the address, not before a port.
            Some((host, _)) if host.starts_with('[') && !host.ends_with(']') => (authority, ""),
            Some((host, port)) => (host, port),
            None => (authority, ""),
        };
        let port = match port {
            "" => own_port(secure),
            port => port.parse().map_err(|_| format!("its port is `{port}`"))?,
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        // A name may end in the dot of the root, which is the same host.
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if host.is_empty() || host.contains(['[', ']', '%']) {
            return Err("it names no host".into());
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { secure, host, port, path })
    }

    /// Where a redirect from here leads.
    pub(super) fn join(&self, location: &str) -> Result<Self, String> {
        let wrong = |why| format!("it redirects to `{}`: {why}", super::shown(location));
        let scheme = if self.secure { "https" } else { "http" };
        if location.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':')) {
            return Self::parse(location).map_err(wrong);
        }
        if location.starts_with("//") {
            return Self::parse(&format!("{scheme}:{location}")).map_err(wrong);
        }
        let own = self.path.split('?').next().unwrap_or("/");
        let path = match location.bytes().next() {
            Some(b'/') => location.to_owned(),
            Some(b'?') => format!("{own}{location}"),
            None | Some(b'#') => self.path.clone(),
            // Who asks for a place above sees to it: servers take `..` as well.
            Some(_) => format!("{}{location}", &own[..=own.rfind('/').unwrap_or(0)]),
        };
        Self::parse(&format!("{scheme}://{}{path}", self.authority())).map_err(wrong)
    }

    pub(super) fn is_secure(&self) -> bool {
        self.secure
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn is_at_schemes_port(&self) -> bool {
        self.port == own_port(self.secure)
    }

    pub(super) fn is_same_origin(&self, other: &Self) -> bool {
        (self.secure, &self.host, self.port) == (other.secure, &other.host, other.port)
    }

    /// As the settings list it.
    pub(super) fn host_and_port(&self) -> String {
        if self.is_at_schemes_port() { self.host.clone() } else { self.authority() }
    }

    fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.is_at_schemes_port() { host } else { format!("{host}:{}", self.port) }
    }
}

fn own_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}{}", self.authority(), self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_into_its_host_and_port() {
        for (text, host, port, whole) in [
            ("https://API.example.com", "api.example.com", 443, "https://api.example.com/"),
            ("http://a.b:8080?x=1", "a.b", 8080, "http://a.b:8080/?x=1"),
            ("http://[::1]:81/a#b", "::1", 81, "http://[::1]:81/a"),
            ("http://[::1]/a", "::1", 80, "http://[::1]/a"),
            ("https://a.b.:443/c", "a.b", 443, "https://a.b/c"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.to_string().as_str()), (host, port, whole));
        }
    }

    #[test]
    fn what_could_name_another_host_than_it_seems_is_refused() {
        for wrong in [
            "a.b",
            "ftp://a.b",
            "http://",
            "http://good.com@evil.com/",
            "http://good.com\\@evil.com",
            "http://a b/",
            "http://a.b:x/",
            "http://a.b:70000/",
            "http://a\n.b",
            "http://ä.b/",
            "http://[::1",
            "http://a%2eb/",
        ] {
            assert!(Url::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_redirect_leads_on_from_where_it_came() {
        let url = Url::parse("https://a.b:8443/c/d?e=1").unwrap();
        for (location, whole) in [
            ("http://x.y/z", "http://x.y/z"),
            ("//x.y/z", "https://x.y/z"),
            ("/z", "https://a.b:8443/z"),
            ("z", "https://a.b:8443/c/z"),
            ("?f=2", "https://a.b:8443/c/d?f=2"),
            ("", "https://a.b:8443/c/d?e=1"),
        ] {
            assert_eq!(url.join(location).unwrap().to_string(), whole, "{location}");
        }
        assert!(url.join("javascript:alert(1)").is_err());
    }
}
