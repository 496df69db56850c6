//! A library that keeps the system's loader for itself, for ever: nothing more can be loaded or unmapped, and the rest goes on.

use std::time::Duration;

use hotbay::kernel::view::{Cause, Phase, Pinned, Retired};
use hotbay_tests::{Bay, eventually, example, fixture, with_version};

/// Nothing of the file runs before the host maps it.
const SETTINGS: &str = "[swap]\ncallback_ms = 700\ndrain_ms = 700\n[probe]\nmode = \"off\"\n";

/// By then the loop has looked for what is pinned several times.
const LOOKS: Duration = Duration::from_millis(1500);

fn only_pinned(bay: &Bay, name: &str) -> Pinned {
    let mut pinned = bay.status(name).pinned;
    assert_eq!(pinned.len(), 1, "{pinned:?}");
    pinned.remove(0)
}

/// The loop looks for what is pinned, writes snapshots, and answers; what was called before is called.
fn goes_on(bay: &mut Bay, calls: u64) {
    let begun = std::time::Instant::now();
    eventually("some looks later", || {
        assert_eq!(bay.row("echo").unwrap().version.as_deref(), Some("1.0.0"));
        (begun.elapsed() > LOOKS).then_some(())
    });
    assert_eq!(bay.call("echo.echo", "again"), "again");
    assert_eq!(bay.call("echo.count", ""), calls.to_string());
    bay.assert_alive();
}

/// `echo` runs, and was called: what a plugin keeps per thread is there from then on.
fn called() -> Bay {
    let bay = Bay::with(SETTINGS).up();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.call("echo.echo", "once"), "once");
    bay
}

#[test]
fn hangs_in_finalizer_and_is_pinned_by_the_loader_while_the_loop_goes_on() {
    if cfg!(windows) {
        // The fixture has no finalizer there.
        return;
    }
    let mut bay = called();
    let name = "hangs_in_finalizer";
    bay.drop_in(name, &fixture(name));
    bay.wait_version(name, "1.0.0");
    bay.drop_bytes(name, &with_version(&fixture(name), "1.0.0", "1.1.0"));
    bay.wait_version(name, "1.1.0");
    assert_eq!(bay.wait_receipt(name, 1).retired, Retired::Pinned);
    let pinned = only_pinned(&bay, name);
    assert!(pinned.reason.contains("the system's loader is busy"), "{}", pinned.reason);
    assert_eq!((pinned.generation, pinned.cause), (1, Cause::Inside));
    goes_on(&mut bay, 2);
}

#[test]
fn hangs_in_initializer_and_is_named_while_the_rest_goes_on_and_the_host_ends_in_time() {
    if cfg!(windows) {
        // No thread begins there in a process whose loader is kept, so that no host can go on: the probe, which is off here, is
        // what finds such a file (`bad_input::hangs_in_initializer`).
        return;
    }
    let mut bay = called();
    let name = "hangs_in_initializer";
    bay.drop_in(name, &fixture(name));
    let row = bay.wait_phase(name, Phase::Faulted);
    let reason = row.reason.unwrap();
    for words in ["`hangs_in_initializer` keeps the system's loader for itself", "restart the host"] {
        assert!(reason.contains(words), "no `{words}` in: {reason}");
    }
    assert!(bay.ok(&["why", name]).contains("keeps the system's loader for itself"));
    assert_eq!(bay.status(name).row.phase, Phase::Faulted);
    goes_on(&mut bay, 2);
    // What would be loaded waits, and says for whom.
    bay.drop_in("stateless", &fixture("stateless"));
    let waiting = bay.wait_phase("stateless", Phase::Faulted).reason.unwrap();
    assert!(waiting.contains("`hangs_in_initializer` keeps the system's loader"), "{waiting}");
    bay.drop_in("echo", &example("echo_v2"));
    let stays = bay.wait_for("echo", |row| row.reason.is_some());
    assert_eq!((stays.phase, stays.version.as_deref()), (Phase::Running, Some("1.0.0")));
    assert!(
        stays.reason.unwrap().contains("version 2.0.0 does not take over: plugin `hangs_in_initializer`")
    );
    // A stop needs no loader to keep the state.
    bay.ok(&["stop", "echo"]);
    assert!(bay.home().join("state").join("echo.state").is_file());

    let asked = std::time::Instant::now();
    assert_eq!(bay.stop(), Some(0));
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(10), "it took {took:?}");
    let log = bay.log();
    let last = log.lines().rev().find(|line| line.contains("ends without unloading")).unwrap_or_default();
    assert!(last.contains("`hangs_in_initializer`"), "{log}");
}
