//! A file that appears becomes a service; a file that goes stops one.

use std::io::Write as _;

use hotbay::kernel::view::{Phase, Retired};
use hotbay_tests::{Bay, edited, example, fixture, never_within, with_version};

#[test]
fn a_dropped_plugin_answers() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    let row = bay.wait_version("echo", "1.0.0");
    assert_eq!((row.generation, row.reason), (Some(1), None));
    assert_eq!(row.source.unwrap().file_name(), bay.file("echo").file_name());
    assert_eq!(row.digest.unwrap().len(), 64);
    assert_eq!(bay.call("echo.echo", "hello"), "hello");
    assert_eq!(bay.call("echo.handle", ""), "echo service handled");
    assert_eq!(bay.call("echo.count", ""), "2");
}

#[test]
fn a_plugin_that_lay_there_before_the_host_is_found_at_start() {
    let bay = Bay::new();
    bay.drop_in("echo", &example("echo"));
    let bay = bay.up();
    bay.wait_version("echo", "1.0.0");
}

#[test]
fn a_hard_link_is_a_drop_in() {
    let bay = Bay::started();
    let built = bay.path("built");
    std::fs::copy(example("echo"), &built).unwrap();
    std::fs::hard_link(built, bay.file("echo")).unwrap();
    bay.wait_version("echo", "1.0.0");
}

#[cfg(unix)] // Windows gives symbolic links to administrators only.
#[test]
fn a_symbolic_link_is_not_followed_and_what_is_behind_it_can_be_added() {
    let bay = Bay::started();
    let link = bay.file("echo");
    std::os::unix::fs::symlink(example("echo"), &link).unwrap();
    let row = hotbay_tests::eventually("the link is refused", || {
        bay.rows().into_iter().find(|row| row.phase == Phase::Rejected)
    });
    let reason = row.reason.unwrap();
    assert!(reason.contains("link") && reason.contains("hotbay add"), "{reason}");
    assert_eq!(bay.hotbay(&["check", link.to_str().unwrap()]).code, 4);
    // From elsewhere it stands for its file; here that takes its place.
    let elsewhere = bay.path(link.file_name().unwrap().to_str().unwrap());
    std::fs::rename(&link, &elsewhere).unwrap();
    bay.ok(&["add", elsewhere.to_str().unwrap()]);
    assert!(!link.is_symlink());
    bay.wait_version("echo", "1.0.0");
}

#[test]
fn a_file_that_is_being_written_is_taken_when_it_is_whole() {
    let bay = Bay::started();
    let bytes = std::fs::read(example("echo")).unwrap();
    let mut file = std::fs::File::create(bay.file("echo")).unwrap();
    for piece in bytes.chunks(bytes.len() / 8) {
        assert_eq!(bay.row("echo").filter(|row| row.phase == Phase::Running), None);
        file.write_all(piece).unwrap();
        file.flush().unwrap();
    }
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.call("echo.echo", "whole"), "whole");
}

#[test]
fn blanks_other_alphabets_and_a_path_beyond_every_limit_are_no_hindrance() {
    // Over the 107 characters of a Unix socket; and, but for wine, which cannot tell the full name of such a path, over the 260
    // that are too many for Windows.
    let folders = ["sixteen letters!"; if cfg!(windows) { 6 } else { 16 }];
    let deep = format!("a bay, Küche/機/{}", folders.join("/"));
    let bay = Bay::below(&deep, "").up();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    assert_eq!(bay.call("echo.echo", "hello"), "hello");
    assert_eq!(bay.wait_receipt("echo", 1).retired, Retired::Unloaded);
}

#[test]
fn other_files_in_the_folder_are_nobodys_business() {
    let bay = Bay::started();
    std::fs::write(bay.plugins().join("README.txt"), "not a plugin").unwrap();
    std::fs::create_dir(bay.plugins().join("folder")).unwrap();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.rows().len(), 1);
}

#[test]
fn many_at_once_all_come() {
    let bay = Bay::started();
    let names: Vec<String> = (0..10).map(|n| format!("bas{n}")).collect();
    for name in &names {
        let named = format!("\"name\":\"{name}\"");
        bay.drop_bytes(name, &edited(&fixture("base"), r#""name":"base""#, &named));
    }
    for name in &names {
        bay.wait_version(name, "1.0.0");
        assert_eq!(bay.call(&format!("{name}.ping"), ""), "pong");
    }
}

#[cfg(not(windows))] // Windows keeps a folder that is watched from being renamed.
#[test]
fn a_folder_that_goes_away_takes_no_service_along_and_is_watched_again() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    std::fs::rename(bay.plugins(), bay.path("away")).unwrap();
    // Beyond the grace of these tests.
    never_within(std::time::Duration::from_millis(900), "the service stops", || {
        bay.hotbay(&["call", "echo.echo", "-d", "x"]).code != 0
    });
    std::fs::rename(bay.path("away"), bay.plugins()).unwrap();
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
}

#[test]
fn a_folder_that_tells_nothing_is_polled() {
    let bay = Bay::with("[watch]\nmode = \"poll\"").up();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
}

#[test]
fn a_deleted_file_stops_its_service_and_keeps_its_state_for_the_next_time() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.call("echo.echo", "");
    std::fs::remove_file(bay.file("echo")).unwrap();
    bay.wait_gone("echo");
    assert_eq!(bay.hotbay(&["call", "echo.count"]).code, 3);
    assert!(bay.state_file("echo").is_file());

    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.call("echo.count", ""), "1");
}

