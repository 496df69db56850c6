//! Swaps while clients do not stop asking.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use hotbay::kernel::view::{Phase, Retired};
use hotbay_tests::{Bay, example};

#[test]
fn clients_that_do_not_stop_asking_notice_nothing() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let (done, answered) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let ran = bay.hotbay(&["call", "echo.echo", "-d", "x"]);
                    assert_eq!((ran.code, ran.stdout.as_str()), (0, "x"), "{ran:?}");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Ends the clients also where a wait fails.
        let _end = OnDrop(&done);
        for swap in 1..=6 {
            let (file, version) = if swap % 2 == 1 { ("echo_v2", "2.0.0") } else { ("echo", "1.0.0") };
            bay.drop_in("echo", &example(file));
            bay.wait_version("echo", version);
        }
    });
    assert_eq!(bay.call("echo.count", ""), answered.load(Ordering::Relaxed).to_string());
    let history = bay.history("echo");
    assert_eq!(history.len(), 6);
    for receipt in history {
        assert_eq!((receipt.requests.lost, receipt.requests.duplicated), (0, 0), "{receipt:?}");
        assert_eq!((receipt.retired, &receipt.retired_reason), (Retired::Unloaded, &None));
    }
}

#[test]
fn slow_calls_in_flight_are_answered_by_the_version_that_took_them() {
    let bay = Bay::started();
    bay.drop_in("slow", &hotbay_tests::fixture("slow"));
    bay.wait_version("slow", "1.0.0");
    std::thread::scope(|scope| {
        let call = scope.spawn(|| bay.call("slow.wait", "700"));
        bay.drop_bytes("slow", &hotbay_tests::with_version(&hotbay_tests::fixture("slow"), "1.0.0", "1.1.0"));
        bay.wait_version("slow", "1.1.0");
        assert_eq!(call.join().unwrap(), "waited");
    });
    assert_eq!(bay.wait_receipt("slow", 1).retired, Retired::Unloaded);
}

#[test]
fn a_power_cut_at_any_moment_of_a_swap_leaves_one_version_with_all_of_its_state() {
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    for _ in 0..3 {
        bay.call("echo.echo", "");
    }
    // A stop writes the state: from here on nothing is counted, so nothing may be lost.
    bay.ok(&["stop", "echo"]);
    bay.ok(&["start", "echo"]);
    for moment in 0..12 {
        let (file, version) = if moment % 2 == 0 { ("echo_v2", "2.0.0") } else { ("echo", "1.0.0") };
        bay.drop_in("echo", &example(file));
        // Later with each round: one look takes some milliseconds, the whole swap some hundred.
        for _ in 0..moment * 2 {
            bay.rows();
        }
        bay.kill();
        bay.start();
        let row = bay.wait_for("echo", |row| matches!(row.phase, Phase::Running | Phase::Faulted));
        if row.phase == Phase::Faulted {
            // The older version came too late: who wrote the state is gone, and it cannot read it. That one still can.
            assert!(
                version == "1.0.0" && row.reason.unwrap().contains("schema 2"),
                "cut off at moment {moment}"
            );
            bay.drop_in("echo", &example("echo_v2"));
            bay.wait_version("echo", "2.0.0");
        } else {
            bay.wait_version("echo", version);
        }
        assert_eq!(bay.call("echo.count", ""), "3", "cut off at moment {moment}");
        assert_eq!(bay.rows().len(), 1);
    }
}

struct OnDrop<'a>(&'a AtomicBool);

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
