//! State as files that are given out and taken in: what is wrong with one is told of that one.

use hotbay_tests::{Bay, Ran, fixture};

/// Two snapshots of a service, of a host on whose clock none is taken.
fn with_two() -> Bay {
    let bay = Bay::with("[state]\ninterval_ms = 3600000").up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    for _ in 0..2 {
        bay.call("counter.add", "");
        bay.ok(&["state", "snapshot", "counter"]);
    }
    bay
}

/// Changes the last byte.
fn damage(file: &std::path::Path) {
    let mut bytes = std::fs::read(file).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[track_caller]
fn assert_tells(ran: &Ran, code: &str, words: &[&str], never: &[&str]) {
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
    assert!(ran.stderr.starts_with(&format!("error[{code}]: ")), "{ran:?}");
    for word in words {
        assert!(ran.stderr.contains(word), "no `{word}` in {ran:?}");
    }
    for word in never {
        assert!(!ran.stderr.contains(word), "`{word}` in {ran:?}");
    }
}

#[test]
fn a_damaged_snapshot_that_is_to_be_exported_is_named_and_not_the_disk_that_is_written_to() {
    let mut bay = with_two();
    assert_eq!(bay.stop(), Some(0));
    let shown: serde_json::Value =
        serde_json::from_str(&bay.ok(&["state", "show", "counter", "-o", "json"])).unwrap();
    let older = &shown["older"][0];
    let number = older["header"]["sequence"].to_string();
    let older = std::path::PathBuf::from(older["file"].as_str().unwrap());
    let disk = ["disk is full", "temporary", "x1"];

    damage(&older);
    let name = older.file_name().unwrap().to_str().unwrap();
    for to in ["x1", "-"] {
        let ran = bay.hotbay(&["state", "export", "counter", to, "--at", &number]);
        assert_tells(&ran, "HB1007", &[name], &disk);
    }
    assert_tells(&bay.hotbay(&["state", "diff", "counter"]), "HB1007", &["failed to compare"], &[]);

    damage(&bay.state_file("counter"));
    for more in [&["x1"][..], &["x1", "--plain"], &["-"]] {
        let ran = bay.hotbay(&[&["state", "export", "counter"], more].concat());
        assert_tells(&ran, "HB1007", &["counter.state: authenticate chunk 0"], &disk);
    }
    let entries = std::fs::read_dir(bay.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let left: Vec<_> = entries.filter(|name| name.to_string_lossy().contains("x1")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_damaged_head_is_told_as_what_it_is_a_byte_as_where_states_part_and_services_as_those_that_there_are() {
    let mut bay = with_two();
    assert_eq!(bay.stop(), Some(0));
    let missing = bay.hotbay(&["state", "export", "nosuch", "-"]);
    assert!(missing.code == 3 && missing.stderr.contains("; there are: counter\n"), "{missing:?}");

    // No JSON.
    for (text, file) in [("counted 1", "one"), ("counted 2", "two")] {
        std::fs::write(bay.path(file), text).unwrap();
        let plain = ["--plain", "--schema", "1", "--from-version", "1.0.0"];
        bay.ok(&[&["state", "import", "text", file][..], &plain].concat());
    }
    let diff = bay.ok(&["state", "diff", "text"]);
    assert!(diff.contains("changed from byte 8 on"), "{diff}");

    let head = bay.home().join("state").join("HEAD");
    damage(&head);
    let verified = bay.hotbay(&["state", "verify"]);
    let told = "HEAD, which tells old snapshots from new ones: it was damaged or changed; a host that runs here sets it aside";
    assert!(verified.code == 1 && verified.stderr.contains(told), "{verified:?}");
    assert!(!verified.stderr.contains("chunk"), "{verified:?}");
}

#[test]
fn a_home_that_is_not_there_is_not_found_to_be_well_and_is_not_made() {
    let bay = Bay::new();
    for command in [&["state", "verify"][..], &["state", "verify", "counter"], &["state", "prune"]] {
        let ran = bay.hotbay(command);
        assert_eq!((ran.code, ran.stdout.as_str()), (3, ""), "{ran:?}");
        for words in ["error[HB1020]: failed to find the home folder", ".hotbay", "`--home`"] {
            assert!(ran.stderr.contains(words), "no `{words}` in {ran:?}");
        }
    }
    assert!(!bay.home().exists());
    // There, and empty.
    std::fs::create_dir(bay.home()).unwrap();
    bay.ok(&["state", "verify"]);
}

#[test]
fn a_file_that_cannot_be_imported_is_named_and_the_state_that_is_there_is_not() {
    let mut bay = with_two();
    bay.ok(&["stop", "counter"]);
    bay.ok(&["state", "export", "counter", "whole"]);
    std::fs::write(bay.path("text"), "no state").unwrap();
    std::fs::write(bay.path("cut"), &std::fs::read(bay.path("whole")).unwrap()[..150]).unwrap();
    std::fs::copy(bay.path("whole"), bay.path("damaged")).unwrap();
    damage(&bay.path("damaged"));
    let before = std::fs::read(bay.state_file("counter")).unwrap();

    let bad = [("text", "HB1001", "--plain"), ("cut", "HB1002", "copy"), ("damaged", "HB1007", "copy")];
    let all_are_told = |bay: &Bay| {
        for (file, code, next) in bad {
            let ran = bay.hotbay(&["state", "import", "counter", file]);
            let named = format!("]: {file}: failed to take it as state of counter: ");
            assert_tells(&ran, code, &[&named, next], &["counter.state", "aside"]);
        }
        let ran = bay.hotbay(&["state", "import", "kv", "whole"]);
        let words = ["]: whole: failed to take it as state of kv", "it is the state of counter"];
        assert_tells(&ran, "HB1005", &words, &["kv.state"]);
    };
    all_are_told(&bay);
    assert_eq!(bay.stop(), Some(0));
    all_are_told(&bay);
    assert_eq!(std::fs::read(bay.state_file("counter")).unwrap(), before);
    bay.ok(&["state", "import", "counter", "whole"]);
}
