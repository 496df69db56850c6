//! Threads that never stop calling, and files that never stop changing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hotbay::kernel::view::{Outcome, Receipt, Retired};
use hotbay_tests::{Hosted, example, fixture, with_version};

/// Calls from `threads` threads until `swaps` is done; answers how many calls were answered. None may fail.
fn hammer(threads: usize, call: impl Fn() -> String + Sync, swaps: impl FnOnce()) -> u64 {
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    call();
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Ends the callers also where a swap fails.
        let _end = End(&done);
        swaps();
    });
    answered.into_inner()
}

fn swap_echo(hosted: &Hosted, times: u64) {
    for swap in 1..=times {
        let (file, version) = if swap % 2 == 1 { ("echo_v2", "2.0.0") } else { ("echo", "1.0.0") };
        let row = hosted.live("echo", &example(file), version);
        assert_eq!(row.generation, Some(swap + 1));
    }
}

fn assert_nothing_lost(receipts: &[Receipt]) {
    for receipt in receipts {
        let requests = receipt.requests;
        assert_eq!(receipt.outcome, Outcome::Committed, "{receipt:?}");
        assert_eq!((requests.lost, requests.duplicated), (0, 0), "{receipt:?}");
        let pause = receipt.pause_us;
        assert!(pause.p50 <= pause.p99 && pause.p99 <= pause.max, "{receipt:?}");
        assert!(requests.waited > 0 || pause.max == 0, "nobody waited, and for some time: {receipt:?}");
    }
}

#[test]
fn requests_through_lanes_are_all_answered_and_counted_once() {
    let hosted = Hosted::start();
    hosted.live("echo", &example("echo"), "1.0.0");
    let answered = hammer(4, || hosted.request("echo", "echo", "x").unwrap(), || swap_echo(&hosted, 12));
    assert_eq!(hosted.request("echo", "count", "").unwrap(), answered.to_string());
    let receipts = hosted.wait_receipts("echo", 12);
    assert_eq!(receipts.len(), 12);
    assert_nothing_lost(&receipts);
    let mut seen = 0;
    for receipt in &receipts {
        assert_eq!((receipt.retired, &receipt.retired_reason), (Retired::Unloaded, &None), "{receipt:?}");
        let requests = receipt.requests;
        seen += requests.old + requests.waited + requests.new;
    }
    // Not in each of them: on a busy machine a swap may be over before a caller has its turn.
    assert!(seen > 0, "nobody was seen to ask: {receipts:?}");
}

#[test]
fn calls_inline_are_all_answered_and_counted_once() {
    let hosted = Hosted::start();
    hosted.live("echo", &example("echo"), "1.0.0");
    let answered = hammer(3, || hosted.call("echo", "echo", "x").unwrap(), || swap_echo(&hosted, 12));
    assert_eq!(hosted.call("echo", "count", "").unwrap(), answered.to_string());
    let receipts = hosted.wait_receipts("echo", 12);
    assert_nothing_lost(&receipts);
    for receipt in &receipts {
        assert_eq!(receipt.retired_reason.is_some(), receipt.retired == Retired::Pinned, "{receipt:?}");
    }
}

#[test]
fn calls_by_methods_in_hand_are_all_answered_and_counted_once() {
    let hosted = Hosted::start();
    hosted.live("echo", &example("echo"), "1.0.0");
    let echo = hosted.host().handle("echo").unwrap().method("echo");
    std::thread_local! {
        static MINE: std::cell::OnceCell<hotbay::Method> = const { std::cell::OnceCell::new() };
    }
    let new = std::sync::Mutex::new(echo);
    let call = || {
        MINE.with(|mine| {
            let mut reply = hotbay::Buffer::new();
            mine.get_or_init(|| new.lock().unwrap().clone()).call(b"x", &mut reply).unwrap();
            String::from_utf8(reply.into_vec()).unwrap()
        })
    };
    let answered = hammer(3, call, || swap_echo(&hosted, 12));
    assert_eq!(hosted.call("echo", "count", "").unwrap(), answered.to_string());
    let receipts = hosted.wait_receipts("echo", 12);
    assert_nothing_lost(&receipts);
}

#[test]
fn stateless_services_are_replaced_and_no_call_waits() {
    let hosted = Hosted::start();
    hosted.live("stateless", &fixture("stateless"), "1.0.0");
    hammer(
        3,
        || {
            let version = hosted.request("stateless", "version", "").unwrap();
            assert!(["1.0.0", "2.0.0"].contains(&version.as_str()), "{version}");
            version
        },
        || {
            for swap in 0..8 {
                let (file, version) =
                    if swap % 2 == 0 { ("stateless_next", "2.0.0") } else { ("stateless", "1.0.0") };
                hosted.live("stateless", &fixture(file), version);
            }
        },
    );
    let receipts = hosted.wait_receipts("stateless", 8);
    assert_nothing_lost(&receipts);
    assert!(receipts.iter().all(|receipt| receipt.requests.waited == 0 && receipt.pause_us.max == 0));
}

#[test]
fn reenters_and_its_partner_are_replaced_while_they_call_each_other() {
    let hosted = Hosted::start();
    hosted.live("partner", &fixture("partner"), "1.0.0");
    hosted.live("reenters", &fixture("reenters"), "1.0.0");
    // Each play of 4 enters `reenters` three times and `partner` twice.
    let answered = hammer(
        3,
        || hosted.request("reenters", "play", "4").unwrap(),
        || {
            for swap in 1..=5 {
                let version = format!("1.{swap}.0");
                for name in ["reenters", "partner"] {
                    hosted.drop_bytes(name, &with_version(&fixture(name), "1.0.0", &version));
                    hosted.wait_version(name, &version);
                }
            }
        },
    );
    assert_eq!(hosted.request("reenters", "count", "").unwrap(), (3 * answered).to_string());
    assert_eq!(hosted.request("partner", "count", "").unwrap(), (2 * answered).to_string());
    for name in ["reenters", "partner"] {
        let receipts = hosted.wait_receipts(name, 5);
        assert_nothing_lost(&receipts);
        for receipt in receipts {
            assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None), "{name}");
        }
    }
}

#[test]
fn reenters_inline_while_both_are_replaced() {
    let hosted = Hosted::start();
    hosted.live("partner", &fixture("partner"), "1.0.0");
    hosted.live("reenters", &fixture("reenters"), "1.0.0");
    let answered = hammer(
        3,
        || hosted.call("reenters", "play", "2").unwrap(),
        || {
            for swap in 1..=4 {
                let version = format!("1.{swap}.0");
                for name in ["partner", "reenters"] {
                    hosted.drop_bytes(name, &with_version(&fixture(name), "1.0.0", &version));
                    hosted.wait_version(name, &version);
                }
            }
        },
    );
    assert_eq!(hosted.call("reenters", "count", "").unwrap(), (2 * answered).to_string());
    assert_eq!(hosted.call("partner", "count", "").unwrap(), answered.to_string());
}
