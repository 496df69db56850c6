//! What becomes of old code: unloaded, proven; or pinned, with what holds it.

use hotbay::kernel::view::{Outcome, Retired};
use hotbay_tests::{Bay, census, eventually, example, fixture, is_mapped, resident_bytes, with_version};

/// A debug build of echo is some 5 MiB, of which a load touches a good part: one leaked generation would show.
const MIB: u64 = 1 << 20;

#[test]
fn sixty_swaps_leave_memory_flat_and_each_old_version_unloaded() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let mut after_ten = None;
    for swap in 1..=60_u64 {
        let (file, version) = if swap % 2 == 1 { ("echo_v2", "2.0.0") } else { ("echo", "1.0.0") };
        bay.drop_in("echo", &example(file));
        bay.wait_for("echo", |row| {
            row.version.as_deref() == Some(version) && row.generation == Some(swap + 1)
        });
        bay.call("echo.handle", "");
        if swap == 10 {
            after_ten = resident_bytes(bay.pid()).zip(census(bay.pid()));
        }
    }
    assert_eq!(bay.call("echo.count", ""), "60");
    bay.wait_receipt("echo", 60);
    for receipt in bay.history("echo") {
        assert_eq!((receipt.retired, &receipt.retired_reason), (Retired::Unloaded, &None));
        assert_eq!((receipt.requests.lost, receipt.requests.duplicated), (0, 0));
    }
    let Some((before, held)) = after_ten else { return };
    let after = resident_bytes(bay.pid()).unwrap();
    assert!(after < before + 6 * MIB, "{} MiB after 10 swaps, {} after 60", before / MIB, after / MIB);
    eventually("threads, files and mappings are as many as before", || {
        let now = census(bay.pid()).unwrap();
        // An allocator maps some more now and then; a leaked generation would be four maps per swap.
        let flat = now.threads <= held.threads && now.files <= held.files && now.maps <= held.maps + 20;
        flat.then_some(())
    });
}

#[test]
fn keeps_a_thread_local_on_its_lane_and_is_unloaded_with_it() {
    let bay = Bay::started();
    bay.drop_in("kept", &fixture("keeps_a_thread_local"));
    bay.wait_version("keeps_a_thread_local", "1.0.0");
    for swap in 1..=3_usize {
        assert_eq!(bay.call("keeps_a_thread_local.remember", "this"), "1");
        let version = format!("1.{swap}.0");
        bay.drop_bytes("kept", &with_version(&fixture("keeps_a_thread_local"), "1.0.0", &version));
        bay.wait_version("keeps_a_thread_local", &version);
        let receipt = bay.wait_receipt("keeps_a_thread_local", swap);
        assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
    }
}

#[test]
fn keeps_a_thread_local_of_its_state_and_is_unloaded_whether_the_swap_goes_well_or_not() {
    const NAME: &str = "keeps_a_thread_local_of_its_state";
    let mut bay = Bay::new();
    bay.drop_in("kept", &fixture(NAME));
    bay.start_with(|command| _ = command.env("FAILPOINTS", "start=1*off->1*return(no luck)"));
    bay.wait_version(NAME, "1.0.0");
    // Given up when the candidate had imported on the lane of the one that goes on; then gone through.
    for (swap, outcome) in [(1, Outcome::RolledBack), (2, Outcome::Committed), (3, Outcome::Committed)] {
        assert_eq!(bay.call(&format!("{NAME}.add"), ""), swap.to_string());
        bay.drop_bytes("kept", &with_version(&fixture(NAME), "1.0.0", &format!("1.{swap}.0")));
        let receipt = bay.wait_receipt(NAME, swap);
        assert_eq!(receipt.outcome, outcome, "{receipt:?}");
        assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
    }
}

#[test]
fn keeps_a_thread_local_of_its_state_on_a_thread_that_hangs_in_the_next_version_and_goes_when_that_comes_back()
 {
    const NAME: &str = "keeps_a_thread_local_of_its_state";
    let mut bay = Bay::with("[swap]\ncallback_ms = 1000");
    bay.drop_in("kept", &fixture(NAME));
    bay.start_with(|command| _ = command.env("FAILPOINTS", "import=1*sleep(8000)"));
    bay.wait_version(NAME, "1.0.0");
    bay.drop_bytes("kept", &with_version(&fixture(NAME), "1.0.0", "1.1.0"));
    assert_eq!(bay.wait_receipt(NAME, 1).outcome, Outcome::RolledBack);
    bay.drop_bytes("kept", &with_version(&fixture(NAME), "1.0.0", "1.2.0"));
    let receipt = bay.wait_receipt(NAME, 2);
    assert_eq!(receipt.outcome, Outcome::Committed, "{receipt:?}");
    if let Some(reason) = receipt.retired_reason {
        assert!(reason.contains("of another version, that went into it has not ended"), "{reason}");
    }
    bay.wait_version(NAME, "1.2.0");
    // The next unload sees to it.
    bay.call(&format!("{NAME}.add"), "");
    eventually("the one that was served on is gone", || {
        let held = bay.status(NAME).pinned;
        held.iter().all(|pinned| pinned.version != "1.0.0").then_some(())
    });
}

