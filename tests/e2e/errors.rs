//! Codes: whatever went wrong has one, and it is the same wherever it is told.

use hotbay::error::Code;
use hotbay::kernel::view::Phase;
use hotbay_tests::{Bay, eventually, example, fixture, library_name};
use serde_json::Value;

fn with(stem: &str, source: &std::path::Path) -> Bay {
    let bay = Bay::started();
    bay.drop_in(stem, source);
    bay
}

fn json(bay: &Bay, arguments: &[&str]) -> Value {
    serde_json::from_str(&bay.ok(&[arguments, &["-o", "json"]].concat())).unwrap()
}

#[test]
fn a_refused_file_is_told_with_one_code_everywhere() {
    let bay = with("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let library = std::fs::read(example("echo")).unwrap();
    bay.drop_bytes("cut", &library[..library.len() / 2]);
    let name = "cut";
    let row = bay.wait_phase(name, Phase::Rejected);
    let code = Code::Damaged.to_string();
    assert_eq!((row.code.as_ref(), row.blame), (Some(&code), Some(Code::Damaged.blame())));

    let told = format!("[{code}] {}", row.reason.unwrap());
    assert!(bay.ok(&["list"]).contains(&told));
    assert!(bay.ok(&["status", name]).contains(&told));
    let why = bay.ok(&["why", name]);
    assert!(
        why.contains(&format!("code       {code}")) && why.contains(&format!("`hotbay explain {code}`")),
        "{why}"
    );
    let why = json(&bay, &["why", name]);
    assert_eq!((&why["code"], &why["blame"]), (&Value::from(&*code), &Value::from("operator")));
    let events = bay.ok(&["events", "-o", "json"]);
    let mut events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let rejected = events.find(|event| event["kind"] == "rejected").unwrap();
    assert_eq!((&rejected["code"], &rejected["blame"]), (&Value::from(&*code), &Value::from("operator")));
    assert!(bay.ok(&["events"]).contains(&format!("[{code}]")));

    let file = bay.file("cut");
    let check = bay.hotbay(&["check", file.to_str().unwrap(), "-o", "json"]);
    assert_eq!(serde_json::from_str::<Value>(&check.stdout).unwrap()["code"], code.as_str());
    let copy = bay.path(&library_name("other"));
    std::fs::copy(&file, &copy).unwrap();
    let add = bay.hotbay(&["add", copy.to_str().unwrap()]);
    assert!(add.code == 4 && add.stderr.contains(&format!("error[{code}]: ")), "{add:?}");
    // What is well has none.
    let echo = bay.row("echo").unwrap();
    assert_eq!((echo.code, echo.blame), (None, None));
}

#[test]
fn a_swap_that_is_rolled_back_has_its_code_in_answer_receipt_and_event() {
    let bay = with("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    let add = bay.hotbay(&["add", fixture("fails_in_import").to_str().unwrap()]);
    let code = Code::CallbackFailed.to_string();
    let rehearsed = Code::RehearsalFailed.to_string();
    let told = [&code, &rehearsed].into_iter().find(|code| add.stderr.contains(&format!("error[{code}]: ")));
    let code = told.unwrap_or_else(|| panic!("{add:?}"));
    assert_eq!(add.code, 5, "{add:?}");
    let receipt = bay.wait_receipt("counter", 1);
    assert_eq!((receipt.code.as_ref(), receipt.blame), (Some(code), Some(Code::CallbackFailed.blame())));
    assert!(bay.ok(&["history", "counter"]).contains(&format!("[{code}]")));
    let why = json(&bay, &["why", "counter"]);
    assert_eq!((&why["code"], &why["phase"]), (&Value::from(code.as_str()), &Value::from("running")));
    // The receipt is of the disk: what was told is known to the next run as well.
    let mut bay = bay;
    bay.stop();
    bay.start();
    assert_eq!(bay.history("counter").last().unwrap().code.as_ref(), Some(code));
}

#[test]
fn what_the_probe_refuses_has_the_code_of_what_it_found() {
    let bay = with("bad", &fixture("panics_in_create"));
    let row = eventually("it is refused", || bay.rows().into_iter().find(|row| row.phase == Phase::Rejected));
    assert_eq!(row.code, Some(Code::CreatePanicked.to_string()), "{row:?}");
    let bay = with("bad", &fixture("crashes_in_create"));
    let row = eventually("it is refused", || bay.rows().into_iter().find(|row| row.phase == Phase::Rejected));
    assert_eq!(row.code, Some(Code::ProbeDied.to_string()), "{row:?}");
}

#[test]
fn a_call_and_a_command_that_fail_end_with_a_code_each() {
    let bay = with("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    for (arguments, code) in [
        (&["call", "ecko.echo"][..], Code::NoSuchService),
        (&["call", "echo.ecko"], Code::NoSuchMethod),
        (&["status", "ecko"], Code::NothingOfThatName),
        (&["rollback", "echo"], Code::NothingToGoBackTo),
        (&["start", "echo", "--fresh"], Code::RunsAlready),
        (&["state", "restore", "echo", "--to", "7"], Code::StateInUse),
        (&["keys", "retire", "ffff"], Code::NoSuchKey),
        (&["keys", "init"], Code::KeyThere),
        (&["add", "nowhere.so"], Code::NoSuchFile),
        (&["trust", "add", "nothing"], Code::NoPublicKey),
        (&["new", "Echo"], Code::NoPluginName),
        (&["lsit"], Code::CommandLine),
    ] {
        let ran = bay.hotbay(arguments);
        assert!(ran.code != 0 && ran.stderr.contains(&format!("error[{code}]: ")), "{arguments:?}: {ran:?}");
    }
    let mut bay = bay;
    let second = hotbay_tests::run(&mut bay.run_command());
    assert!(
        second.code == 4 && second.stderr.contains(&format!("error[{}]: ", Code::HomeLocked)),
        "{second:?}"
    );
    bay.kill();
    let ran = bay.hotbay(&["list"]);
    assert!(ran.code == 6 && ran.stderr.contains(&format!("error[{}]: ", Code::Unreachable)), "{ran:?}");
}

#[test]
fn explain_needs_no_host_and_knows_each_code_in_any_spelling() {
    let bay = Bay::new();
    let explained = bay.ok(&["explain", "HB0204"]);
    for spelling in ["hb0204", "204", "0204"] {
        assert_eq!(bay.ok(&["explain", spelling]), explained);
    }
    assert!(explained.starts_with("HB0204: "), "{explained}");
    for part in ["blame", "causes", "unchanged", "next", "example"] {
        assert!(
            explained.lines().any(|line| line.starts_with(&format!("  {part}"))),
            "no {part} in {explained}"
        );
    }
    let all = json(&bay, &["explain"]);
    assert_eq!(all.as_array().unwrap().len(), Code::ALL.len());
    assert_eq!(
        json(&bay, &["explain", "204"]),
        *all.as_array().unwrap().iter().find(|one| one["code"] == "HB0204").unwrap()
    );
    assert_eq!(bay.ok(&["explain"]).lines().count(), 1 + Code::ALL.len());

    let unknown = bay.hotbay(&["explain", "HB0299"]);
    assert!(unknown.code == 3 && unknown.stderr.contains("HB0240"), "{unknown:?}");
    assert_eq!(bay.hotbay(&["explain", "what"]).code, 2);
}
