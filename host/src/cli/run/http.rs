//! `hotbay run --http ADDR`

use std::net::SocketAddr;

use crate::Host;
use crate::cli::failed::Otherwise as _;
use crate::cli::output::narrate;
use crate::control::exit::Exit;
use crate::control::http::{Http, Listener};
use crate::control::protocol::Failure;
use crate::error::Code;

/// Listens before the host is started: an address that is taken is told at once.
pub(super) fn listen(address: SocketAddr) -> anyhow::Result<Listener> {
    if !address.ip().is_loopback() {
        let message = format!(
            "failed to serve HTTP at `{address}`: other machines reach that address; name one of loopback, such as 127.0.0.1:7070"
        );
        return Err(Failure::new(Exit::Usage, Code::HttpNotLocal, message).into());
    }
    Listener::bind(address).otherwise(Code::NoControlPlane, || format!("failed to listen at `{address}`"))
}

pub(super) fn serve(listener: Listener, host: &Host) -> anyhow::Result<Http> {
    let token = host.config().home.join("token");
    let http = listener
        .serve(host.clone())
        .otherwise(Code::NoControlPlane, || format!("failed to make the token `{}`", token.display()))?;
    narrate(&format!(
        "http: listening at http://{}, with the token in `{}`",
        http.address(),
        token.display()
    ));
    Ok(http)
}
