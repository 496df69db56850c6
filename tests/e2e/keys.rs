//! Keys: made, told apart, rotated while a host runs and while none does, retired when nothing needs them.

use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, eventually, fixture};
use serde_json::Value;

fn counted() -> Bay {
    let bay = Bay::started();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    for _ in 0..3 {
        bay.call("counter.add", "");
        bay.ok(&["state", "snapshot", "counter"]);
    }
    bay
}

/// Ids, roles and how many files need each, the primary first.
fn keys(bay: &Bay) -> Vec<(String, String, u64)> {
    let all: Value = serde_json::from_str(&bay.ok(&["keys", "list", "-o", "json"])).unwrap();
    let key = |key: &Value| {
        let text = |name: &str| key[name].as_str().unwrap().to_owned();
        (text("id"), text("role"), key["files"].as_u64().unwrap())
    };
    all.as_array().unwrap().iter().map(key).collect()
}

/// Waits until no file needs another key than the primary.
fn wait_resealed(bay: &Bay) -> Vec<(String, String, u64)> {
    eventually("all is sealed with the new key", || {
        let keys = keys(bay);
        (keys[0].2 > 0 && keys[1..].iter().all(|(.., files)| *files == 0)).then_some(keys)
    })
}

#[test]
fn a_rotation_beside_a_running_host_reseals_all_and_the_old_key_can_go() {
    let mut bay = counted();
    let before = keys(&bay);
    let [(old, role, files)] = &before[..] else { panic!("{before:?}") };
    assert!(role == "primary" && *files >= 3, "{before:?}");
    let needed = bay.hotbay(&["keys", "retire", old]);
    assert_eq!(needed.code, 4, "{needed:?}");
    bay.ok(&["keys", "rotate"]);
    let after = wait_resealed(&bay);
    assert_eq!(after.len(), 2);
    assert_eq!((after[1].0.as_str(), after[1].1.as_str()), (old.as_str(), "reads"));
    eventually("it is told", || bay.ok(&["events"]).contains("resealed").then_some(()));
    bay.call("counter.add", "");
    bay.ok(&["state", "snapshot", "counter"]);
    bay.ok(&["keys", "retire", old]);
    assert_eq!(bay.hotbay(&["keys", "retire", &after[0].0]).code, 4, "the primary stays");
    assert_eq!(bay.hotbay(&["keys", "retire", "0000"]).code, 3);
    bay.ok(&["state", "verify"]);
    bay.kill();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "4");
    assert_eq!(keys(&bay).len(), 1);
}

#[test]
fn a_rotation_that_is_killed_in_its_middle_goes_on_with_the_next_host() {
    let mut bay = counted();
    assert_eq!(bay.stop(), Some(0));
    bay.start_with(|command| _ = command.env("FAILPOINTS", "reseal@counter=1*off->sleep(600000)"));
    bay.wait_version("counter", "1.0.0");
    let old = keys(&bay)[0].0.clone();
    bay.ok(&["keys", "rotate"]);
    eventually("the first file is sealed with the new key", || (keys(&bay)[0].2 > 0).then_some(()));
    assert!(keys(&bay)[1].2 > 0, "the others are not");
    bay.kill();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    wait_resealed(&bay);
    assert_eq!(bay.call("counter.count", ""), "3");
    bay.ok(&["keys", "retire", &old]);
    bay.ok(&["state", "verify"]);
}

#[test]
fn a_rotation_without_a_host_and_one_that_was_cut_off_come_to_their_end() {
    let mut bay = counted();
    assert_eq!(bay.stop(), Some(0));
    let first = keys(&bay)[0].0.clone();
    let rotated = bay.hotbay(&["keys", "rotate"]);
    assert!(rotated.code == 0 && rotated.stderr.contains("sealed anew"), "{rotated:?}");
    assert_eq!(wait_resealed(&bay)[1].0, first);
    // The kept state of a last good version may be damaged; it is no reason to stop halfway.
    let kept = bay.home().join("good").join("counter.state");
    std::fs::write(&kept, "no state").unwrap();
    let resumed = bay.hotbay(&["keys", "rotate", "--resume"]);
    assert!(resumed.code == 0 && resumed.stderr.contains("stays as it is"), "{resumed:?}");
    assert_eq!(keys(&bay).len(), 2, "no key is made");
    // As if a host had died right after the new key was written.
    let text = std::fs::read_to_string(bay.home().join("state.key")).unwrap();
    let third = "5aa5".repeat(16);
    std::fs::write(bay.home().join("state.key"), format!("{third}\n{text}")).unwrap();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(wait_resealed(&bay).len(), 3);
    assert_eq!(bay.call("counter.count", ""), "3");
}

