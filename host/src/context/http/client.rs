//! One request over the wire, by `ureq`: no redirects, no retries, no proxy of the environment, and names looked up here.

use std::error::Error as _;
use std::io::{self, Read as _};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::Duration;

use ureq::Agent;
use ureq::http::{HeaderMap, Uri};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};

use super::resolve::is_public;
use super::{Answered, Came, Sent};
use crate::{config, os};

/// Connections that are kept open while nobody uses them.
const IDLE: usize = 4;
const IDLE_FOR: Duration = Duration::from_secs(15);
/// Addresses of one name that are tried.
const ADDRESSES: usize = 8;

/// The connections of one generation, as long as the same hosts are allowed.
pub(super) struct Client {
    names: Names,
    // Made at the first request: most plugins make none.
    agent: OnceLock<Agent>,
}

impl Client {
    pub(super) fn new(allowed: &config::Http) -> Arc<Self> {
        Arc::new(Self { names: Names { allowed: allowed.clone() }, agent: OnceLock::new() })
    }

    /// The list that its connections are for.
    pub(super) fn allowed(&self) -> &config::Http {
        &self.names.allowed
    }

    pub(super) fn send(&self, sent: &Sent<'_>) -> Came {
        let mut request = ureq::http::Request::builder().method(sent.method).uri(sent.url.to_string());
        for (name, value) in sent.headers {
            request = request.header(*name, *value);
        }
        let agent = self.agent.get_or_init(|| agent(self.names.clone()));
        let answered = if sent.body.is_empty() {
            let request = request.body(()).map_err(ureq::Error::Http);
            request.and_then(|request| agent.run(within(agent, request, sent.left)))
        } else {
            let request = request.body(sent.body).map_err(ureq::Error::Http);
            request.and_then(|request| agent.run(within(agent, request, sent.left)))
        };
        match answered.map_err(came) {
            Ok(answer) => read(sent, answer),
            Err(came) => came,
        }
    }
}

fn agent(names: Names) -> Agent {
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        // One of the environment would look names up itself, and ask whom it wants.
        .proxy(None)
        .user_agent(concat!("hotbay/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections(IDLE)
        .max_idle_connections_per_host(IDLE)
        .max_idle_age(IDLE_FOR)
        .tls_config(TlsConfig::builder().root_certs(roots()).build())
        .build();
    Agent::with_parts(config, DefaultConnector::default(), names)
}

/// By whom a host's certificate is to be: the authorities that browsers know.
fn roots() -> RootCerts {
    #[cfg(test)]
    if let Some(root) = super::tests::ROOT.get() {
        return RootCerts::from([ureq::tls::Certificate::from_der(root)]);
    }
    RootCerts::WebPki
}

fn within<B: ureq::AsSendBody>(
    agent: &Agent,
    request: ureq::http::Request<B>,
    left: Duration,
) -> ureq::http::Request<B> {
    agent.configure_request(request).timeout_global(Some(left)).build()
}

fn read(sent: &Sent<'_>, answer: ureq::http::Response<ureq::Body>) -> Came {
    let (head, mut body) = answer.into_parts();
    let (status, headers) = (head.status.as_u16(), shown(&head.headers));
    let mut bytes = Vec::new();
    // One more than there is room for: then it is too long.
    match body.as_reader().take(sent.max_bytes.saturating_add(1)).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 > sent.max_bytes => Came::TooLong,
        Ok(_) => Came::Answer(Answered { status, url: sent.url.to_string(), headers, body: bytes }),
        // What ureq reads comes as an error of reading, with its own inside.
        Err(error) => came(ureq::Error::from(error)),
    }
}

fn shown(headers: &HeaderMap) -> Vec<(String, String)> {
    let value = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers.iter().map(|(name, v)| (name.as_str().to_owned(), value(v.as_bytes()))).collect()
}

fn came(error: ureq::Error) -> Came {
    match error {
        ureq::Error::Timeout(_) => Came::Late,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::TimedOut => Came::Late,
        ureq::Error::Io(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            Came::Refused(error.to_string())
        }
        // Nothing of these will be otherwise the next time.
        error @ (ureq::Error::Http(_) | ureq::Error::BadUri(_) | ureq::Error::Tls(_)) => {
            Came::Refused(error.to_string())
        }
        error => {
            let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
            Came::Failed(format!("{error}{source}"))
        }
    }
}

/// Looks names up, and gives only addresses that the settings allow.
#[derive(Debug, Clone)]
struct Names {
    allowed: config::Http,
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host).to_owned();
        let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
        let found = look_up(&host, port, *timeout.after)?;
        let is_private = self.allowed.is_private(&host);
        let there = found.len();
        let allowed: Vec<SocketAddr> = found
            .into_iter()
            .filter(|address| is_private || is_public(address.ip()))
            .take(ADDRESSES)
            .collect();
        if allowed.is_empty() {
            if there == 0 {
                return Err(ureq::Error::HostNotFound);
            }
            let why = format!(
                "`{host}` leads to addresses of this machine or of a private network; if it is to, write `private = true` beside `hosts`"
            );
            return Err(ureq::Error::Io(io::Error::new(io::ErrorKind::PermissionDenied, why)));
        }
        let mut addresses = self.empty();
        allowed.into_iter().for_each(|address| addresses.push(address));
        Ok(addresses)
    }
}

/// Asks the system, on a thread that is left behind when it takes too long: nothing else ends a look-up. One of the host's own, so
/// that nobody takes it for the plugin's.
fn look_up(host: &str, port: u16, within: Duration) -> Result<Vec<SocketAddr>, ureq::Error> {
    if let Ok(address) = host.parse() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let (tell, told) = mpsc::sync_channel(1);
    let host = host.to_owned();
    os::spawn("hotbay-names", move || {
        let found = (host.as_str(), port).to_socket_addrs();
        drop(tell.send(found.map(Iterator::collect::<Vec<_>>)));
    })?;
    match told.recv_timeout(within) {
        Ok(found) => Ok(found?),
        Err(_) => Err(ureq::Error::Io(io::ErrorKind::TimedOut.into())),
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("allowed", &self.names.allowed).finish_non_exhaustive()
    }
}
