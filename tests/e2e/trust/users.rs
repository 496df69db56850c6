//! Who could have written a file, by owner and mode, as a user without privileges sees it: for root nothing is closed.

use std::fs::{Permissions, set_permissions};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, eventually, example, give, is_root, library_name};

use super::{add, assert_refused, assert_serves, wait_refused};

/// A user whom the system does not know: none of its groups is its own.
const USER: u32 = 54321;

/// A bay of a user without privileges: of another one where the tests run as root.
fn bay(settings: &str) -> Bay {
    below("", settings)
}

fn below(relative: &str, settings: &str) -> Bay {
    let bay = Bay::below(relative, settings);
    if is_root() { bay.of_user(USER) } else { bay }
}

fn set_mode(path: &Path, mode: u32) {
    set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_unsigned_file_in_a_folder_that_all_can_write_is_refused_until_that_ends() {
    let bay = bay("").up();
    set_mode(&bay.plugins(), 0o777);
    bay.drop_in("echo", &example("echo"));
    wait_refused(&bay, "can be written by everybody");
    // Not from where it was built, which that user may not be let into.
    let built = bay.path(&library_name("built"));
    std::fs::copy(example("echo_v2"), &built).unwrap();
    assert_refused(&add(&bay, &built), "chmod o-w");
    set_mode(&bay.plugins(), 0o755);
    assert_serves(&bay, "1.0.0");
    // What serves is not disturbed when it begins.
    set_mode(&bay.plugins(), 0o777);
    wait_refused(&bay, "can be written by everybody");
    assert_eq!(bay.call("echo.echo", "here"), "here");
}

#[test]
fn a_file_that_all_can_write_is_refused_until_that_ends() {
    let bay = bay("").up();
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
    let file = bay.file("echo_v2");
    std::fs::copy(example("echo_v2"), &file).unwrap();
    set_mode(&file, 0o666);
    wait_refused(&bay, "can be written by everybody");
    assert_eq!(bay.call("echo.echo", "here"), "here");
    set_mode(&file, 0o644);
    assert_serves(&bay, "2.0.0");
}

#[test]
fn a_folder_above_that_a_group_can_write_is_told_of() {
    if !is_root() {
        eprintln!("skipped: only root gives folders to a group that is nobody's own");
        return;
    }
    let bay = below("above/bay", "[trust]\nexposed_home = \"allow\"\n").up();
    let above = bay.path("..");
    set_mode(&above, 0o775);
    bay.drop_in("echo", &example("echo"));
    let row = wait_refused(&bay, "can be written by group 54321");
    let reason = row.reason.unwrap();
    assert!(reason.contains(above.canonicalize().unwrap().to_str().unwrap()), "{reason}");
    set_mode(&above, 0o755);
    assert_serves(&bay, "1.0.0");
}

#[test]
fn a_sticky_folder_above_that_all_can_write_is_accepted() {
    let bay = below("above/bay", "");
    set_mode(&bay.path(".."), 0o1777);
    let bay = bay.up();
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
}

#[test]
fn a_file_of_another_user_is_refused_and_one_of_root_is_taken() {
    if !is_root() {
        eprintln!("skipped: only root gives files to other users");
        return;
    }
    let bay = bay("").up();
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
    let file = bay.path("other");
    std::fs::copy(example("echo_v2"), &file).unwrap();
    chown(&file, Some(12345), None).unwrap();
    std::fs::rename(&file, bay.file("other")).unwrap();
    wait_refused(&bay, "belongs to user 12345");
    assert_serves(&bay, "1.0.0");
    chown(bay.file("other"), Some(0), Some(0)).unwrap();
    assert_serves(&bay, "2.0.0");
}

#[test]
fn a_hard_link_to_a_file_of_another_user_is_refused() {
    if !is_root() {
        eprintln!("skipped: only root gives files to other users");
        return;
    }
    let bay = bay("").up();
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
    let file = bay.path("theirs");
    std::fs::copy(example("echo_v2"), &file).unwrap();
    chown(&file, Some(12345), None).unwrap();
    std::fs::hard_link(&file, bay.file("theirs")).unwrap();
    wait_refused(&bay, "belongs to user 12345");
    assert_eq!(bay.call("echo.echo", "here"), "here");
}

#[test]
fn another_user_commands_no_host_and_reads_no_state() {
    if !is_root() {
        eprintln!("skipped: only root runs programs as two other users");
        return;
    }
    let bay = bay("").up();
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
    let elsewhere = tempfile::tempdir().unwrap();
    let program = elsewhere.path().join("hotbay");
    std::fs::copy(hotbay_tests::hotbay_binary(), &program).unwrap();
    set_mode(elsewhere.path(), 0o755);
    // As open as they can be: what keeps another user out is the host's.
    let mut above = bay.home();
    while above.pop() && above != std::env::temp_dir() {
        set_mode(&above, 0o755);
    }
    for arguments in
        [&["list"][..], &["stop", "echo"], &["call", "echo.echo"], &["state", "verify"], &["keys", "list"]]
    {
        let mut command = Command::new(&program);
        command.args(arguments).env("HOTBAY_HOME", bay.home()).current_dir(elsewhere.path());
        let ran = hotbay_tests::run(command.uid(12345).gid(12345));
        assert!(ran.code != 0 && ran.stdout.is_empty(), "{arguments:?}: {ran:?}");
    }
    assert_eq!(bay.call("echo.echo", "here"), "here");
}

#[test]
fn a_home_folder_that_others_could_exchange_keeps_the_host_from_starting_unless_the_settings_say_otherwise() {
    for (settings, starts) in [("", false), ("[trust]\nexposed_home = \"allow\"\n", true)] {
        let mut bay = below("above/bay", settings);
        set_mode(&bay.path(".."), 0o777);
        if starts {
            bay.start();
            assert!(bay.log().contains("could put another home folder"));
            continue;
        }
        let ran = hotbay_tests::run(&mut bay.run_command());
        assert_refused(&ran, "exposed_home");
        assert!(ran.stderr.contains("can be written by everybody"), "{ran:?}");
    }
}

#[test]
fn root_does_not_take_what_a_user_could_write() {
    if !is_root() {
        eprintln!("skipped: these tests do not run as root");
        return;
    }
    let bay = Bay::started();
    give(&bay.plugins(), USER);
    bay.drop_in("echo", &example("echo"));
    wait_refused(&bay, "belongs to user 54321");
}

#[test]
fn kept_bytes_are_no_better_for_being_kept() {
    let mut bay = bay("[trust]\nunsigned = \"allow\"\n").up();
    set_mode(&bay.plugins(), 0o777);
    bay.drop_in("echo", &example("echo"));
    assert_serves(&bay, "1.0.0");
    assert!(bay.status("echo").trust.unwrap().contains("others could have written it"));
    bay.drop_in("echo", &example("echo_v2"));
    assert_serves(&bay, "2.0.0");
    bay.ok(&["rollback", "echo"]);
    assert_serves(&bay, "1.0.0");
    bay.stop();
    // From now on it matters; the folder is closed, and the version that was rolled back may have come after that.
    set_mode(&bay.plugins(), 0o755);
    let settings = std::fs::read_to_string(bay.path("hotbay.toml")).unwrap();
    std::fs::write(bay.path("hotbay.toml"), settings.replace("unsigned = \"allow\"", "")).unwrap();
    bay.start();
    let why = eventually("the kept version is refused", || {
        let why = bay.ok(&["why", "echo"]);
        why.contains("others could have written it").then_some(why)
    });
    assert!(bay.row("echo").unwrap().phase != Phase::Running, "{why}");
}

#[test]
fn an_access_list_that_lets_another_user_in_counts_although_the_group_is_ones_own() {
    let bay = Bay::started();
    let run = |program: &str, words: &[&str]| {
        let done = Command::new(program).args(words).arg(bay.plugins()).output();
        done.is_ok_and(|done| done.status.success())
    };
    if !is_root() || !run("setfacl", &["-m", "u:12345:rwx"]) {
        eprintln!(
            "skipped: there is no `setfacl` here, no such list on this file system, or this is not root"
        );
        return;
    }
    bay.drop_in("echo", &example("echo"));
    wait_refused(&bay, "can be written by group 0");
    assert!(run("setfacl", &["-b"]));
    set_mode(&bay.plugins(), 0o755);
    assert_serves(&bay, "1.0.0");
}