#[test]
fn a_key_is_made_once_and_a_credential_or_the_environment_is_not_written() {
    let bay = Bay::new();
    bay.ok(&["keys", "init"]);
    let again = bay.hotbay(&["keys", "init"]);
    assert_eq!(again.code, 4, "{again:?}");
    assert_eq!(keys(&bay).len(), 1);
    let mut bay = Bay::with("[state]\nkey_env = \"HOTBAY_TEST_KEY\"");
    let key = "5aa5".repeat(8);
    bay.drop_in("counter", &fixture("counter"));
    bay.start_with(|command| _ = command.env("HOTBAY_TEST_KEY", &key));
    bay.wait_version("counter", "1.0.0");
    let log = bay.log();
    assert!(log.contains("HOTBAY_TEST_KEY") && !log.contains(&key), "{log}");
    let refused = bay.hotbay(&["keys", "rotate"]);
    assert!(refused.code == 4 && refused.stderr.contains("restart the host"), "{refused:?}");
}

#[test]
fn several_sources_are_one_ring_and_the_file_is_what_seals() {
    let old = "a55a".repeat(16);
    let mut bay = Bay::with("[state]\nkey_env = \"HOTBAY_TEST_KEY\"");
    bay.drop_in("counter", &fixture("counter"));
    bay.start_with(|command| _ = command.env("HOTBAY_TEST_KEY", &old));
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    assert_eq!(bay.stop(), Some(0));
    let settings = std::fs::read_to_string(bay.path("hotbay.toml")).unwrap();
    let both = settings.replace("key_env", "key_file = \"new.key\"\nkey_env");
    std::fs::write(bay.path("hotbay.toml"), both).unwrap();
    std::fs::write(bay.path("new.key"), "5aa5".repeat(12)).unwrap();
    #[cfg(unix)] // Windows has no such modes.
    std::fs::set_permissions(bay.path("new.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    bay.start_with(|command| _ = command.env("HOTBAY_TEST_KEY", &old));
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "1");
    eventually("all is sealed with the file's key", || {
        let listed = bay.ok(&["state", "show", "counter", "-o", "json"]);
        (!listed.contains("aes-256")).then_some(())
    });
    // Without the old one it goes on.
    assert_eq!(bay.stop(), Some(0));
    std::fs::write(
        bay.path("hotbay.toml"),
        settings.replace("key_env = \"HOTBAY_TEST_KEY\"", "key_file = \"new.key\""),
    )
    .unwrap();
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "1");
}

#[test]
fn a_key_that_was_taken_away_moves_nothing() {
    let mut bay = counted();
    bay.kill();
    let before = std::fs::read(bay.state_file("counter")).unwrap();
    std::fs::write(bay.home().join("state.key"), "5aa5".repeat(16)).unwrap();
    bay.start();
    bay.wait_phase("counter", Phase::Quarantined);
    assert_eq!(std::fs::read(bay.state_file("counter")).unwrap(), before);
    assert!(!bay.home().join("state").join("quarantine").exists());
    let missing = keys(&bay);
    assert!(missing.iter().any(|(_, role, files)| role == "missing" && *files >= 3), "{missing:?}");
    assert_eq!(bay.hotbay(&["state", "verify"]).code, 1);
}

#[test]
fn a_key_file_that_is_gone_is_told_with_the_ids_that_are_missing_and_so_is_a_key_made_in_its_place() {
    let mut bay = counted();
    let id = keys(&bay)[0].0.clone();
    assert_eq!(bay.stop(), Some(0));
    let file = bay.home().join("state.key");
    hotbay_tests::rename(&file, &bay.path("kept.key"));
    let listed = bay.hotbay(&["keys", "list", "-o", "json"]);
    assert!(listed.code == 1 && listed.stderr.contains("error[HB1104]"), "{listed:?}");
    let all: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(
        (&all[0]["id"], &all[0]["role"], &all[1]),
        (&id.clone().into(), &"missing".into(), &Value::Null)
    );
    let files = all[0]["files"].as_u64().unwrap();
    assert!(files >= 3, "{all}");

    let made = bay.hotbay(&["keys", "init"]);
    assert!(made.code == 0 && made.stderr.contains(&format!("none of the {files} files")), "{made:?}");
    assert!(keys(&bay).contains(&(id, "missing".to_owned(), files)));
    hotbay_tests::rename(&bay.path("kept.key"), &file);
    assert_eq!(keys(&bay).len(), 1);
}

