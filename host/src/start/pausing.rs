//! The pause that an export begins with, in one job of the lane: to get there and back takes as long as a small state.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hotbay_plugin_api::abi::Status;

use crate::fault;
use crate::kernel::generation::Generation;
use crate::kernel::lane::{GivenUp, Life};

/// A pause on its way. Whether it came in time is settled once, by the lane or by who waits.
#[derive(Debug, Default)]
pub(crate) struct Pausing {
    life: Life,
    micros: AtomicU64,
}

impl Pausing {
    /// Pauses the plugin, on its lane. False where nobody waits for that any more: then it is resumed, and serves on.
    pub(super) fn pause(&self, generation: &Generation) -> Result<bool, (Status, String)> {
        if !self.life.begin(0) {
            return Ok(false);
        }
        let begun = Instant::now();
        fault::point("pause", &generation.name).map_err(|e| (Status::FAILED, e.to_string()))?;
        generation.plugin.pause()?;
        self.micros.store(u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        let in_time = self.life.end();
        if !in_time {
            let _ = generation.plugin.resume();
        }
        Ok(in_time)
    }

    /// Whether it is given up: not where it has paused by now.
    pub(super) fn give_up(&self) -> bool {
        self.life.give_up() != GivenUp::Done
    }

    /// How long it took, where it has paused.
    pub(crate) fn took(&self) -> Option<Duration> {
        self.life.is_done().then(|| Duration::from_micros(self.micros.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_in_time_or_given_up_and_never_both() {
        let pausing = Pausing::default();
        assert!(
            pausing.life.begin(0) && pausing.life.end() && !pausing.give_up() && pausing.took().is_some()
        );
        let pausing = Pausing::default();
        assert!(
            pausing.life.begin(0) && pausing.give_up() && !pausing.life.end() && pausing.took().is_none()
        );
    }
}
