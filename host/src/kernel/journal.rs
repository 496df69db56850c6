//! What happened: the last events in memory, and whoever listens.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError, mpsc};

use super::clock;
use super::view::{Event, Side};
use crate::error::{Why, shown};

/// Events that are kept for those who ask later: those of some sixty swaps. At some 400 bytes each, a fifth of a megabyte.
const KEPT: usize = 500;

/// Events of this run of the host.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Inside>);

#[derive(Debug, Default)]
struct Inside {
    count: u64,
    events: VecDeque<Event>,
    listeners: Vec<mpsc::SyncSender<Event>>,
}

impl Journal {
    /// Notes an event, and writes it into the log.
    pub(crate) fn note(&self, kind: &str, service: Option<&str>, side: Option<&Side>, text: impl Into<Why>) {
        let Why { code, text } = text.into();
        let generation = side.map(|side| side.generation);
        let version = side.map(|side| side.version.clone());
        let plugin = service.map(tracing::field::display);
        let (code, blame) = shown(code);
        match kind {
            "rejected" | "config_refused" | "faulted" | "quarantined" | "rolled_back" | "pinned" => {
                tracing::warn!(plugin, generation, version, code, "{kind}: {text}");
            }
            "discovered" | "verified" | "probed" | "drained" | "snapshot" => {
                tracing::debug!(plugin, generation, version, "{kind}: {text}");
            }
            _ => tracing::info!(plugin, generation, version, "{kind}: {text}"),
        }
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inside.count += 1;
        let event = Event {
            sequence: inside.count,
            unix_ms: clock::unix_ms(),
            kind: kind.to_owned(),
            service: service.map(ToOwned::to_owned),
            version,
            generation,
            text,
            code,
            blame,
        };
        // One that does not keep up is let go: its stream ends, which it can see; a gap it could not.
        inside.listeners.retain(|listener| listener.try_send(event.clone()).is_ok());
        if inside.events.len() == KEPT {
            inside.events.pop_front();
        }
        inside.events.push_back(event);
    }

    /// The last `past` events, then those to come. Ends when the journal is closed, or when more than 1,000 wait.
    pub(crate) fn listen(&self, past: usize) -> mpsc::Receiver<Event> {
        let (send, receive) = mpsc::sync_channel(2 * KEPT);
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for event in inside.events.iter().skip(inside.events.len().saturating_sub(past)) {
            // There is room: the channel is new, and holds twice as many.
            let _ = send.try_send(event.clone());
        }
        inside.listeners.push(send);
        receive
    }

    /// The last `count` events of a service.
    pub(crate) fn of(&self, service: &str, count: usize) -> Vec<Event> {
        let inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let of_it = |event: &&Event| event.service.as_deref() == Some(service);
        let mut last: Vec<Event> = inside.events.iter().rev().filter(of_it).take(count).cloned().collect();
        last.reverse();
        last
    }

    /// Ends every listener's stream.
    pub(crate) fn close(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).listeners.clear();
    }
}
