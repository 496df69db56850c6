//! State that is too long to be held: it goes through the host piece by piece.

use hotbay::kernel::view::{Outcome, Snapshot};
use hotbay_tests::{Bay, fixture, peak_bytes};

const NAME: &str = "makes_its_state";

/// No periodic snapshot, and time for a machine that has none.
const SETTINGS: &str = "[state]\ninterval_ms = 3600000\nmax_bytes = 1073741824\n\
                        [swap]\ncallback_ms = 30000\nrehearse = \"always\"";

/// What is not optimised seals slowly, and the more so on a machine that has other things to do.
const MANY: u64 = if cfg!(debug_assertions) { 96 << 20 } else { 256 << 20 };

/// Beside the code of the host and of the plugin: what is held before a draft is begun, and the pieces on their way.
const PEAK: u64 = 64 << 20;

fn bay(bytes: u64) -> Bay {
    let bay = Bay::with(SETTINGS).up();
    bay.drop_in(NAME, &fixture(NAME));
    bay.wait_version(NAME, "1.0.0");
    take(&bay, bytes);
    bay
}

fn take(bay: &Bay, bytes: u64) {
    bay.call("makes_its_state.take", &bytes.to_string());
}

fn size(bay: &Bay) -> u64 {
    bay.call("makes_its_state.size", "").parse().unwrap()
}

fn snapshot(bay: &Bay) -> Snapshot {
    serde_json::from_str(&bay.ok(&["state", "snapshot", NAME, "-o", "json"])).unwrap()
}

/// What is left of drafts in the folder of the snapshots.
fn drafts(bay: &Bay) -> usize {
    let files = std::fs::read_dir(bay.home().join("state")).unwrap().map(|file| file.unwrap().file_name());
    files.filter(|name| name.to_string_lossy().ends_with(".tmp")).count()
}

fn assert_peak(bay: &Bay, at: &str) {
    if let Some(peak) = peak_bytes(bay.pid()) {
        assert!(peak < PEAK, "{at}: {peak} bytes");
        println!("{at}: {} MiB", peak >> 20);
    }
}

#[test]
fn makes_its_state_of_any_length_and_nobody_holds_it() {
    let mut bay = bay(MANY);
    assert_eq!(snapshot(&bay).bytes, MANY + 8);
    assert_peak(&bay, "snapshot");
    bay.ok(&["reload", NAME]);
    let receipt = bay.wait_receipt(NAME, 1);
    assert_eq!((receipt.outcome, receipt.state_bytes), (Outcome::Committed, MANY + 8), "{receipt:?}");
    assert_eq!(receipt.rehearsal.as_deref(), Some("passed"));
    assert_eq!(size(&bay), MANY);
    assert_peak(&bay, "swap");
    assert_eq!(bay.stop(), Some(0));
    assert_eq!(drafts(&bay), 0);
    bay.ok(&["state", "verify", NAME]);
    bay.start();
    bay.wait_version(NAME, "1.0.0");
    assert_eq!(size(&bay), MANY);
    assert_peak(&bay, "start");

    // Out as a file and in again, past what a message holds.
    bay.ok(&["state", "export", NAME, "sealed"]);
    take(&bay, 5);
    bay.ok(&["stop", NAME]);
    bay.ok(&["state", "import", NAME, "sealed"]);
    bay.ok(&["start", NAME]);
    assert_eq!(size(&bay), MANY);
    assert_peak(&bay, "import");
    assert_eq!(drafts(&bay), 0);
}

#[test]
fn makes_more_of_its_state_than_is_held_since_it_was_asked_and_that_goes_over_as_well() {
    const GROWN: u64 = 20 << 20;
    let bay = Bay::with(&SETTINGS.replace("always", "never")).up();
    bay.drop_in(NAME, &fixture(NAME));
    bay.wait_version(NAME, "1.0.0");
    take(&bay, 1000);
    assert_eq!(snapshot(&bay).bytes, 1008);
    take(&bay, GROWN);
    bay.ok(&["reload", NAME]);
    let receipt = bay.wait_receipt(NAME, 1);
    assert_eq!((receipt.outcome, receipt.state_bytes), (Outcome::Committed, GROWN + 8), "{receipt:?}");
    assert_eq!(size(&bay), GROWN);
}

#[test]
fn a_full_disk_in_the_middle_of_a_draft_leaves_the_old_version_serving() {
    let mut bay = Bay::with(&SETTINGS.replace("always", "never"));
    bay.drop_in(NAME, &fixture(NAME));
    let full = "draft=20*off->1*return(no space left)->off";
    bay.start_with(|command| _ = command.env("FAILPOINTS", full));
    bay.wait_version(NAME, "1.0.0");
    take(&bay, 40 << 20);
    let failed = bay.hotbay(&["reload", NAME]);
    assert!(failed.code == 5 && failed.stderr.contains("no space left"), "{failed:?}");
    assert_eq!((size(&bay), drafts(&bay)), (40 << 20, 0));
    assert_eq!(snapshot(&bay).bytes, (40 << 20) + 8);
}

#[test]
fn more_than_is_taken_is_refused_on_each_way() {
    let settings = "[state]\ninterval_ms = 3600000\nmax_bytes = 20000000";
    let bay = Bay::with(settings).up();
    bay.drop_in(NAME, &fixture(NAME));
    bay.wait_version(NAME, "1.0.0");
    take(&bay, 20_000_000 - 8);
    assert_eq!(snapshot(&bay).bytes, 20_000_000);
    take(&bay, 20_000_000 - 7);
    let told = "wrote more than 20000000 bytes";
    let refused = bay.hotbay(&["reload", NAME]);
    assert!(refused.code == 5 && refused.stderr.contains(told), "{refused:?}");
    take(&bay, 0);
    bay.ok(&["stop", NAME]);
    let large = std::fs::File::create(bay.path("large")).unwrap();
    let import = ["state", "import", NAME, "large", "--plain", "--schema", "1", "--from-version", "1.0.0"];
    large.set_len(20_000_001).unwrap();
    let refused = bay.hotbay(&import);
    assert!(refused.code == 4 && refused.stderr.contains("`max_bytes`"), "{refused:?}");
    assert_eq!(drafts(&bay), 0);
    large.set_len(20_000_000).unwrap();
    bay.ok(&import);
}
