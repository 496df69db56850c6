//! State that cannot be read is never overwritten, and never replaced by an empty one in silence.

use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, fixture};

/// Counts to three, spoils the stored state (or its key), and holds what must hold where there is no other snapshot to go back to.
fn quarantined(spoil: impl FnOnce(&Bay)) -> String {
    let mut bay = Bay::with("[state]\nkeep = 1").up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    for _ in 0..3 {
        bay.call("counter.add", "");
    }
    bay.ok(&["stop", "counter"]);
    bay.ok(&["start", "counter"]);
    bay.kill();
    spoil(&bay);
    let spoilt = std::fs::read(bay.state_file("counter")).unwrap();
    bay.start();

    let row = bay.wait_phase("counter", Phase::Quarantined);
    let reason = row.reason.unwrap();
    assert!(bay.ok(&["why", "counter"]).contains(&reason));
    let call = bay.hotbay(&["call", "counter.count"]);
    assert_ne!(call.code, 0, "{call:?}");
    let plain = bay.hotbay(&["start", "counter"]);
    assert!(matches!(plain.code, 1 | 4), "a plain start must not begin empty: {plain:?}");
    assert!(plain.stderr.contains("--fresh"), "{plain:?}");
    assert_eq!(std::fs::read(bay.state_file("counter")).unwrap(), spoilt, "the file was touched");

    bay.ok(&["start", "counter", "--fresh"]);
    assert_eq!(bay.wait_phase("counter", Phase::Running).reason, None);
    assert_eq!(bay.call("counter.add", ""), "1");
    assert!(is_somewhere(&bay, &spoilt), "the old file was not kept aside");
    reason
}

fn is_somewhere(bay: &Bay, bytes: &[u8]) -> bool {
    fn walk(folder: &std::path::Path, bytes: &[u8]) -> bool {
        std::fs::read_dir(folder).unwrap().any(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, bytes)
            } else {
                std::fs::read(&path).is_ok_and(|found| found == bytes)
            }
        })
    }
    walk(&bay.home(), bytes)
}

#[test]
fn a_wrong_key() {
    let reason = quarantined(|bay| {
        let key = bay.home().join("state.key");
        let mut text = std::fs::read(&key).unwrap();
        // Another digit of the same alphabet, in hex as in base64.
        let digit = text.iter().position(u8::is_ascii_digit).unwrap();
        text[digit] = if text[digit] == b'7' { b'3' } else { b'7' };
        std::fs::write(&key, text).unwrap();
    });
    assert!(reason.contains("key"), "{reason}");
}

#[test]
fn a_flipped_bit() {
    quarantined(|bay| {
        let mut bytes = std::fs::read(bay.state_file("counter")).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(bay.state_file("counter"), bytes).unwrap();
    });
}

#[test]
fn a_truncated_file() {
    let reason = quarantined(|bay| {
        let bytes = std::fs::read(bay.state_file("counter")).unwrap();
        std::fs::write(bay.state_file("counter"), &bytes[..bytes.len() - 5]).unwrap();
    });
    assert!(!reason.is_empty());
}

#[test]
fn an_empty_file() {
    quarantined(|bay| std::fs::write(bay.state_file("counter"), b"").unwrap());
}

#[test]
fn another_services_file() {
    let reason = quarantined(|bay| {
        // Sealed with the same key, for another name.
        let mut other = Bay::new();
        std::fs::create_dir_all(other.home()).unwrap();
        std::fs::copy(bay.home().join("state.key"), other.home().join("state.key")).unwrap();
        other.drop_in("echo", &hotbay_tests::example("echo"));
        other.start();
        other.wait_version("echo", "1.0.0");
        other.call("echo.echo", "");
        other.ok(&["stop", "echo"]);
        std::fs::copy(other.state_file("echo"), bay.state_file("counter")).unwrap();
    });
    assert!(reason.contains("echo"), "{reason}");
}

#[test]
fn one_service_in_quarantine_holds_up_no_other() {
    let mut bay = stored();
    // There is none before it, or there is.
    let _ = std::fs::remove_dir_all(bay.home().join("state").join("older"));
    std::fs::write(bay.state_file("counter"), b"broken").unwrap();
    bay.drop_in("echo", &hotbay_tests::example("echo"));
    bay.start();
    bay.wait_version("echo", "1.0.0");
    bay.wait_phase("counter", Phase::Quarantined);
}

#[test]
fn with_the_right_key_back_it_counts_on() {
    let mut bay = stored();
    let key = std::fs::read(bay.home().join("state.key")).unwrap();
    std::fs::remove_file(bay.home().join("state.key")).unwrap();
    // A new key is made, which opens nothing.
    bay.start();
    bay.wait_phase("counter", Phase::Quarantined);
    bay.kill();
    std::fs::write(bay.home().join("state.key"), key).unwrap();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.add", ""), "2");
}

#[test]
fn counter_next_wrote_a_schema_that_the_version_before_cannot_read() {
    let mut bay = stored();
    bay.drop_in("counter", &fixture("counter_next"));
    bay.start();
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.add", ""), "2");
    bay.ok(&["stop", "counter"]);
    bay.ok(&["start", "counter"]);
    bay.kill();
    let written = std::fs::read(bay.state_file("counter")).unwrap();

    bay.drop_in("counter", &fixture("counter"));
    bay.start();
    let row = bay.wait_for("counter", |row| row.reason.is_some());
    assert_ne!(row.phase, Phase::Running);
    assert!(row.reason.unwrap().contains("schema 2"));
    assert_eq!(std::fs::read(bay.state_file("counter")).unwrap(), written);

    bay.drop_in("counter", &fixture("counter_next"));
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.add", ""), "3");
}

/// A bay whose host ended, with a count of one in store.
fn stored() -> Bay {
    let mut bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay.ok(&["stop", "counter"]);
    bay.ok(&["start", "counter"]);
    bay.kill();
    bay
}
