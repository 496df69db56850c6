//! Whether there is room for one more library: what a load takes of the process's means is to be there before it begins.
//!
//! A mapping, a file, a thread or memory that is missing in the middle of a load is told by the system's loader in its own words, or by
//! a crash. So a load is put off where it would come near a limit, with both numbers; it is no fault of the file, and is tried again.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
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
/// what was seen counts for a moment where there is room for so many loads more; limits, which take no time, are asked for each time.
const AMPLE: u64 = 16;
const MOMENT: Duration = Duration::from_secs(5);

/// So long a load waits for those that have begun, where it would have room without them.
const TURN: Duration = Duration::from_secs(30);

/// What is known of the room that there is.
#[derive(Debug, Default)]
pub(crate) struct Margin(Arc<Room>);

#[derive(Debug, Default)]
struct Room {
    known: Mutex<Known>,
    /// One who waits is told when a load is over.
    over: Condvar,
}

#[derive(Debug, Default)]
struct Known {
    seen: Option<(Instant, Vec<Mean>)>,
    /// Loads that were let through and are not over.
    begun: u64,
}

/// A load that was let through. It counts until this is dropped: what it will take need not be seen yet, and there is to be room for it beside
/// those that come later.
#[derive(Debug)]
#[must_use = "the load counts no longer than this lives"]
pub(crate) struct Begun(Arc<Room>);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.known().begun -= 1;
        self.0.over.notify_one();
    }
}

impl Margin {
    /// Refuses a load of so many bytes, with so many lanes, where it would come near a limit. Where it would do so only beside those that have
    /// begun, it waits for some of them to be over.
    pub(crate) fn require(&self, bytes: u64, lanes: u64) -> Result<Begun, String> {
        if let Known { seen: Some((at, means)), begun } = &mut *self.0.known() {
            os::limit_again(means);
            if at.elapsed() < MOMENT && room(means, bytes, lanes, AMPLE + *begun).is_ok() {
                *begun += 1;
                return Ok(Begun(Arc::clone(&self.0)));
            }
        }
        self.begin(bytes, lanes, Instant::now() + TURN, || self.look(lanes))
    }

    fn begin(
        &self,
        bytes: u64,
        lanes: u64,
        until: Instant,
        look: impl Fn() -> Vec<Mean>,
    ) -> Result<Begun, String> {
        loop {
            let means = look();
            let mut known = self.0.known();
            let alone = room(&means, bytes, lanes, 1);
            let beside = alone.clone().and_then(|()| room(&means, bytes, lanes, 1 + known.begun));
            let left = until.saturating_duration_since(Instant::now());
            match beside {
                Ok(()) => {
                    known.begun += 1;
                    return Ok(Begun(Arc::clone(&self.0)));
                }
                Err(why) if alone.is_err() || left.is_zero() => {
                    // Another may need less.
                    self.0.over.notify_one();
                    return Err(why);
                }
                Err(_) => drop(self.0.over.wait_timeout(known, left)),
            }
        }
    }

    /// Looks at all of it.
    pub(crate) fn look(&self, lanes: u64) -> Vec<Mean> {
        let means = os::means(lanes);
        self.0.known().seen = Some((Instant::now(), means.clone()));
        means
    }
}

impl Room {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The same by what the system tells.
pub(crate) fn require(means: &[Mean], bytes: u64, lanes: u64) -> Result<(), String> {
    room(means, bytes, lanes, 1)
}

/// Refuses so many such loads. What the host itself is left is left once.
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
        let needed = needed.saturating_mul(times.saturating_sub(1)).saturating_add(needed.max(reserve));
        if left >= needed {
            return Ok(());
        }
        let Mean { used, limit, by, .. } = mean;
        let beside = match times.saturating_sub(1) {
            0 => String::new(),
            others => format!(", beside {others} that have begun"),
        };
        Err(format!(
            "failed to load it now: of {limit} {what} ({by}) {used} are taken, and a load is begun with {needed} left{beside}; {advice}; \
             it is tried again by itself"
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
    #[test]
    fn a_load_is_put_off_where_those_that_have_begun_take_the_room_until_one_of_them_is_over() {
        let margin = Margin::default();
        // Room for three, and nothing is seen to be taken yet.
        let files =
            || vec![Mean { kind: Kind::Files, by: "who says so".to_owned(), used: 0, limit: 3 * FILES }];
        let at_once = || margin.begin(1, 1, Instant::now(), files);
        let mut begun: Vec<Begun> = (0..3).map(|_| at_once().unwrap()).collect();
        for _ in 0..2 {
            let told = at_once().unwrap_err();
            assert!(told.contains("beside 3 that have begun"), "who was put off counts as begun: {told}");
        }
        begun.pop();
        begun.push(at_once().unwrap());
        assert!(at_once().is_err());

        // Who may wait is let in as soon as there is room.
        let patient = || margin.begin(1, 1, Instant::now() + Duration::from_secs(60), files);
        std::thread::scope(|scope| {
            let [one, other] = [(); 2].map(|()| scope.spawn(patient));
            drop(begun);
            assert!(one.join().unwrap().is_ok() && other.join().unwrap().is_ok());
        });
        assert!(at_once().is_ok());
    }

    #[test]
    fn who_would_have_no_room_alone_waits_for_nobody() {
        let margin = Margin::default();
        let mean =
            |used| vec![Mean { kind: Kind::Files, by: "who says so".to_owned(), used, limit: 3 * FILES }];
        let _begun = margin.begin(1, 1, Instant::now(), || mean(0)).unwrap();
        let late = Instant::now() + Duration::from_secs(600);
        let told = margin.begin(1, 1, late, || mean(3 * FILES - 1)).unwrap_err();
        assert!(!told.contains("beside"), "{told}");
    }

    #[test]
    fn what_is_left_to_the_host_is_asked_for_once_and_not_by_each_load() {
        let files = Mean { kind: Kind::Files, by: "who says so".to_owned(), used: 0, limit: 1_000 };
        let room = |times| room(std::slice::from_ref(&files), 1, 1, times);
        // A twentieth, and 59 times what a load takes.
        assert_eq!(room(60), Ok(()));
        assert!(room(61).is_err());
    }
}
