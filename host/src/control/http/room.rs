//! Room: how many may be at the same thing at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use crate::control::exit::Exit;
use crate::error::Code;

/// Calls and messages that are with plugins at once, each with a thread that waits for it. Beyond them, requests wait without one.
const CALLS: usize = 64;

/// Commands that change something: each waits for the kernel, for half a minute by default.
const COMMANDS: usize = 8;

/// Looks, which nobody waits long for.
const LOOKS: usize = 8;

/// As many may follow events and messages, each with a thread: as by the control socket.
const FOLLOWERS: usize = 32;

/// Threads that block, if there were as many as may be: none of these ever waits for another one's thread.
pub(super) const THREADS: usize = CALLS + COMMANDS + LOOKS + FOLLOWERS;

/// Of one control plane.
#[derive(Debug)]
pub(super) struct Room {
    calls: Arc<Semaphore>,
    commands: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    followers: Arc<Semaphore>,
}

/// What somebody is at.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Call,
    Command,
    Look,
}

impl Default for Room {
    fn default() -> Self {
        let room = |size| Arc::new(Semaphore::new(size));
        Self { calls: room(CALLS), commands: room(COMMANDS), looks: room(LOOKS), followers: room(FOLLOWERS) }
    }
}

impl Room {
    /// A place, when there is one, within `deadline`.
    pub(super) async fn place(&self, at: At, deadline: Duration) -> Result<OwnedSemaphorePermit, Problem> {
        let room = match at {
            At::Call => &self.calls,
            At::Command => &self.commands,
            At::Look => &self.looks,
        };
        match timeout(deadline, Arc::clone(room).acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            // They are never closed.
            Ok(Err(_)) | Err(_) => {
                let message =
                    "failed to begin: as many requests as may be are being answered; ask again later";
                Err(Problem::new(Exit::Refused, Code::HttpBusy, message))
            }
        }
    }

    /// A place for who stays, at once.
    pub(super) fn follower(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.followers).try_acquire_owned().map_err(|_| {
            let message = format!("failed to follow: {FOLLOWERS} clients do so already");
            Problem::new(Exit::Refused, Code::TooManyFollowers, message)
        })
    }
}
