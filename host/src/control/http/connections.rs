//! The connections: as many as there is room for, of which one that asks for nothing makes room for the next.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::sync::Notify;

/// All that are open, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Connections {
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    count: u64,
    open: BTreeMap<u64, Arc<Connection>>,
}

/// One of them.
#[derive(Debug, Default)]
pub(super) struct Connection {
    // Requests that are being answered, or whose answers are on their way.
    busy: AtomicUsize,
    /// Told when somebody else gets its place.
    pub(super) leaves: Notify,
}

/// It is in the list as long as this lives.
#[derive(Debug)]
pub(super) struct Listed {
    connections: Arc<Connections>,
    number: u64,
    pub(super) connection: Arc<Connection>,
}

/// A request is being answered as long as this lives.
#[derive(Debug)]
pub(super) struct Busy(Arc<Connection>);

impl Connections {
    pub(super) fn add(self: &Arc<Self>) -> Listed {
        let mut all = self.all();
        all.count += 1;
        let (number, connection) = (all.count, Arc::<Connection>::default());
        all.open.insert(number, Arc::clone(&connection));
        Listed { connections: Arc::clone(self), number, connection }
    }

    /// Has the oldest one leave that asks for nothing. Whether there was one: who then waits for room gets it.
    pub(super) fn make_room(&self) -> bool {
        let mut all = self.all();
        let idle = all.open.iter().find(|(_, one)| one.busy.load(Ordering::Acquire) == 0);
        let Some(number) = idle.map(|(number, _)| *number) else { return false };
        if let Some(connection) = all.open.remove(&number) {
            // Kept for it where it does not listen yet.
            connection.leaves.notify_one();
        }
        true
    }

    fn all(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    pub(super) fn begin(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::AcqRel);
        Busy(Arc::clone(self))
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.connections.all().open.remove(&self.number);
    }
}

/// A body, as it is; until all of it is on its way the connection is at an answer.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) body: Body,
    pub(super) _busy: Busy,
}

impl hyper::body::Body for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_that_asks_for_nothing_makes_room() {
        let connections = Arc::<Connections>::default();
        let [asks, first, second] = [(); 3].map(|()| connections.add());
        let busy = asks.connection.begin();
        assert!(connections.make_room() && connections.make_room());
        assert!(!connections.make_room(), "all that are left ask for something");
        drop((busy, first, second));
        assert!(connections.make_room());
        drop(asks);
        assert!(!connections.make_room());
    }
}
