//! `HEAD` as a host keeps it: in memory at once, on the disk lazily.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hotbay_state::{Head, KeyRing, Newest, Store, StoreError};

use crate::error::chain;

/// How far it may lag while a service goes on changing.
const PERIOD: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct KeptHead {
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    head: Head,
    // Something was noted that is not on the disk.
    is_news: bool,
    written: Instant,
    // The one on the disk cannot be read: it is kept aside before another is written.
    aside_first: bool,
}

impl KeptHead {
    /// Reads it. One that cannot be read is told of, and knows nothing: it must not keep a service from its state.
    pub(super) fn read(store: &Store, keys: &KeyRing) -> Self {
        let (head, aside_first) = match store.head(keys) {
            Ok(head) => (head, false),
            Err(error) => {
                let error = chain(&error);
                tracing::warn!(error, "an old snapshot that somebody put back would not be noticed");
                (Head::default(), true)
            }
        };
        Self { kept: Mutex::new(Kept { head, is_news: false, written: Instant::now(), aside_first }) }
    }

    pub(super) fn get(&self) -> Head {
        self.lock().head.clone()
    }

    /// The highest sequence of a service that it knows; 0 where it knows none.
    pub(super) fn highest(&self, service: &str) -> u64 {
        self.lock().head.of(service).map_or(0, |newest| newest.sequence)
    }

    /// Notes a snapshot that is durable.
    pub(super) fn note(&self, service: &str, sequence: u64) {
        let mut kept = self.lock();
        kept.is_news |= kept.head.note(service, sequence);
    }

    /// Notes that a service's file is set aside on purpose, for good before it is.
    pub(super) fn note_aside(&self, store: &Store, keys: &KeyRing, service: &str, highest: u64) {
        let mut kept = self.lock();
        let before = kept.head.of(service);
        kept.head.note_aside(service, highest);
        if kept.head.of(service) != before {
            kept.is_news = true;
            kept.write(store, keys);
        }
    }

    /// What was noted of a service is what it was `before`: nothing came of it.
    pub(super) fn take_back(&self, store: &Store, keys: &KeyRing, service: &str, before: Option<Newest>) {
        let mut kept = self.lock();
        kept.head.set(service, before);
        kept.is_news = true;
        kept.write(store, keys);
    }

    /// Notes that an earlier state was put back, and is durable.
    pub(super) fn note_put_back(&self, service: &str, sequence: u64) {
        let mut kept = self.lock();
        kept.head.note_put_back(service, sequence);
        kept.is_news = true;
    }

    /// Writes what is news; where it is not `due`, only when it was written a while ago.
    pub(super) fn write(&self, store: &Store, keys: &KeyRing, due: bool) {
        let mut kept = self.lock();
        if kept.is_news && (due || kept.written.elapsed() >= PERIOD) {
            kept.write(store, keys);
        }
    }

    /// Writes it under the primary, also where nothing is news.
    pub(super) fn rewrite(&self, store: &Store, keys: &KeyRing) -> Result<(), StoreError> {
        let mut kept = self.lock();
        if kept.aside_first || kept.head == Head::default() {
            return Ok(());
        }
        kept.try_write(store, keys)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn write(&mut self, store: &Store, keys: &KeyRing) {
        if let Err(error) = self.try_write(store, keys) {
            tracing::warn!(error = chain(&error), "HEAD lags behind");
        }
    }

    fn try_write(&mut self, store: &Store, keys: &KeyRing) -> Result<(), StoreError> {
        // Also where it fails: not with each snapshot again.
        self.written = Instant::now();
        if self.aside_first {
            store.set_head_aside()?;
            self.aside_first = false;
        }
        store.write_head(keys, &self.head)?;
        self.is_news = false;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use hotbay_state::Key;

    use super::*;

    #[test]
    fn what_is_news_is_written_once_a_period_also_when_it_is_not_due() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let keys = KeyRing::from(Key::new(&[7; 32]).unwrap());
        let head = KeptHead::read(&store, &keys);
        head.note("echo", 1);
        head.write(&store, &keys, false);
        assert_eq!(store.head(&keys).unwrap(), Head::default(), "it was read a moment ago");
        // A machine that runs for less than a period has no moment that is so long ago.
        let Some(long_ago) = Instant::now().checked_sub(PERIOD) else { return };
        head.lock().written = long_ago;
        head.write(&store, &keys, false);
        assert_eq!(store.head(&keys).unwrap().of("echo").map(|newest| newest.sequence), Some(1));
    }
}
