//! `hotbay doctor` and `hotbay completions`.

use hotbay_tests::{Bay, Ran};
use serde_json::Value;

fn doctor(bay: &Bay) -> (Ran, Vec<Value>) {
    let plugins = bay.plugins().display().to_string();
    let config = bay.path("hotbay.toml").display().to_string();
    let ran = bay.hotbay(&["doctor", "--plugins", &plugins, "--config", &config, "-o", "json"]);
    let findings = serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error} in {ran:?}"));
    (ran, findings)
}

fn finding<'a>(all: &'a [Value], check: &str) -> &'a Value {
    all.iter().find(|one| one["check"] == check).unwrap_or_else(|| panic!("no {check} in {all:#?}"))
}

#[test]
fn the_doctor_finds_a_machine_in_order_and_a_host_that_answers() {
    let mut bay = Bay::new();
    let (ran, all) = doctor(&bay);
    let failed: Vec<_> = all.iter().filter(|one| one["verdict"] == "fail").collect();
    assert!(failed.is_empty() && ran.code == 0, "{failed:#?}");
    for check in [
        "settings",
        "plugins",
        "home",
        "key",
        "host",
        "disk",
        "clock",
        "room",
        "membarrier",
        "memfd",
        "watch",
        "probe",
    ] {
        finding(&all, check);
    }
    bay.start();
    let (_, all) = doctor(&bay);
    let host = finding(&all, "host");
    assert_eq!(host["verdict"], "ok");
    assert!(host["found"].as_str().unwrap().contains(&format!("process {}", bay.pid())), "{host}");
    let table = bay.ok(&["doctor", "--plugins", &bay.plugins().display().to_string()]);
    assert!(table.lines().any(|line| line.starts_with("ok") && line.contains("host")), "{table}");
}

#[test]
fn the_doctor_says_what_fails_and_what_to_do_and_ends_with_1() {
    let bay = Bay::new();
    std::fs::remove_dir(bay.plugins()).unwrap();
    std::fs::create_dir_all(bay.home().join("state")).unwrap();
    std::fs::write(bay.state_file("echo"), b"sealed with a key that is gone").unwrap();
    std::fs::write(bay.path("hotbay.toml"), "[watch]\nsetle_ms = 1\n").unwrap();
    let (ran, all) = doctor(&bay);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("HB0170") && ran.stderr.contains("settings, plugins"), "{}", ran.stderr);
    for check in ["settings", "plugins", "key"] {
        let found = finding(&all, check);
        assert_eq!(found["verdict"], "fail", "{found}");
        assert!(found["next"].as_str().is_some_and(|next| !next.is_empty()), "{found}");
    }
    assert!(bay.home().join("state").join("echo.state").exists(), "nothing was touched");
}

#[test]
fn completions_are_a_script_that_the_shell_reads() {
    let bay = Bay::new();
    let script = bay.ok(&["completions", "bash"]);
    assert!(script.contains("complete -F _hotbay") && script.contains("subscribe"), "{script}");
    // Windows: no such shell is there by itself.
    #[cfg(unix)]
    {
        std::fs::write(bay.path("hotbay.bash"), &script).unwrap();
        let mut bash = std::process::Command::new("bash");
        let script = bay.path("hotbay.bash");
        let ran = std::process::Command::new("bash")
            .arg("--version")
            .output()
            .is_ok()
            .then(|| hotbay_tests::run(bash.arg("-n").arg(&script)));
        assert!(ran.as_ref().is_none_or(|ran| ran.code == 0), "{ran:?}");
    }
    assert_eq!(bay.hotbay(&["completions", "tcsh"]).code, 2);
}
