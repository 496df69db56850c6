//! Much state: the first swap takes about as long as those after it, since memory for it is there before callers wait.
//!
//! `cargo test --release -p hotbay-tests --test journeys carries_much -- --nocapture` prints how long the gate was closed.

use std::time::Duration;

use hotbay::kernel::view::{Outcome, Receipt};
use hotbay_tests::{Hosted, PATIENCE, eventually, fixture};

/// What happens while the gate is closed.
const GATED: [&str; 8] = ["drain", "pause", "export", "seal", "import", "stop", "start", "publish"];

/// How long the gate was closed, microseconds.
fn gate_us(receipt: &Receipt) -> u64 {
    GATED.iter().filter_map(|stage| receipt.stages_us.get(*stage)).sum()
}

/// Swaps a fresh host's service with so much state, and answers how long each swap's gate was closed, microseconds.
fn swaps(bytes: usize, count: usize) -> Vec<u64> {
    let hosted = Hosted::with(|config| config.state.interval = Duration::from_millis(200));
    hosted.live("carries_much", &fixture("carries_much"), "1.0.0");
    hosted.request("carries_much", "take", &bytes.to_string()).unwrap();
    eventually("a snapshot of it", || {
        let snapshot = hosted.host().status("carries_much").ok()?.snapshot?;
        (snapshot.bytes > bytes as u64).then_some(())
    });
    let swap = |_| {
        let receipt = hosted.host().reload("carries_much", PATIENCE).unwrap().receipt.unwrap();
        assert_eq!((receipt.outcome, receipt.state_bytes), (Outcome::Committed, bytes as u64 + 2));
        gate_us(&receipt)
    };
    let times = (0..count).map(swap).collect();
    assert_eq!(hosted.request("carries_much", "size", "").unwrap(), bytes.to_string());
    times
}

#[test]
fn carries_much_from_one_version_to_the_next() {
    // A plugin that is not optimised writes its state so slowly that nothing is measured: then it has to arrive.
    let (bytes, hosts) = if cfg!(debug_assertions) { (256 << 10, 1) } else { (10 << 20, 5) };
    let (mut ratios, mut lines) = (Vec::new(), Vec::new());
    for _ in 0..hosts {
        let times = swaps(bytes, 6);
        let mut later = times[1..].to_vec();
        later.sort_unstable();
        let median = later[later.len() / 2];
        ratios.push(times[0] as f64 / median as f64);
        lines.push(format!("first {} us, later {median} us", times[0]));
    }
    ratios.sort_by(f64::total_cmp);
    let median = ratios[ratios.len() / 2];
    println!("{bytes} bytes of state, gate closed: {}; first/later, median: {median:.2}", lines.join("; "));
}
