//! The pause that an export begins with, in one job of the lane: to get there and back takes as long as a small state.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Status;

use crate::fault;
use crate::kernel::generation::Generation;

/// A pause on its way. Whether it came in time is settled once, by the lane or by who waits.
#[derive(Debug, Default)]
pub(crate) struct Pausing {
    stage: AtomicU8,
    micros: AtomicU64,
}

const PAUSING: u8 = 0;
const PAUSED: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Pausing {
    /// Pauses the plugin, on its lane. False where nobody waits for that any more: then it is resumed, and serves on.
    pub(super) fn pause(&self, generation: &Generation) -> Result<bool, (Status, String)> {
        let begun = Instant::now();
        fault::point("pause", &generation.name).map_err(|e| (Status::FAILED, e.to_string()))?;
        generation.plugin.pause()?;
        self.micros.store(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let in_time = self.goes(PAUSED);
        if !in_time {
            let _ = generation.plugin.resume();
        }
        Ok(in_time)
    }

    /// Whether it is given up: not where it has paused by now.
    pub(super) fn give_up(&self) -> bool {
        self.goes(GIVEN_UP)
    }

    /// How long it took, where it has paused.
    pub(crate) fn took(&self) -> Option<Duration> {
        let paused = self.stage.load(Ordering::Acquire) == PAUSED;
        paused.then(|| Duration::from_micros(self.micros.load(Ordering::Relaxed)))
    }

    fn goes(&self, to: u8) -> bool {
        self.stage.compare_exchange(PAUSING, to, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_in_time_or_given_up_and_never_both() {
        let pausing = Pausing::default();
        assert!(pausing.goes(PAUSED) && !pausing.give_up() && pausing.took().is_some());
        let pausing = Pausing::default();
        assert!(pausing.give_up() && !pausing.goes(PAUSED) && pausing.took().is_none());
    }
}
