//! The race in small: what `cargo xtask race` runs, and the JSON that it promises.

use std::process::Command;

use hotbay_tests::{fixture, race_binary, run_long};
use serde_json::Value;

#[test]
fn marks_in_initializer_and_is_never_mapped_while_files_are_exchanged_under_loads_that_all_run_what_was_verified()
 {
    let mut race = Command::new(race_binary());
    race.arg("--old").arg(fixture("stateless")).arg("--new").arg(fixture("stateless_next"));
    race.arg("--hostile").arg(fixture("marks_in_initializer"));
    race.args(["--exchanges", "20000", "--loads", "150", "--output", "json"]);
    let ran = run_long(&mut race);
    let report: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("not one object, {e}: {ran:?}"));
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(
        report["exchanges"].as_u64() >= Some(20_000) && report["loads"].as_u64() >= Some(150),
        "{report}"
    );
    assert!(report["refused"].as_u64() > Some(0), "{report}");
    assert_eq!(report["unverified"], 0, "{report}");
    assert_eq!(report["complaints"], Value::Array(Vec::new()), "{report}");
}
