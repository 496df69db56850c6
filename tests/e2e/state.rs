//! State goes on: over swaps, restarts and crashes; sealed.

use hotbay::kernel::view::{Outcome, Phase};
use hotbay_tests::{Bay, eventually, example, fixture, with_version};

#[test]
fn a_new_schema_takes_the_old_state_along() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.call("echo.echo", "");
    bay.call("echo.echo", "");
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    assert_eq!(bay.call("echo.by_method", ""), r#"{"before":2}"#);
    let receipt = bay.wait_receipt("echo", 1);
    assert_eq!(receipt.outcome, Outcome::Committed);
    assert_eq!(receipt.state_bytes, br#"{"count":2}"#.len() as u64);
}

#[test]
fn counter_refuses_to_go_back_to_a_version_that_cannot_read_the_state() {
    let bay = Bay::started();
    let named = bay.file("counter").file_name().unwrap().to_str().unwrap().to_owned();
    let add = |fixture_name: &str| {
        std::fs::copy(fixture(fixture_name), bay.path(&named)).unwrap();
        bay.hotbay(&["add", &named])
    };
    assert_eq!(add("counter").code, 0);
    bay.call("counter.add", "");
    assert_eq!(add("counter_next").code, 0);
    assert_eq!(bay.call("counter.add", ""), "2");

    let back = add("counter");
    assert_eq!(back.code, 5, "{back:?}");
    assert!(back.stderr.contains("schema 2"), "{back:?}");
    assert_eq!(bay.call("counter.add", ""), "3");
    let row = bay.row("counter").unwrap();
    assert_eq!((row.version.as_deref(), row.generation), (Some("2.0.0"), Some(2)));
    let receipt = bay.wait_receipt("counter", 2);
    assert_eq!(receipt.outcome, Outcome::RolledBack);
    assert!(receipt.reason.unwrap().contains("schema 2"));
    assert_eq!((receipt.to.version.as_str(), receipt.to.generation), ("1.0.0", 3));
}

#[test]
fn fails_in_import_and_the_old_version_counts_on() {
    let bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay.drop_in("counter", &fixture("fails_in_import"));
    let receipt = bay.wait_receipt("counter", 1);
    assert_eq!(receipt.outcome, Outcome::RolledBack);
    assert!(receipt.reason.unwrap().contains("tea leaves"));
    assert_eq!(bay.call("counter.add", ""), "2");

    // The rejected bytes are not tried again until they change, and then a good version takes over.
    bay.drop_bytes("counter", &with_version(&fixture("counter"), "1.0.0", "1.1.0"));
    assert_eq!(bay.wait_version("counter", "1.1.0").generation, Some(2));
    assert_eq!(bay.history("counter").len(), 2);
    assert_eq!(bay.call("counter.add", ""), "3");
}

#[test]
fn counter_goes_on_after_a_restart() {
    let mut bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay.call("counter.add", "");
    assert_eq!(bay.stop(), Some(0));
    bay.start();
    assert_eq!(bay.wait_version("counter", "1.0.0").generation, Some(1));
    assert_eq!(bay.call("counter.add", ""), "3");
}

#[test]
fn a_power_cut_keeps_the_last_snapshot() {
    let mut bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    for _ in 0..5 {
        bay.call("counter.add", "");
    }
    let sequence = bay.status("counter").snapshot.map_or(0, |snapshot| snapshot.sequence);
    // What was counted is in the snapshot after next at the latest: the next may have been under way. And there is a next one only of
    // what goes on to change.
    eventually("the snapshot after next", || {
        bay.call("counter.add", "");
        bay.status("counter").snapshot.filter(|snapshot| snapshot.sequence > sequence + 1)
    });
    let count = bay.call("counter.add", "");
    bay.kill();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    let after: u32 = bay.call("counter.count", "").parse().unwrap();
    assert!((5..=count.parse().unwrap()).contains(&after), "{after} of {count} are left");
}

#[test]
fn state_that_does_not_change_is_not_written_again() {
    let bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    let snapshot = || bay.status("counter").snapshot.map(|snapshot| snapshot.sequence);
    // Several intervals without a call.
    let mut last = (None, 0);
    eventually("an interval without a snapshot", || {
        let now = snapshot();
        last = if now.is_some() && now == last.0 { (now, last.1 + 1) } else { (now, 0) };
        (last.1 > 40).then_some(())
    });
}

#[test]
fn state_at_rest_is_sealed_and_its_owners_own() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.call("echo.echo", "");
    bay.ok(&["stop", "echo"]);
    let bytes = std::fs::read(bay.state_file("echo")).unwrap();
    assert!(!bytes.windows(7).any(|window| window == b"\"count\""), "the state stands there in the clear");
    #[cfg(unix)] // Windows has no such modes; there the folder's access list says it.
    for path in [bay.state_file("echo"), bay.home().join("state.key")] {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} is {mode:o}", path.display());
    }
}

#[test]
fn a_working_directory_shows_plugins_and_settings_and_no_more() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let mut names: Vec<_> = std::fs::read_dir(bay.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    // The log is this test's own.
    assert_eq!(names, [".hotbay", "host.log", "hotbay.toml", "plugins"]);
}

#[test]
fn the_key_is_16_24_or_32_bytes_from_a_file_or_the_environment() {
    for (bytes, length) in [(16, 32), (24, 48), (32, 64)] {
        let mut bay = Bay::with("[state]\nkey_file = \"my.key\"");
        std::fs::write(bay.path("my.key"), "5a0f".repeat(bytes / 2)).unwrap();
        #[cfg(unix)] // as above
        std::fs::set_permissions(bay.path("my.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
            .unwrap();
        assert_eq!(std::fs::metadata(bay.path("my.key")).unwrap().len(), length);
        bay.drop_in("counter", &fixture("counter"));
        bay.start();
        bay.wait_version("counter", "1.0.0");
        bay.call("counter.add", "");
        bay.ok(&["stop", "counter"]);
        bay.kill();
        bay.start();
        bay.wait_phase("counter", Phase::Stopped);
        bay.ok(&["start", "counter"]);
        assert_eq!(bay.call("counter.add", ""), "2");
        assert!(!bay.home().join("state.key").exists(), "a key was made though one was given");
    }
}

#[test]
fn the_state_list_names_what_is_stored() {
    let mut bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay.ok(&["stop", "counter"]);
    bay.kill();
    // Without a host, and without the key.
    std::fs::remove_file(bay.home().join("state.key")).unwrap();
    assert!(bay.ok(&["state", "list"]).contains("counter"));
    let shown = bay.ok(&["state", "show", "counter", "-o", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!((&shown["service"], &shown["header"]["schema"]), (&"counter".into(), &1.into()));
    assert_eq!(bay.hotbay(&["state", "show", "nobody"]).code, 3);
}
