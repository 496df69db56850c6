//! What a probe says while it is at it, and when it said that it goes on.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// More than this of what it prints is not kept.
const MOST: usize = 1 << 20;

/// What a probe prints, as far as it is read.
#[derive(Debug, Clone)]
pub(super) struct Output {
    heard: Arc<Mutex<Heard>>,
    /// What begins a line by which it says that it comes to the next stage.
    sign: Arc<[u8]>,
}

#[derive(Debug)]
struct Heard {
    // `None` as long as nobody has begun to read.
    text: Option<Vec<u8>>,
    since: Instant,
}

impl Output {
    pub(super) fn new(nonce: &str) -> Self {
        let heard = Arc::new(Mutex::new(Heard { text: None, since: Instant::now() }));
        Self { heard, sign: format!("\n{nonce} stage ").into_bytes().into() }
    }

    pub(super) fn read(&self, mut from: impl std::io::Read) {
        let mut some = [0; 1024];
        self.lock().text.get_or_insert_default();
        while let Ok(count @ 1..) = from.read(&mut some) {
            let mut heard = self.lock();
            let text = heard.text.get_or_insert_default();
            // A plugin that prints without end must not fill the host's memory.
            let (before, room) = (text.len(), MOST.saturating_sub(text.len()));
            text.extend_from_slice(&some[..count.min(room)]);
            // A sign may have come in two pieces.
            let fresh = &text[before.saturating_sub(self.sign.len())..];
            if fresh.windows(self.sign.len()).any(|window| *window == *self.sign) {
                heard.since = Instant::now();
            }
        }
    }

    /// All of it; `None` as long as nobody has begun to read.
    pub(super) fn text(&self) -> Option<Vec<u8>> {
        self.lock().text.clone()
    }

    /// Since when it is at its stage.
    pub(super) fn since(&self) -> Instant {
        self.lock().since
    }

    fn lock(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