#[test]
fn a_deletion_counts_only_after_the_grace() {
    let bay = Bay::with("[watch]\ngrace_ms = 20000").up();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    std::fs::remove_file(bay.file("echo")).unwrap();
    never_within(std::time::Duration::from_millis(800), "the service stops within the grace", || {
        bay.hotbay(&["call", "echo.echo", "-d", "x"]).code != 0
    });
}

#[test]
fn changes_made_while_the_host_was_down_are_found_at_start() {
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.drop_in("logger", &example("logger"));
    bay.wait_version("logger", "1.0.0");
    bay.wait_version("echo", "1.0.0");
    for _ in 0..3 {
        bay.call("echo.echo", "");
    }
    // A stop writes the state.
    bay.ok(&["stop", "echo"]);
    bay.ok(&["start", "echo"]);
    bay.kill();

    bay.drop_in("echo", &example("echo_v2"));
    std::fs::remove_file(bay.file("logger")).unwrap();
    bay.drop_in("counter", &fixture("counter"));
    bay.start();
    bay.wait_version("echo", "2.0.0");
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.row("logger"), None);
    assert_eq!(bay.call("echo.count", ""), "3");
}

#[test]
fn of_two_files_with_one_service_the_highest_version_runs_and_the_other_takes_over() {
    let bay = Bay::started();
    bay.drop_in("low", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.drop_bytes("high", &with_version(&example("echo"), "1.0.0", "1.5.0"));
    bay.wait_version("echo", "1.5.0");
    let shadow = bay.wait_phase("echo", Phase::Shadowed);
    assert_eq!(shadow.version.as_deref(), Some("1.0.0"));
    assert!(shadow.reason.unwrap().contains("1.5.0"));

    std::fs::remove_file(bay.file("high")).unwrap();
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.rows().len(), 1);
}

#[test]
fn of_the_same_version_twice_the_one_that_runs_stays() {
    let bay = Bay::started();
    bay.drop_in("zzz", &example("echo"));
    let first = bay.wait_version("echo", "1.0.0");
    // The same version from other bytes: a key of the manifest has another name.
    let other = edited(&example("echo"), r#""capabilities":[]"#, r#""kapabilities":[]"#);
    bay.drop_bytes("aaa", &other);
    let shadow = bay.wait_phase("echo", Phase::Shadowed);
    assert_eq!(shadow.source.unwrap().file_name(), bay.file("aaa").file_name());
    assert_eq!(bay.wait_phase("echo", Phase::Running), first);
}

#[test]
fn a_lower_version_that_cannot_read_the_state_does_not_take_over_empty() {
    let bay = Bay::started();
    bay.drop_in("low", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    bay.drop_in("high", &fixture("counter_next"));
    bay.wait_version("counter", "2.0.0");
    bay.call("counter.add", "");
    std::fs::remove_file(bay.file("high")).unwrap();
    let row =
        bay.wait_for("counter", |row| row.reason.as_ref().is_some_and(|reason| reason.contains("schema 2")));
    assert_ne!(row.phase, Phase::Running);
    assert_ne!(bay.hotbay(&["call", "counter.count"]).code, 0);

    bay.drop_in("high", &fixture("counter_next"));
    bay.wait_version("counter", "2.0.0");
    assert_eq!(bay.call("counter.add", ""), "3");
}

#[test]
fn of_versions_added_at_once_the_highest_stands() {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.call("echo.echo", "");
    std::thread::scope(|scope| {
        for version in ["1.1.0", "1.2.0", "1.3.0", "1.4.0"] {
            let bay = &bay;
            scope.spawn(move || {
                let name = format!("echo-{version}{}", std::env::consts::DLL_SUFFIX);
                std::fs::write(bay.path(&name), with_version(&example("echo"), "1.0.0", version)).unwrap();
                let ran = bay.hotbay(&["add", &name]);
                // Live, or in the shadow of a higher one by then.
                assert!(ran.code == 0 || ran.stderr.contains("shadow"), "{version}: {ran:?}");
            });
        }
    });
    bay.wait_version("echo", "1.4.0");
    assert_eq!(bay.call("echo.count", ""), "1");
    assert_eq!(bay.rows().iter().filter(|row| row.phase == Phase::Shadowed).count(), 4);
}
