//! What is verified is what is mapped: a sealed file in memory where the system has such, else a private copy; and what serves
//! has a copy on disk, to be kept when it is replaced.

use std::path::PathBuf;

use hotbay::kernel::view::{Outcome, Retired};
use hotbay_tests::{Bay, eventually, example, is_mapped};

/// The copies on disk of what is loaded.
fn copies(bay: &Bay) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(bay.home().join("staged")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn replaced(bay: &Bay) {
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.call("echo.handle", ""), "echo service handled");
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    assert_eq!(bay.call("echo.count", ""), "1");
    let receipt = bay.wait_receipt("echo", 1);
    assert_eq!((receipt.outcome, receipt.retired), (Outcome::Committed, Retired::Unloaded));
}

#[test]
#[cfg(target_os = "linux")] // No other system has sealed files.
fn what_is_mapped_is_a_sealed_file_in_memory_by_whose_name_the_journal_tells_the_generation() {
    use hotbay::kernel::view::Event;
    let bay = Bay::started();
    replaced(&bay);
    let loaded = |version: &str| {
        let events = bay.ok(&["events", "-o", "json"]);
        let mut events = events.lines().map(|line| serde_json::from_str::<Event>(line).unwrap());
        let of = |event: &Event| event.kind == "loaded" && event.version.as_deref() == Some(version);
        let text = events.rfind(of).unwrap().text;
        text.split_whitespace().find(|word| word.starts_with("/memfd:")).unwrap().to_owned()
    };
    let (old, new) = (loaded("1.0.0"), loaded("2.0.0"));
    assert!(old != new && new.contains("echo"), "{old} {new}");
    let mapped = |name: &str| is_mapped(bay.pid(), &format!("{name} (deleted)"));
    assert_eq!((mapped(&old), mapped(&new)), (Some(false), Some(true)));
    for copy in copies(&bay) {
        assert_eq!(is_mapped(bay.pid(), copy.to_str().unwrap()), Some(false));
    }
    // The very object that the host maps is open in it, and cannot be written to.
    let open = std::fs::read_dir(format!("/proc/{}/fd", bay.pid())).unwrap().flatten();
    let of = |path: &PathBuf| std::fs::read_link(path).is_ok_and(|to| to.to_str().unwrap().starts_with(&new));
    let object = open.map(|entry| entry.path()).find(of).unwrap();
    assert_eq!(std::fs::read(&object).unwrap(), std::fs::read(example("echo_v2")).unwrap());
    let mut file = std::fs::File::options().write(true).open(&object).unwrap();
    std::io::Write::write_all(&mut file, b"x").unwrap_err();
}

#[test]
fn where_sealed_files_are_refused_private_copies_are_mapped_and_all_goes_on() {
    let mut bay = Bay::new();
    bay.start_with(|command| {
        _ = command.arg("--debuggable").env("FAILPOINTS", "sealed_file=return(no such call)")
    });
    replaced(&bay);
    // Windows removes the old one some time later.
    let copies = eventually("one copy is left", || Some(copies(&bay)).filter(|copies| copies.len() == 1));
    assert_ne!(is_mapped(bay.pid(), copies[0].to_str().unwrap()), Some(false));
    assert_eq!(
        bay.log().matches("staged as files").count(),
        usize::from(cfg!(target_os = "linux")),
        "{}",
        bay.log()
    );
    bay.ok(&["rollback", "echo"]);
    assert_eq!(bay.call("echo.handle", ""), "echo service handled");
}

#[test]
fn a_copy_that_somebody_writes_to_before_it_is_mapped_never_runs() {
    let mut bay = Bay::new();
    bay.start_with(|command| {
        _ = command.env("FAILPOINTS", "sealed_file=return(no such call);load@echo=sleep(4000)");
    });
    bay.drop_in("echo", &example("echo"));
    let copy = eventually("it is staged", || copies(&bay).pop());
    let open = || {
        #[cfg(unix)]
        std::fs::set_permissions(&copy, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        std::fs::write(&copy, std::fs::read(example("echo_v2"))?)
    };
    // Windows: who maps it lets nobody write, from the moment that it was staged. It may still be staging.
    if cfg!(windows) {
        let error = open().unwrap_err();
        bay.wait_version("echo", "1.0.0");
        assert_eq!(bay.call("echo.handle", ""), "echo service handled", "{error}");
        return;
    }
    open().unwrap();
    let why = eventually("it is refused", || {
        Some(bay.hotbay(&["why", "echo"]).stdout).filter(|why| why.contains("HB0512"))
    });
    assert!(why.contains("operator") && bay.row("echo").is_none_or(|row| row.generation.is_none()), "{why}");
    bay.hotbay(&["reload", "echo"]);
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.call("echo.handle", ""), "echo service handled");
}

#[test]
#[cfg(target_os = "linux")] // Elsewhere what is mapped lies on the disk.
fn a_disk_that_takes_nothing_stops_no_load_and_costs_the_way_back_alone() {
    let bay = Bay::started();
    // As good as full.
    std::fs::remove_dir_all(bay.home().join("staged")).unwrap();
    replaced(&bay);
    let log = bay.log();
    assert!(log.contains("failed to write version 1.0.0 down"), "{log}");
    assert!(log.contains("failed to keep version 1.0.0"), "{log}");
    let refused = bay.hotbay(&["rollback", "echo"]);
    assert_eq!(refused.code, 4, "{refused:?}");
}

#[test]
fn a_copy_that_failed_is_written_when_the_version_is_replaced() {
    let mut bay = Bay::new();
    bay.start_with(|command| _ = command.env("FAILPOINTS", "copy@echo=1*return(no luck)"));
    replaced(&bay);
    assert!(bay.log().contains("failed to write version 1.0.0 down"), "{}", bay.log());
    bay.ok(&["rollback", "echo"]);
    assert_eq!(bay.call("echo.handle", ""), "echo service handled");
}

#[test]
fn what_serves_is_on_disk_before_the_next_one_runs_and_a_host_that_is_killed_then_finds_it() {
    let mut bay = Bay::new();
    bay.start_with(|command| _ = command.env("FAILPOINTS", "load@echo=1*off->pause"));
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let copies = copies(&bay);
    let [copy] = &copies[..] else { panic!("{copies:?}") };
    assert_eq!(std::fs::read(copy).unwrap(), std::fs::read(example("echo")).unwrap());
    bay.drop_in("echo", &example("echo_v2"));
    let record = bay.home().join("pending").join("echo.json");
    eventually("the version that serves is kept", || record.is_file().then_some(()));
    bay.kill();

    bay.start();
    bay.wait_version("echo", "2.0.0");
    bay.ok(&["rollback", "echo"]);
    assert_eq!(bay.call("echo.handle", ""), "echo service handled");
}
