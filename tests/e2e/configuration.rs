//! What `hotbay run` refuses to start with, and what a plugin's table does.

use hotbay_tests::{Bay, example, run};

#[test]
fn a_slip_in_the_settings_is_shown_with_its_place_and_what_was_meant() {
    let bay = Bay::new();
    for (text, place, hint) in [
        ("[watch]\nsetle_ms = 5\n", "hotbay.toml:2:1", "settle_ms"),
        ("[wach]\n", "hotbay.toml:1:2", "watch"),
        ("[watch]\nsettle_ms = \"soon\"\n", "hotbay.toml:2:13", ""),
        ("[watch\n", "hotbay.toml:1:7", ""),
        ("[log]\nlevel = \"wran\"\n", "hotbay.toml:2:9", "warn"),
    ] {
        std::fs::write(bay.path("hotbay.toml"), text).unwrap();
        let ran = run(&mut bay.run_command());
        assert_eq!(ran.code, 2, "{text}: {ran:?}");
        assert!(ran.stderr.contains(place), "{text}: {ran:?}");
        if !hint.is_empty() {
            assert!(ran.stderr.contains(&format!("did you mean `{hint}`")), "{text}: {ran:?}");
        }
    }
}

#[test]
fn a_second_host_on_the_same_home_is_refused() {
    let mut bay = Bay::started();
    let ran = run(&mut bay.run_command());
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(ran.stderr.contains("another host runs on this home"), "{ran:?}");
    bay.assert_alive();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");

    // The lock goes with its process, however that ends.
    bay.kill();
    bay.start();
    bay.wait_version("echo", "1.0.0");
}

#[test]
fn a_missing_plugins_folder_is_refused_with_advice() {
    let bay = Bay::new();
    std::fs::remove_dir(bay.plugins()).unwrap();
    let ran = run(&mut bay.run_command());
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("plugins") && ran.stderr.contains("--plugins"), "{ran:?}");
    std::fs::write(bay.plugins(), "a file").unwrap();
    let ran = run(&mut bay.run_command());
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("plugins"), "{ran:?}");
}

#[cfg(unix)] // Windows has no such modes.
#[test]
fn an_unreadable_plugins_folder_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    // Root reads every folder.
    let bay = if hotbay_tests::is_root() { Bay::new().of_user(54321) } else { Bay::new() };
    std::fs::set_permissions(bay.plugins(), PermissionsExt::from_mode(0o000)).unwrap();
    let ran = run(&mut bay.run_command());
    std::fs::set_permissions(bay.plugins(), PermissionsExt::from_mode(0o700)).unwrap();
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("failed to read the plugins folder"), "{ran:?}");
}

#[test]
fn a_plugins_table_that_it_does_not_understand_is_its_reason_not_to_start() {
    let bay = Bay::with("[plugin.logger]\nlevel = \"loud\"").up();
    bay.drop_in("logger", &example("logger"));
    bay.drop_in("echo", &example("echo"));
    let row = bay.wait_for("logger", |row| row.reason.is_some());
    assert!(row.reason.unwrap().contains("`plugin.logger.level` is \"loud\""));
    bay.wait_version("echo", "1.0.0");
}

#[test]
fn a_plugins_table_reaches_it_and_the_level_of_the_log_holds() {
    let bay = Bay::with("[log]\nlevel = \"warn\"\n[plugin.logger]\nlevel = \"error\"").up();
    bay.drop_in("logger", &example("logger"));
    bay.wait_version("logger", "1.0.0");
    bay.call("logger.write", "as an error");
    bay.call("logger.info", "not wanted");
    let log = bay.log();
    assert!(log.lines().any(|line| line.contains("as an error") && line.contains("ERROR")), "{log}");
    assert!(!log.contains("not wanted"), "{log}");
}

#[test]
fn without_any_flag_a_host_serves_the_working_directory() {
    let bay = Bay::new();
    bay.drop_in("echo", &example("echo"));
    let mut host = bay.command();
    host.env_remove("HOTBAY_HOME").arg("run").stdout(std::process::Stdio::null());
    let mut host = host.stderr(std::process::Stdio::null()).spawn().unwrap();
    hotbay_tests::eventually("echo answers", || {
        let mut call = bay.command();
        call.env_remove("HOTBAY_HOME").args(["call", "echo.echo", "-d", "hi"]);
        (run(&mut call).stdout == "hi").then_some(())
    });
    host.kill().unwrap();
    host.wait().unwrap();
}
