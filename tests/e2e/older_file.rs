//! A file that does not read the state that there is, found when the service starts: dropped a moment before the host died, or while there was
//! none. Who wrote the state serves first, and hands it over or serves on.

use hotbay::kernel::view::{Outcome, Phase};
use hotbay_tests::{Bay, eventually, fixture};

/// Counter 2.0.0, called three times, all of it on the disk.
fn counted_by(plugin: &str) -> Bay {
    let bay = Bay::started();
    bay.drop_in("counter", &fixture(plugin));
    bay.wait_version("counter", "2.0.0");
    for _ in 0..3 {
        bay.call("counter.add", "");
    }
    bay.ok(&["state", "snapshot", "counter"]);
    bay
}

#[test]
fn counter_of_an_older_version_dropped_before_the_host_died_takes_over_by_the_step_down() {
    let mut bay = counted_by("counter_steps_down");
    bay.kill();
    bay.drop_in("counter", &fixture("counter"));
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "3");
    let receipt = bay.wait_receipt("counter", 1);
    assert_eq!(receipt.outcome, Outcome::Committed, "{receipt:?}");
    assert_eq!((receipt.from.version.as_str(), receipt.to.version.as_str()), ("2.0.0", "1.0.0"));
    // It goes on as if it had been swapped in: also after the next death.
    bay.call("counter.add", "");
    bay.ok(&["state", "snapshot", "counter"]);
    bay.kill();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "4");
    assert_eq!(bay.wait_receipt("counter", 1).unix_ms, receipt.unix_ms, "without another swap");
}

#[test]
fn counter_of_an_older_version_dropped_while_no_host_ran_takes_over_by_the_step_down() {
    let mut bay = counted_by("counter_steps_down");
    assert_eq!(bay.stop(), Some(0));
    bay.drop_in("counter", &fixture("counter"));
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "3");
}

#[test]
fn counter_of_an_older_version_is_rejected_where_there_is_no_step_and_who_wrote_the_state_serves() {
    let mut bay = counted_by("counter_next");
    for attempt in 1..=2 {
        bay.kill();
        bay.drop_in("counter", &fixture("counter"));
        bay.start();
        bay.wait_version("counter", "2.0.0");
        assert_eq!(bay.wait_receipt("counter", attempt).outcome, Outcome::RolledBack);
        assert_eq!(bay.call("counter.count", ""), "3");
        let status = eventually("the older file is told apart", || {
            let status = bay.status("counter");
            (!status.candidates.is_empty()).then_some(status)
        });
        assert_eq!(status.row.phase, Phase::Running, "{status:?}");
        let [older] = &status.candidates[..] else { panic!("{status:?}") };
        assert_eq!((older.version.as_deref(), older.phase), (Some("1.0.0"), Phase::Rejected), "{older:?}");
        assert!(older.reason.as_ref().is_some_and(|why| why.contains("it has schema 2")), "{older:?}");
    }
    // The newer file back in its place is what serves.
    bay.drop_in("counter", &fixture("counter_next"));
    bay.ok(&["reload", "counter"]);
    assert_eq!(bay.call("counter.add", ""), "4");
}

#[test]
fn counter_of_an_older_version_started_after_a_stop_takes_over_by_the_step_down() {
    let bay = counted_by("counter_steps_down");
    bay.ok(&["stop", "counter"]);
    bay.drop_in("counter", &fixture("counter"));
    bay.ok(&["start", "counter"]);
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "3");
}

#[test]
fn counter_whose_kept_bytes_are_damaged_is_faulted_with_both_reasons_until_it_is_begun_anew() {
    let mut bay = counted_by("counter_next");
    bay.kill();
    bay.drop_in("counter", &fixture("counter"));
    let kept = std::fs::read_dir(bay.home().join("served")).unwrap().map(|file| file.unwrap().path());
    let kept: Vec<_> = kept.filter(|path| path.extension().is_some_and(|e| e != "json")).collect();
    let [kept] = &kept[..] else { panic!("{kept:?}") };
    std::fs::write(kept, "no library").unwrap();
    bay.start();
    let row = bay.wait_phase("counter", Phase::Faulted);
    let reason = row.reason.unwrap_or_default();
    assert!(reason.contains("it has schema 2") && reason.contains("could not hand it over"), "{reason}");
    bay.ok(&["start", "counter", "--fresh"]);
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "0");
}

#[test]
fn counter_whose_file_was_taken_away_is_not_brought_back_by_an_older_one() {
    let bay = counted_by("counter_steps_down");
    std::fs::remove_file(bay.file("counter")).unwrap();
    bay.wait_gone("counter");
    bay.drop_in("counter", &fixture("counter"));
    let row = bay.wait_phase("counter", Phase::Faulted);
    assert!(row.reason.is_some_and(|reason| reason.contains("it has schema 2")));
}
