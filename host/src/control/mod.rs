//! The control plane: how the commands of one process reach the host of another.
//!
//! A host listens at an endpoint that only its own user can reach: the socket `control.sock` in its home folder, on
//! Windows a named pipe. A client connects, sends one [`Request`](protocol::Request) and reads one
//! [`Response`](protocol::Response), or for `events` and `subscribe` many. Each message is a [frame]: JSON, and beside it bytes
//! that are passed on as they are.
//!
//! Other programs ask the same by HTTP, where `hotbay run` was told to listen (`http`).
//!
//! Nothing here loads or swaps anything: each request becomes one call of a [`Host`](crate::Host).

mod answer;
mod body;
pub mod client;
mod conversation;
mod endpoint;
pub mod exit;
pub mod frame;
#[cfg(feature = "http")]
pub(crate) mod http;
pub(crate) mod line;
pub(crate) mod openmetrics;
pub mod protocol;
pub mod server;
mod shares;
#[cfg(test)]
mod tests;
