//! The mutations in small: what `cargo xtask mutate` runs, and the JSON that it promises.

use std::process::Command;

use hotbay_tests::{example, fixture, fixtures, hotbay_binary, mutate_binary, run_long};
use serde_json::Value;

#[test]
fn a_host_lives_and_answers_while_libraries_that_were_changed_in_all_ways_are_dropped_in() {
    // Under wine each probe takes its time.
    let files: u64 = if cfg!(windows) { 240 } else { 1400 };
    let mut mutate = Command::new(mutate_binary());
    mutate.arg("--hotbay").arg(hotbay_binary()).arg("--healthy").arg(example("echo"));
    for name in fixtures() {
        mutate.arg("--library").arg(fixture(&name));
    }
    // Other tests keep the machine busy: what is late there says nothing.
    mutate.args(["--files", &files.to_string(), "--batch", "300", "--late-ms", "10000", "--output", "json"]);
    let ran = run_long(&mut mutate);
    let report: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("not one object, {e}: {ran:?}"));
    assert_eq!((ran.code, &report["complaints"]), (0, &Value::Array(Vec::new())), "{report}");
    assert_eq!((&report["host_deaths"], &report["failed_calls"]), (&0.into(), &0.into()), "{report}");
    let parts = report["parts"].as_array().expect("parts");
    assert!(parts.iter().all(|part| part["calls"].as_u64() > Some(100)), "{report}");
    let [structural, signed] = &parts[..] else { panic!("two parts: {report}") };
    // It was tried: each way of ending was met.
    for outcome in ["unread", "probed", "waits", "started"] {
        let outcomes = structural["outcomes"].as_object().expect("kinds").values();
        assert!(outcomes.filter_map(|of| of[outcome].as_u64()).sum::<u64>() > 0, "{outcome}: {report}");
    }
    // Who is left out is told, and there are no more.
    assert_eq!(report["left_out"].as_array().map(Vec::len), Some(5), "{report}");
    let (flipped, whole) = (&signed["outcomes"]["code_flipped"], &signed["outcomes"]["whole"]);
    assert!(
        flipped["distrusted"].as_u64() > Some(files / 5) && whole["started"].as_u64() > Some(0),
        "{report}"
    );
}
