//! The soak in small: what `cargo xtask soak` runs, and the JSON that it promises.

use std::process::Command;

use hotbay_tests::{fixture, soak_binary};
use serde_json::Value;

/// What the program found in so many swaps, and whether it says that all held.
fn soaked(old: &str, new: &str, swaps: u64) -> (Value, bool) {
    let mut soak = Command::new(soak_binary());
    soak.arg("drive").arg("--old").arg(fixture(old)).arg("--new").arg(fixture(new));
    soak.args(["--swaps", &swaps.to_string(), "--rate", "2000", "--output", "json"]);
    let ran = soak.output().expect("failed to run the soak");
    let said = String::from_utf8_lossy(&ran.stderr);
    let report =
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|e| panic!("not one object, {e}: {said}"));
    (report, ran.status.success())
}

#[test]
fn thirty_swaps_under_load_lose_duplicate_and_reorder_nothing() {
    let (report, held) = soaked("ledger", "ledger_next", 30);
    assert!(held, "{report}");
    assert_eq!(report["swaps"], 30);
    assert!(report["requests"].as_u64() > Some(100), "{report}");
    for count in ["failed", "lost", "duplicated", "reordered"] {
        assert_eq!(report[count], 0, "{report}");
    }
    assert!(report["messages"]["sent"].as_u64() > Some(100), "{report}");
    for count in ["refused", "lost", "duplicated", "reordered"] {
        assert_eq!(report["messages"][count], 0, "{report}");
    }
    assert_eq!(report["unloaded"], 30, "{report}");
    let pause = &report["pause_us"];
    let quantiles = ["p50", "p99", "p999", "max"].map(|name| pause[name].as_u64().expect("a number"));
    assert!(quantiles.is_sorted() && quantiles[3] > 0, "{report}");
    let counted = cfg!(target_os = "linux");
    assert!(report["rss_slope_bytes_per_swap"].is_number() || !counted, "{report}");
    for of in ["maps", "threads", "fds"] {
        assert_eq!(report[of]["start"].is_u64() && report[of]["end"].is_u64(), counted, "{report}");
    }
    for of in ["threads", "fds"] {
        assert!(report[of]["end"].as_u64() <= report[of]["start"].as_u64(), "{report}");
    }
}

#[test]
fn ledger_forgets_and_the_checker_counts_what_is_lost() {
    let (report, held) = soaked("ledger", "ledger_forgets", 1);
    assert!(!held, "{report}");
    assert!(report["lost"].as_u64() > Some(0), "{report}");
    assert!(report["messages"]["lost"].as_u64() > Some(0), "{report}");
    assert_eq!((&report["failed"], &report["duplicated"]), (&0.into(), &0.into()), "{report}");
}
