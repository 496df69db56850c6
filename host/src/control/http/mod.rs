//! The control plane by HTTP, for programs that are not `hotbay`: `hotbay run --http ADDR`.
//!
//! On loopback alone. Each request goes the same way: its connection is one of a bounded number ([`connections`]), its head
//! came in time, it names this host and comes from no web page ([`guard`]), what is under `/v1` brings the token
//! ([`token`]), and then a handler makes a [`Request`](super::protocol::Request) of it, as a command would be. Each answer that is
//! not what was asked for is a [`problem`], with the code that the command line shows as well.
//!
//! A runtime of its own: its threads wait for clients, and such as block wait for the host; those for calls, for commands and for
//! looks are counted apart, so that callers of a plugin that hangs keep nobody from seeing that it hangs.

mod asked;
mod connections;
mod follow;
mod guard;
mod handlers;
mod openapi;
mod patient;
mod problem;
mod room;
mod routes;
mod server;
mod token;

pub(crate) use server::{Http, Listener};