#[test]
fn a_key_beside_a_home_that_is_not_there_yet_is_rotated_and_takes_an_import_and_a_mistyped_home_is_not_made()
{
    let bay = Bay::with("[state]\nkey_file = \"outside.key\"");
    let made = bay.hotbay(&["keys", "init", "--config", "hotbay.toml"]);
    assert!(made.code == 0 && !made.stderr.contains("another key"), "{made:?}");
    assert!(!bay.home().exists());
    bay.ok(&["keys", "rotate"]);
    assert_eq!(keys(&bay).len(), 2);
    std::fs::remove_dir_all(bay.home()).unwrap();
    std::fs::write(bay.path("plain"), "{}").unwrap();
    let import =
        ["state", "import", "counter", "plain", "--plain", "--schema", "1", "--from-version", "1.0.0"];
    bay.ok(&import);
    bay.ok(&["state", "verify", "counter"]);

    let bay = Bay::new();
    for command in [&["keys", "rotate"][..], &import] {
        std::fs::write(bay.path("plain"), "{}").unwrap();
        let refused = bay.hotbay(command);
        assert!(refused.code == 1 && refused.stderr.contains("error[HB1104]"), "{refused:?}");
        assert!(!bay.home().exists());
    }
}

#[cfg(target_os = "linux")] // Where the limit can be read of another process.
#[test]
fn a_crash_writes_no_core_and_the_host_still_sees_its_own_mappings() {
    let bay = counted();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", bay.pid())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let words: Vec<&str> = core.split_whitespace().collect();
    assert_eq!(words[4..6], ["1", "1"], "{core}");
    bay.drop_in("counter", &fixture("counter_next"));
    bay.wait_version("counter", "2.0.0");
    let retired = bay.wait_receipt("counter", 1).retired;
    assert_eq!(retired, hotbay::kernel::view::Retired::Unloaded);
}

/// The host of an ordinary user, who is the only other one that could look into it.
#[cfg(target_os = "linux")] // Other systems have nothing of the kind that a program may ask for by itself.
#[test]
fn other_programs_of_its_user_do_not_see_into_a_host_unless_it_is_debuggable() {
    let ordinary = || if hotbay_tests::is_root() { Bay::new().of_user(54322) } else { Bay::new() };
    let sees_in = |bay: &Bay| {
        use std::os::unix::process::CommandExt as _;
        let mut look = std::process::Command::new("head");
        look.args(["-c", "1"]).arg(format!("/proc/{}/environ", bay.pid()));
        if hotbay_tests::is_root() {
            look.uid(54322).gid(54322);
        }
        look.output().unwrap().status.success()
    };
    let mut closed = ordinary();
    closed.start_with(|_| ());
    assert!(!sees_in(&closed));
    let mut open = ordinary();
    open.start();
    assert!(sees_in(&open));

    // The host itself still sees where its threads are: what holds a library is named.
    closed.drop_in("keeps_a_thread", &fixture("keeps_a_thread"));
    closed.wait_version("keeps_a_thread", "1.0.0");
    closed.call("keeps_a_thread.ping", "");
    let next = hotbay_tests::with_version(&fixture("keeps_a_thread"), "1.0.0", "1.1.0");
    closed.drop_bytes("keeps_a_thread", &next);
    closed.wait_version("keeps_a_thread", "1.1.0");
    closed.wait_receipt("keeps_a_thread", 1);
    let pinned = &closed.status("keeps_a_thread").pinned[0];
    assert_eq!(pinned.holders[0].kind, hotbay::kernel::view::HolderKind::Runs, "{}", pinned.reason);
    assert!(!sees_in(&closed));
}

#[cfg(unix)] // Windows: what is made in a folder is its owner's, whoever makes it.
#[test]
fn nothing_is_changed_in_the_home_of_another_user() {
    let mut bay = counted();
    assert_eq!(bay.stop(), Some(0));
    // Who is not root cannot give it away, nor come into this.
    if std::os::unix::fs::chown(bay.home(), Some(4711), None).is_err() {
        return;
    }
    let before = std::fs::read(bay.home().join("state.key")).unwrap();
    let refused = bay.hotbay(&["keys", "rotate"]);
    assert!(refused.code == 4 && refused.stderr.contains("another user"), "{refused:?}");
    assert_eq!(std::fs::read(bay.home().join("state.key")).unwrap(), before);
}

#[test]
fn without_a_host_a_head_of_another_key_is_not_replaced() {
    let mut bay = counted();
    assert_eq!(bay.stop(), Some(0));
    let head = bay.home().join("state").join("HEAD");
    let before = std::fs::read(&head).unwrap();
    std::fs::write(bay.home().join("state.key"), "5aa5".repeat(16)).unwrap();
    std::fs::write(bay.path("plain"), "{}").unwrap();
    let import =
        ["state", "import", "counter", "plain", "--plain", "--schema", "1", "--from-version", "1.0.0"];
    let refused = bay.hotbay(&import);
    assert!(refused.code == 1 && refused.stderr.contains("HEAD"), "{refused:?}");
    assert_eq!(std::fs::read(&head).unwrap(), before);
}
