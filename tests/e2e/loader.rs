//! A library that keeps the system's loader for itself, for ever: nothing more can be loaded or unmapped, and the loop goes on.

use std::time::Duration;

use hotbay::kernel::view::{Cause, Pinned, Retired};
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

/// The loop looks for what is pinned, and answers. What runs is not called: on glibc the loader also holds up a thread that
/// first uses a thread-local with a destructor, as each new thread does.
fn goes_on(bay: &mut Bay) {
    let begun = std::time::Instant::now();
    eventually("some looks later", || {
        assert_eq!(bay.row("echo").unwrap().version.as_deref(), Some("1.0.0"));
        (begun.elapsed() > LOOKS).then_some(())
    });
    bay.assert_alive();
}

#[test]
fn hangs_in_finalizer_and_is_pinned_by_the_loader_while_the_loop_goes_on() {
    if cfg!(windows) {
        // The fixture has no finalizer there.
        return;
    }
    let mut bay = Bay::with(SETTINGS).up();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let name = "hangs_in_finalizer";
    bay.drop_in(name, &fixture(name));
    bay.wait_version(name, "1.0.0");
    bay.drop_bytes(name, &with_version(&fixture(name), "1.0.0", "1.1.0"));
    bay.wait_version(name, "1.1.0");
    assert_eq!(bay.wait_receipt(name, 1).retired, Retired::Pinned);
    let pinned = only_pinned(&bay, name);
    assert!(pinned.reason.contains("the system's loader is busy"), "{}", pinned.reason);
    assert_eq!((pinned.generation, pinned.cause), (1, Cause::Inside));
    goes_on(&mut bay);
}