#[test]
fn hangs_in_a_call_and_is_pinned_when_it_is_replaced() {
    let mut bay = Bay::with("[swap]\ndrain_ms = 700\n[plugin.hangs]\nold = \"call\"").up();
    bay.drop_in("hangs", &fixture("hangs"));
    bay.wait_version("hangs", "1.0.0");
    assert_eq!(bay.hotbay(&["call", "hangs.add", "--timeout", "300ms"]).code, 7);
    bay.drop_in("hangs", &fixture("hangs_next"));
    bay.wait_receipt("hangs", 1);
    bay.assert_alive();
    assert_eq!(bay.call("hangs.count", ""), "0");
}

#[test]
fn panics_under_rust_backtrace_and_is_unloaded_all_the_same() {
    // The default hook would look up symbols, and keep a mapping of the library for each.
    let mut bay = Bay::with("[plugin.panics]\nold = \"call\"");
    bay.start_with(|command| {
        command.env("RUST_BACKTRACE", "full");
    });
    bay.drop_in("panics", &fixture("panics"));
    bay.wait_version("panics", "1.0.0");
    assert_eq!(bay.hotbay(&["call", "panics.add"]).code, 1);
    bay.drop_in("panics", &fixture("panics_next"));
    bay.wait_version("panics", "1.1.0");
    let receipt = bay.wait_receipt("panics", 1);
    assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
}

#[test]
fn the_file_that_was_dropped_is_never_the_one_that_is_mapped() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    // `None` where the system does not tell simply.
    let file = bay.file("echo");
    assert_ne!(is_mapped(bay.pid(), file.to_str().unwrap()), Some(true));
}

#[test]
fn stateless_versions_swap_and_nobody_waits() {
    let bay = Bay::started();
    bay.drop_in("stateless", &fixture("stateless"));
    bay.wait_version("stateless", "1.0.0");
    bay.drop_in("stateless", &fixture("stateless_next"));
    bay.wait_version("stateless", "2.0.0");
    assert_eq!(bay.call("stateless.version", ""), "2.0.0");
    let receipt = bay.wait_receipt("stateless", 1);
    assert_eq!((receipt.state_bytes, receipt.pause_us.max, receipt.requests.waited), (0, 0, 0));
    assert!(!bay.state_file("stateless").exists());
}

#[test]
fn large_state_is_carried_and_each_value_is_dropped_once() {
    const SWAPS: usize = 80;
    const WARM: usize = 20;
    const STATE: u64 = 64 * 1024;
    let ledger = tempfile::NamedTempFile::new().unwrap();
    let table = toml::toml! { plugin = { large_state = { ledger = (ledger.path().to_str().unwrap()) } } };
    let bay = Bay::with(&table.to_string()).up();
    bay.drop_in("large_state", &fixture("large_state"));
    bay.wait_version("large_state", "1.0.0");
    let mut after_some = None;
    for swap in 1..=SWAPS {
        bay.ok(&["reload", "large_state"]);
        assert_eq!(bay.call("large_state.bytes", ""), STATE.to_string());
        if swap == WARM {
            after_some = resident_bytes(bay.pid());
        }
    }
    bay.wait_receipt("large_state", SWAPS);
    for receipt in bay.history("large_state") {
        assert!(receipt.state_bytes >= STATE, "{receipt:?}");
        assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
    }
    // The probe makes and drops a value, too.
    let count = |what: &str| {
        let line = format!("{} {what}", bay.pid());
        std::fs::read_to_string(ledger.path()).unwrap().lines().filter(|other| *other == line).count()
    };
    assert_eq!((count("made"), count("dropped")), (SWAPS + 1, SWAPS));
    if let Some(before) = after_some {
        let after = resident_bytes(bay.pid()).unwrap();
        let told = format!("{} KiB after {WARM} swaps, {} after {SWAPS}", before >> 10, after >> 10);
        println!("{told}");
        // One value or one capsule that stays with each swap would be sixty times 64 KiB; an allocator may warm up for long.
        assert!(after < before + 3 * MIB, "{told}");
    }
}
