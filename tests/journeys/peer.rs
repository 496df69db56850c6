//! What the nearest peer gets wrong, each claim by its figure: `host/ARCHITECTURE.md` has the table of them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hotbay::kernel::view::{Outcome, Retired};
use hotbay_tests::{Hosted, eventually, fixture, is_mapped, rounds, with_version};

/// The two versions of `stateless`: each answers with its own, which is compiled into it.
const VERSIONS: [(&str, &str); 2] = [("stateless", "1.0.0"), ("stateless_next", "2.0.0")];

#[test]
fn stateless_versions_at_one_path_run_their_own_code_each_of_a_hundred_times() {
    let hosted = Hosted::start();
    for swap in 0..=100 {
        let (file, version) = VERSIONS[swap % 2];
        hosted.live("stateless", &fixture(file), version);
        assert_eq!(hosted.request("stateless", "version", "").unwrap(), version, "swap {swap}");
        assert_eq!(hosted.call("stateless", "version", "").unwrap(), version, "swap {swap}");
    }
    let receipts = hosted.wait_receipts("stateless", 100);
    assert!(receipts.iter().all(|receipt| receipt.outcome == Outcome::Committed));
}

#[test]
fn stateless_callers_are_all_on_the_new_code_as_soon_as_a_swap_is_through() {
    let swaps = rounds(60, 1000);
    let hosted = Hosted::start();
    hosted.live("stateless", &fixture("stateless"), "1.0.0");
    // Even: half as many swaps are through, and none is on its way. Odd: one is.
    let (clock, done) = (AtomicU64::new(0), AtomicBool::new(false));
    let checked = [const { AtomicU64::new(0) }; 3];
    std::thread::scope(|scope| {
        for (caller, checked) in checked.iter().enumerate() {
            let (hosted, clock, done) = (&hosted, &clock, &done);
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let before = clock.load(Ordering::SeqCst);
                    let answered = match caller {
                        0 => hosted.call("stateless", "version", "").unwrap(),
                        _ => hosted.request("stateless", "version", "").unwrap(),
                    };
                    if before % 2 == 0 && clock.load(Ordering::SeqCst) == before {
                        let (_, version) = VERSIONS[(before / 2 % 2) as usize];
                        assert_eq!(answered, version, "caller {caller}, after {} swaps", before / 2);
                        checked.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        // Ends the callers also where a swap fails.
        let _end = End(&done);
        for swap in 1..=swaps {
            let (file, version) = VERSIONS[(swap % 2) as usize];
            clock.fetch_add(1, Ordering::SeqCst);
            hosted.live("stateless", &fixture(file), version);
            let before = checked.each_ref().map(|checked| checked.load(Ordering::Relaxed));
            clock.fetch_add(1, Ordering::SeqCst);
            eventually("each caller is on the new code", || {
                let mut both = checked.iter().zip(before);
                both.all(|(checked, before)| checked.load(Ordering::Relaxed) > before).then_some(())
            });
        }
    });
}

/// Tells the callers to end.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn stateless_code_is_unmapped_within_a_bounded_time_after_one_swap() {
    let hosted = Hosted::start();
    // A digest that no other test of this process has.
    hosted.drop_bytes("stateless", &with_version(&fixture("stateless"), "1.0.0", "1.0.9"));
    let old = hosted.wait_version("stateless", "1.0.9");
    hosted.request("stateless", "version", "").unwrap();
    hosted.live("stateless", &fixture("stateless_next"), "2.0.0");
    let began = Instant::now();
    let receipt = hosted.wait_receipts("stateless", 1).remove(0);
    assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
    assert_ne!(is_mapped(std::process::id(), &old.digest.unwrap()[..16]), Some(true));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}
