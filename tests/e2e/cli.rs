//! The command line: what it prints and how it ends are contracts.

use std::collections::BTreeSet;

use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, Ran, eventually, example, fixture, run};
use serde_json::Value;

fn with_echo() -> Bay {
    let bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn without_a_host_clients_end_with_6() {
    let bay = Bay::new();
    for arguments in
        [&["list"][..], &["call", "echo.echo"], &["stop", "echo"], &["events"], &["status", "echo"]]
    {
        let ran = bay.hotbay(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (6, ""), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("hotbay run"), "{ran:?}");
    }
    // Nor after one that was killed, which left its socket.
    let mut bay = bay.up();
    bay.kill();
    assert_eq!(bay.hotbay(&["list"]).code, 6);
}

#[test]
fn what_lay_in_the_folder_is_known_from_the_first_answer_on() {
    let mut bay = Bay::new();
    bay.drop_in("echo", &example("echo"));
    bay.start();
    assert_eq!(bay.call("echo.echo", "already"), "already");
    eventually("the host says that it is ready", || bay.log().contains("ready: plugins from").then_some(()));
    assert_eq!(bay.hotbay(&["call", "ecko.echo"]).code, 3);
    assert_eq!(bay.hotbay(&["status", "ecko"]).code, 3);
}

#[test]
#[cfg(unix)] // Windows: its names are Unicode as far as this goes.
fn a_file_name_that_is_no_unicode_spoils_no_list() {
    use std::os::unix::ffi::OsStrExt as _;
    let bay = Bay::started();
    let odd = std::ffi::OsStr::from_bytes(b"odd\xff.so");
    if std::fs::write(bay.path("plugins").join(odd), "no library").is_err() {
        return; // Not every file system takes such a name.
    }
    let row = eventually("the file is told", || bay.rows().into_iter().next());
    assert_eq!(row.phase, hotbay::kernel::view::Phase::Rejected);
    std::fs::write(bay.path("").join(odd), "no library").unwrap();
    let added = hotbay_tests::run(bay.command().arg("add").arg(bay.path("").join(odd)));
    assert_eq!(added.code, 4, "{added:?}");
    assert!(added.stderr.contains("Unicode"), "{added:?}");
}

#[test]
fn an_unknown_command_or_flag_ends_with_2() {
    let bay = Bay::new();
    for arguments in [&["dance"][..], &["list", "--loud"], &["call"], &["call", "no-method-in-this"]] {
        assert_eq!(bay.hotbay(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn the_list_is_a_contract() {
    let bay = with_echo();
    bay.drop_bytes("bad", b"no library");
    bay.wait_for("bad", |row| row.reason.is_some());
    let rows: Value = serde_json::from_str(&bay.ok(&["list", "-o", "json"])).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 2);
    for row in rows.as_array().unwrap() {
        let mut wanted =
            vec!["name", "version", "generation", "phase", "digest", "source", "reason", "code", "blame"];
        wanted.extend(["pinned_generations", "pinned_bytes"]);
        assert_eq!(keys(row), BTreeSet::from_iter(wanted.iter().copied()));
    }
    let bad = &rows[0];
    assert_eq!((&bad["name"], &bad["phase"]), (&Value::from("bad"), &Value::from("rejected")));
    assert!(bad["version"].is_null() && bad["generation"].is_null() && bad["digest"].is_string());
    let echo = &rows[1];
    assert_eq!((&echo["name"], &echo["phase"]), (&Value::from("echo"), &Value::from("running")));
    assert!(echo["reason"].is_null());
}

#[test]
fn the_history_is_a_contract() {
    let bay = with_echo();
    assert_eq!(bay.ok(&["history", "echo", "-o", "json"]).trim(), "[]");
    bay.ok(&["reload", "echo"]);
    let receipts: Value = serde_json::from_str(&bay.ok(&["history", "echo", "-o", "json"])).unwrap();
    let receipt = &receipts[0];
    for key in [
        "outcome",
        "reason",
        "from",
        "to",
        "requests",
        "pause_us",
        "stages_us",
        "state_bytes",
        "retired",
        "retired_reason",
    ] {
        assert!(keys(receipt).contains(key), "no `{key}` in {receipt}");
    }
    assert_eq!(receipt["outcome"], "committed");
    assert_eq!(receipt["retired"], "unloaded");
    for side in ["from", "to"] {
        assert_eq!(keys(&receipt[side]), BTreeSet::from(["version", "generation", "digest"]));
    }
    assert_eq!(keys(&receipt["requests"]), BTreeSet::from(["old", "waited", "new", "lost", "duplicated"]));
    assert_eq!(keys(&receipt["pause_us"]), BTreeSet::from(["p50", "p99", "max"]));
    assert!(!keys(&receipt["stages_us"]).is_empty());
}

#[test]
fn a_call_writes_the_reply_and_nothing_else() {
    let bay = with_echo();
    assert_eq!(bay.call("echo.echo", "no newline is added"), "no newline is added");
    assert_eq!(bay.call("echo.echo", r#"{"json": true}"#), r#"{"json": true}"#);
    assert_eq!(bay.ok(&["call", "echo.echo"]), "");

    std::fs::write(bay.path("request"), [0xff, 0x00, 0x0a]).unwrap();
    let output = bay.command().args(["call", "echo.echo", "-d", "@request"]).output().unwrap();
    assert_eq!(output.stdout, [0xff, 0x00, 0x0a]);

    let big = "x".repeat(3 << 20);
    std::fs::write(bay.path("request"), &big).unwrap();
    assert!(bay.ok(&["call", "echo.echo", "-d", "@request"]) == big);
}

#[test]
fn an_unknown_service_or_method_ends_with_3_and_what_exists() {
    let bay = with_echo();
    let service = bay.hotbay(&["call", "ecko.echo"]);
    assert_eq!((service.code, service.stdout.as_str()), (3, ""));
    assert!(service.stderr.contains("ecko") && service.stderr.contains("echo"), "{service:?}");
    let method = bay.hotbay(&["call", "echo.shout"]);
    assert_eq!((method.code, method.stdout.as_str()), (3, ""));
    for word in ["shout", "echo", "handle", "count"] {
        assert!(method.stderr.contains(word), "{method:?}");
    }
}

#[test]
fn add_answers_when_it_is_live() {
    let bay = Bay::started();
    bay.ok(&["add", example("echo").to_str().unwrap()]);
    assert_eq!(bay.call("echo.echo", "at once"), "at once");
    let missing = bay.hotbay(&["add", "nowhere.so"]);
    assert_eq!(missing.code, 3, "{missing:?}");
    assert!(missing.stderr.contains("nowhere.so"), "{missing:?}");
}

#[test]
fn a_refused_add_leaves_nothing_in_the_folder() {
    let bay = Bay::started();
    std::fs::write(bay.file("text").with_file_name("../text.so"), "text").unwrap();
    let ran = bay.hotbay(&["add", "text.so"]);
    assert_eq!(ran.code, 4, "{ran:?}");
    assert_eq!(std::fs::read_dir(bay.plugins()).unwrap().count(), 0);
}

#[test]
fn check_needs_no_host_and_judges_as_one() {
    let bay = Bay::new();
    let good = bay.ok(&["check", example("echo").to_str().unwrap(), "-o", "json"]);
    let good: Value = serde_json::from_str(&good).unwrap();
    assert_eq!(good["manifest"]["name"], "echo");
    for (file, word) in [("no_plugin", "HOTBAY_MANIFEST"), ("panics_in_create", "no luck in create")] {
        let bad = bay.hotbay(&["check", fixture(file).to_str().unwrap()]);
        assert_eq!(bad.code, 4, "{bad:?}");
        assert!(format!("{}{}", bad.stdout, bad.stderr).contains(word), "{bad:?}");
    }
    assert_eq!(bay.hotbay(&["check", "nowhere.so"]).code, 3);
}

#[test]
fn a_check_judges_by_the_configuration_that_is_named_and_why_names_that_of_the_host() {
    let bay = Bay::with("[trust]\nunsigned = \"refuse\"\n").up();
    bay.drop_in("echo", &example("echo"));
    bay.wait_phase("echo", Phase::Rejected);
    let elsewhere = bay.path("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let there = |arguments: &[&str]| run(bay.command().current_dir(&elsewhere).args(arguments));
    let advised = |why: &Ran| {
        let (_, rest) = why.stdout.split_once("`hotbay check ").expect("advice");
        format!("check {}", rest.split('`').next().unwrap())
    };

    let file = bay.file("echo").to_str().unwrap().to_owned();
    assert_eq!(there(&["check", &file]).code, 0, "by the defaults it would be taken");
    let command = advised(&there(&["why", "echo"]));
    let refused = there(&command.split(' ').collect::<Vec<_>>());
    assert!(command.contains(" --config "), "{command}");
    assert!(refused.code == 4 && refused.stderr.contains("unsigned"), "{command}: {refused:?}");
    assert_eq!(advised(&bay.hotbay(&["why", "echo"])), format!("check {file}"), "it is found there");

    let other = bay.path("other.toml");
    std::fs::write(&other, "[plugin.logger]\nlevl = \"warn\"\n").unwrap();
    let logger = example("logger");
    let refused = there(&["check", logger.to_str().unwrap(), "--config", other.to_str().unwrap()]);
    assert!(refused.code == 4 && refused.stderr.contains("error[HB0640]"), "{refused:?}");
    let wrong = there(&["check", &file, "--config", "nowhere.toml"]);
    assert!(wrong.code == 2 && wrong.stderr.contains("nowhere.toml"), "{wrong:?}");
}

#[test]
fn data_goes_to_stdout_and_words_to_stderr_without_colours_in_a_pipe() {
    let bay = with_echo();
    for arguments in [&["list"][..], &["status", "echo"], &["history", "echo"], &["why", "echo"], &["events"]]
    {
        let ran = bay.hotbay(arguments);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
        assert!(!ran.stdout.contains('\x1b'), "{arguments:?}: {ran:?}");
    }
    assert!(bay.ok(&["list"]).contains("echo"));
}

#[test]
fn events_are_lines_of_json_in_their_order() {
    let bay = with_echo();
    let lines = bay.ok(&["events", "-o", "json"]);
    let events: Vec<hotbay::kernel::view::Event> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(events.is_sorted_by_key(|event| event.sequence));
    assert!(events.iter().any(|event| event.kind == "started" && event.service.as_deref() == Some("echo")));
}

#[test]
fn a_plugins_lines_carry_plugin_and_generation() {
    let bay = with_echo();
    bay.call("echo.handle", "12345");
    bay.ok(&["reload", "echo"]);
    bay.call("echo.handle", "123");
    let log = bay.log();
    let line = |field: &str| {
        let line = log.lines().find(|line| line.contains("handled") && line.contains(field));
        line.unwrap_or_else(|| panic!("no line with {field} in:\n{log}"))
    };
    for (field, generation) in [("bytes=5", "generation=1"), ("bytes=3", "generation=2")] {
        let line = line(field);
        assert!(line.contains("plugin=echo") && line.contains(generation), "{line}");
        assert!(line.contains("INFO") && line.contains('T') && line.contains('Z'), "{line}");
    }
}
