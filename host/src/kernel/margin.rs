//! Whether there is room for one more library: what a load takes of the process's means is to be there before it begins.
//!
//! A mapping, a file, a thread or memory that is missing in the middle of a load is told by the system's loader in its own words, or by
//! a crash. So a load is put off where it would come near a limit, with both numbers; it is no fault of the file, and is tried again.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::os::{self, Kind, Mean};

/// A library has some five, a thread two or three, and its heap as many.
const MAPPINGS: u64 = 64;

/// The file, what is mapped, the pipes of its probe, and a client who asks how it goes.
const FILES: u64 = 16;

/// Beside its lanes: the operation, its probe with two, closing.
const THREADS: u64 = 8;

/// Beside its bytes: the probe, a lane's stack, what it allocates.
const BYTES: u64 = 32 << 20;

/// The bytes are read once, to what is mapped here and in the probe; and each page is written to at most, where it is relocated.
const COPIES: u64 = 2;

/// To look at all of it takes as long as a load's other steps before the first answer. So it is looked at when an operation has ended, and
/// what was seen counts for a moment where there is room for so many loads; limits, which take no time, are asked for each time.
const AMPLE: u64 = 16;
const MOMENT: Duration = Duration::from_secs(5);

/// What is known of the room that there is.
#[derive(Debug, Default)]
pub(crate) struct Margin {
    seen: Mutex<Option<(Instant, Vec<Mean>)>>,
}

impl Margin {
    /// Refuses a load of so many bytes, with so many lanes, where it would come near a limit.
    pub(crate) fn require(&self, bytes: u64, lanes: u64) -> Result<(), String> {
        if let Some((at, means)) = &mut *self.seen() {
            os::limit_again(means);
            if at.elapsed() < MOMENT && room(means, bytes, lanes, AMPLE).is_ok() {
                return Ok(());
            }
        }
        require(&self.look(lanes), bytes, lanes)
    }

    /// Looks at all of it.
    pub(crate) fn look(&self, lanes: u64) -> Vec<Mean> {
        let means = os::means(lanes);
        *self.seen() = Some((Instant::now(), means.clone()));
        means
    }

    fn seen(&self) -> MutexGuard<'_, Option<(Instant, Vec<Mean>)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same by what the system tells.
pub(crate) fn require(means: &[Mean], bytes: u64, lanes: u64) -> Result<(), String> {
    room(means, bytes, lanes, 1)
}

/// Refuses so many such loads.
fn room(means: &[Mean], bytes: u64, lanes: u64, times: u64) -> Result<(), String> {
    means.iter().try_for_each(|mean| {
        let left = mean.limit.saturating_sub(mean.used);
        // What is not memory is to last for what the host itself does, too.
        let (needed, reserve, what, advice) = match mean.kind {
            Kind::Mappings => {
                let advice = "raise it with `sysctl`, or restart the host where old code is pinned";
                (MAPPINGS + 4 * lanes, mean.limit / 20, "mappings", advice)
            }
            Kind::Files => {
                let advice = "raise it, by `ulimit -n` or `LimitNOFILE=`, or take plugins away";
                (FILES, mean.limit / 20, "open files", advice)
            }
            Kind::Threads => {
                let advice = "raise it, by `ulimit -u`, `LimitNPROC=` or `TasksMax=`, or take plugins away";
                (THREADS + lanes, mean.limit / 20, "threads", advice)
            }
            Kind::Bytes => {
                let advice = "give it more, by `MemoryMax=` or what set the limit, or take plugins away";
                (bytes.saturating_mul(COPIES).saturating_add(BYTES), 0, "bytes of memory", advice)
            }
        };
        let needed = needed.max(reserve).saturating_mul(times);
        if left >= needed {
            return Ok(());
        }
        let Mean { used, limit, by, .. } = mean;
        Err(format!(
            "failed to load it now: of {limit} {what} ({by}) {used} are taken, and a load is begun with {needed} left; {advice}; it \
             is tried again by itself"
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(kind: Kind, used: u64, limit: u64, bytes: u64) -> Option<String> {
        let mean = Mean { kind, by: "who says so".to_owned(), used, limit };
        require(&[mean], bytes, 1).err()
    }

    #[test]
    fn a_load_is_put_off_near_a_limit_and_both_numbers_are_told() {
        for (kind, used, limit) in [
            (Kind::Mappings, 65_530 - 3_000, 65_530),
            (Kind::Mappings, 950, 1_000),
            (Kind::Files, 1_000, 1_024),
            (Kind::Files, 49, 64),
            (Kind::Threads, 92, 100),
            (Kind::Bytes, (1 << 30) - (33 << 20), 1 << 30),
        ] {
            let told =
                refused(kind, used, limit, 1 << 20).unwrap_or_else(|| panic!("{kind:?} {used} of {limit}"));
            for part in [used.to_string(), limit.to_string(), "who says so".to_owned()] {
                assert!(told.contains(&part), "{part}: {told}");
            }
        }
    }

    #[test]
    fn a_load_goes_on_where_there_is_room() {
        for (kind, used, limit) in [
            (Kind::Mappings, 500, 65_530),
            (Kind::Files, 40, 64),
            (Kind::Threads, 20, 100),
            (Kind::Bytes, 0, 64 << 20),
        ] {
            assert_eq!(refused(kind, used, limit, 1 << 20), None, "{kind:?} {used} of {limit}");
        }
        // More than a limit allows, as after it was lowered.
        assert!(refused(Kind::Files, 100, 64, 1).is_some());
        assert_eq!(require(&[], u64::MAX, u64::MAX), Ok(()));
    }
}
