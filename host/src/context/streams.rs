//! The ends of streams that one generation has in hand: those that it handles and those that it opened, by the numbers that it knows them by.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::bus::Handler;
use crate::call::Stream;

/// A plugin that opens streams without end must not eat the host's memory.
const MOST: usize = 256;

/// Of one generation.
#[derive(Debug, Default)]
pub(crate) struct Streams {
    inside: Mutex<Inside>,
}

#[derive(Debug, Default)]
struct Inside {
    // Whether it may open some.
    opens: bool,
    // Whether it handles more.
    handles: bool,
    count: u64,
    handled: BTreeMap<u64, (Arc<str>, Arc<Handler>)>,
    opened: BTreeMap<u64, Arc<Stream>>,
}

/// One end, by its number.
#[derive(Debug)]
pub(crate) enum InHand {
    Handled(Arc<str>, Arc<Handler>),
    Opened(Arc<Stream>),
}

/// A stream that is being handled. It is in hand until this is dropped.
#[derive(Debug)]
pub(crate) struct Taken {
    streams: Arc<Streams>,
    pub(crate) number: u64,
    pub(crate) handler: Arc<Handler>,
}

/// Why a stream is not handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotTaken {
    /// As many are as may be.
    Full,
    /// No more are: the generation is being replaced or stopped.
    Closed,
    /// Nobody has opened it any more.
    Gone,
}

impl Streams {
    /// It may open streams from here on.
    pub(crate) fn open(&self) {
        self.inside().opens = true;
    }

    /// It opens no more, and those that it has opened end.
    pub(crate) fn close(&self) {
        let opened = {
            let mut inside = self.inside();
            inside.opens = false;
            std::mem::take(&mut inside.opened)
        };
        opened.values().for_each(|stream| stream.cancel());
    }

    /// It handles streams from here on.
    pub(crate) fn let_in(&self) {
        self.inside().handles = true;
    }

    /// It handles no more, and lets go of those that it handles.
    pub(crate) fn move_on(&self) {
        let handled: Vec<Arc<Handler>> = {
            let mut inside = self.inside();
            inside.handles = false;
            inside.handled.values().map(|(_, handler)| Arc::clone(handler)).collect()
        };
        handled.iter().for_each(|handler| handler.mover().move_on());
    }

    /// Takes a stream to handle, `most` at once.
    pub(crate) fn take(
        self: &Arc<Self>,
        method: &str,
        most: usize,
        attach: impl FnOnce() -> Option<Handler>,
    ) -> Result<Taken, NotTaken> {
        let mut inside = self.inside();
        if !inside.handles {
            return Err(NotTaken::Closed);
        }
        if inside.handled.len() >= most {
            return Err(NotTaken::Full);
        }
        let handler = Arc::new(attach().ok_or(NotTaken::Gone)?);
        inside.count += 1;
        let number = inside.count;
        inside.handled.insert(number, (method.into(), Arc::clone(&handler)));
        Ok(Taken { streams: Arc::clone(self), number, handler })
    }

    /// Keeps a stream that it opened; why not, where it may not.
    pub(crate) fn keep(&self, stream: Stream) -> Result<u64, &'static str> {
        let mut inside = self.inside();
        if !inside.opens {
            return Err("the plugin is not started, or is being stopped");
        }
        if inside.opened.len() >= MOST {
            return Err(
                "the plugin has 256 streams open, which is the most; let go of those that it does not need",
            );
        }
        inside.count += 1;
        let number = inside.count;
        inside.opened.insert(number, Arc::new(stream));
        Ok(number)
    }

    /// Forgets a stream that it opened; it ends by that.
    pub(crate) fn forget(&self, number: u64) {
        let stream = self.inside().opened.remove(&number);
        if let Some(stream) = stream {
            stream.cancel();
        }
    }

    pub(crate) fn find(&self, number: u64) -> Option<InHand> {
        let inside = self.inside();
        let handled =
            |(method, handler): &(Arc<str>, _)| InHand::Handled(Arc::clone(method), Arc::clone(handler));
        let opened = || inside.opened.get(&number).map(|stream| InHand::Opened(Arc::clone(stream)));
        inside.handled.get(&number).map(handled).or_else(opened)
    }

    /// How many it handles, and has opened.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let inside = self.inside();
        (inside.handled.len() as u64, inside.opened.len() as u64)
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        // Outside of the lock: the handler may be the last that holds its stream.
        let handled = self.streams.inside().handled.remove(&self.number);
        drop(handled);
    }
}
