//! The host dies at each point of a snapshot, of `HEAD` and of a rotation, by injection: what was acknowledged, or newer, is there after,
//! whole, and the next snapshot is taken.

use std::path::{Path, PathBuf};

use hotbay_tests::{Bay, eventually, fixture};
use serde_json::Value;

/// The steps of a file that is written.
const STEPS: [&str; 7] = [
    "file_open_folder",
    "file_create",
    "file_write",
    "file_sync",
    "file_keep",
    "file_rename",
    "file_sync_folder",
];

/// A bay in which snapshots are taken when they are asked for, and more of them than are kept.
fn counted() -> (Bay, u64) {
    let mut bay = Bay::with("[state]\ninterval_ms = 3600000\nkeep = 3\n").up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    let acked = (0..4).fold(0, |_, _| acked(&bay));
    assert_eq!(bay.stop(), Some(0));
    (bay, acked)
}

/// Counts on, and has the count on the disk.
fn acked(bay: &Bay) -> u64 {
    let count = bay.call("counter.add", "").parse().unwrap();
    bay.ok(&["state", "snapshot", "counter"]);
    count
}

/// Starts a host with a fault ahead of it, and looks at what the last one left: `acked` at least, and whole.
fn start(bay: &mut Bay, faults: &str, acked: u64) -> u64 {
    bay.start_with(|command| _ = command.env("FAILPOINTS", faults));
    bay.wait_version("counter", "1.0.0");
    let count: u64 = bay.call("counter.count", "").parse().unwrap();
    assert!((acked..=acked + 1).contains(&count), "{count} is there, and {acked} was acknowledged: {faults}");
    bay.ok(&["state", "verify"]);
    let left: Vec<PathBuf> = files(&bay.home().join("state"));
    let left = left.iter().find(|path| path.to_string_lossy().ends_with(".tmp"));
    assert!(left.is_none(), "{left:?} is left: {faults}");
    count
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_host_that_dies_at_any_point_of_a_snapshot_loses_nothing_that_was_acknowledged() {
    let (mut bay, mut last) = counted();
    // The first snapshot of each host passes, and is acknowledged; the second one is its end.
    let mut faults: Vec<String> =
        STEPS.map(|step| format!("{step}@state/counter.state=1*off->return(kill)")).into();
    // In the middle of the file.
    faults.push("file_short@state/counter.state=1*off->1*return(40)->return(kill)".to_owned());
    // Durable, and not told yet: while one too many is removed, and before it is written.
    faults.push("file_prune@counter=1*off->return(kill)".to_owned());
    faults.push("disk@counter=1*off->return(kill)".to_owned());
    for fault in &faults {
        start(&mut bay, fault, last);
        last = acked(&bay);
        bay.call("counter.add", "");
        let refused = bay.hotbay(&["state", "snapshot", "counter"]);
        assert_ne!(refused.code, 0, "{fault}: {refused:?}");
        bay.wait_death();
    }
    start(&mut bay, "", last);
    acked(&bay);
}

#[test]
fn a_host_that_dies_at_any_point_of_writing_head_loses_nothing_that_was_acknowledged() {
    let (mut bay, mut last) = counted();
    let mut faults: Vec<String> = STEPS.map(|step| format!("{step}@state/HEAD=return(kill)")).into();
    faults.push("file_short@state/HEAD=1*return(20)->return(kill)".to_owned());
    for fault in &faults {
        start(&mut bay, fault, last);
        last = acked(&bay);
        // It is written when the host ends.
        assert_ne!(bay.stop(), Some(0), "{fault}");
    }
    start(&mut bay, "", last);
    acked(&bay);
}

#[test]
fn a_rotation_that_is_killed_in_its_middle_goes_on_at_the_next_start() {
    let (mut bay, count) = counted();
    let keys = |bay: &Bay| -> Vec<(String, u64)> {
        let all: Value = serde_json::from_str(&bay.ok(&["keys", "list", "-o", "json"])).unwrap();
        let key = |key: &Value| (key["id"].as_str().unwrap().to_owned(), key["files"].as_u64().unwrap());
        all.as_array().unwrap().iter().map(key).collect()
    };
    let old = keys(&bay)[0].0.clone();
    // The newest and an older one are sealed anew; the one after them is written, and does not get its name.
    let second = bay.home().join("state").join("older");
    let mut older: Vec<_> = std::fs::read_dir(second).unwrap().map(|e| e.unwrap().file_name()).collect();
    older.sort();
    let name = older[1].to_str().unwrap();
    start(&mut bay, &format!("file_rename@older/{name}=return(kill)"), count);
    // Answered before or after the host is gone: the new key is on the disk before anything is sealed with it.
    let _ = bay.hotbay(&["keys", "rotate"]);
    bay.wait_death();
    let halfway = keys(&bay);
    assert!(halfway.len() == 2 && halfway[1].0 == old, "{halfway:?}");
    assert!(halfway.iter().all(|(_, files)| *files > 0), "neither all nor none: {halfway:?}");
    start(&mut bay, "", count);
    eventually("the rest is sealed anew", || (keys(&bay)[1].1 == 0).then_some(()));
    bay.ok(&["keys", "retire", &old]);
    bay.ok(&["state", "verify"]);
    assert_eq!(acked(&bay), count + 1);
}
