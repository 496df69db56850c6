//! Room: how many may be at the same thing at once.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::problem::Problem;
use crate::control::conversation::busy;
use crate::control::exit::Exit;
use crate::control::shares::{Place, Shares};
use crate::error::Code;

/// Calls and messages that are with plugins at once, each with a thread that waits for it. Beyond them, requests wait without one.
const CALLS: usize = 96;

/// Of them, so many with one service: who calls a slow one keeps nobody from the others.
const CALLS_OF_ONE: usize = 32;

/// Commands that change something: each waits for the kernel, for half a minute by default.
const COMMANDS: usize = 8;

/// Looks, which nobody waits long for.
const LOOKS: usize = 8;

/// As many may follow events and messages, each with a thread: as by the control socket.
const FOLLOWERS: usize = 32;

/// Bytes of bodies that are in memory at once, from before they are read until they are answered.
const BODIES: usize = 256 << 20;

/// Threads that block, if there were as many as may be: none of these ever waits for another one's thread.
pub(super) const THREADS: usize = CALLS + COMMANDS + LOOKS + FOLLOWERS;

/// Of one control plane.
#[derive(Debug)]
pub(super) struct Room {
    calls: Shares,
    commands: Arc<Semaphore>,
    looks: Arc<Semaphore>,
    followers: Arc<Semaphore>,
    bodies: Arc<Semaphore>,
}

/// What somebody is at.
#[derive(Debug, Clone, Copy)]
pub(super) enum At {
    Command,
    Look,
}

impl Default for Room {
    fn default() -> Self {
        let room = |size| Arc::new(Semaphore::new(size));
        Self {
            calls: Shares::new(CALLS, CALLS_OF_ONE),
            commands: room(COMMANDS),
            looks: room(LOOKS),
            followers: room(FOLLOWERS),
            bodies: room(BODIES),
        }
    }
}

impl Room {
    /// A place, when there is one, within `deadline`.
    pub(super) async fn place(&self, at: At, deadline: Duration) -> Result<OwnedSemaphorePermit, Problem> {
        let room = match at {
            At::Command => &self.commands,
            At::Look => &self.looks,
        };
        take(room, 1, deadline).await
    }

    /// The same for who waits for plugins, and for which, where that is one.
    pub(super) async fn call(&self, service: Option<&str>, deadline: Duration) -> Result<Place, Problem> {
        self.calls.place(service, deadline).await.ok_or_else(|| busy().into())
    }

    /// Memory for a body of so many bytes, when there is as much, within `deadline`.
    pub(super) async fn body(
        &self,
        bytes: usize,
        deadline: Duration,
    ) -> Result<OwnedSemaphorePermit, Problem> {
        take(&self.bodies, u32::try_from(bytes).unwrap_or(u32::MAX), deadline).await
    }

    /// A place for who stays, at once.
    pub(super) fn follower(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.followers).try_acquire_owned().map_err(|_| {
            let message = format!("failed to follow: {FOLLOWERS} clients do so already");
            Problem::new(Exit::Refused, Code::TooManyFollowers, message)
        })
    }
}

async fn take(room: &Arc<Semaphore>, many: u32, deadline: Duration) -> Result<OwnedSemaphorePermit, Problem> {
    match timeout(deadline, Arc::clone(room).acquire_many_owned(many)).await {
        Ok(Ok(place)) => Ok(place),
        // They are never closed.
        Ok(Err(_)) | Err(_) => Err(busy().into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn bodies_are_let_in_only_as_far_as_there_is_memory_for_them() {
        let room = Room::default();
        let body = |bytes, millis| room.body(bytes, Duration::from_millis(millis));
        let (first, _second) =
            (body(BODIES / 2, 60_000).await.unwrap(), body(BODIES / 2, 60_000).await.unwrap());
        let refused = body(1, 10).await.unwrap_err();
        assert_eq!(refused.status(), 503);
        assert!(body(0, 10).await.is_ok(), "who brings none needs none");
        drop(first);
        assert!(body(BODIES / 2, 60_000).await.is_ok());
    }
}
