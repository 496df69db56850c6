//! The example `kv`: what it has goes on over swaps and restarts, however much it is.

use hotbay::kernel::view::Outcome;
use hotbay_tests::{Hosted, PATIENCE, eventually, example, rounds, with_version};

#[test]
fn kv_has_its_entries_after_a_swap_and_a_restart() {
    let hosted = Hosted::start();
    hosted.live("kv", &example("kv"), "1.0.0");
    let set = |text| hosted.request("kv", "set", text).unwrap();
    assert_eq!(set(r#"{"order/1": {"item": "tea", "count": 2}, "order/2": null, "note": "\u00e9\n"}"#), "3");
    hosted.drop_bytes("kv", &with_version(&example("kv"), "1.0.0", "1.1.0"));
    hosted.wait_version("kv", "1.1.0");
    assert_eq!(hosted.request("kv", "get", "order/1").unwrap(), r#"{"count":2,"item":"tea"}"#);
    assert_eq!(hosted.request("kv", "delete", "order/2").unwrap(), "true");
    let hosted = hosted.restarted();
    hosted.wait_version("kv", "1.1.0");
    assert_eq!(hosted.request("kv", "list", "").unwrap(), r#"["note","order/1"]"#);
    assert_eq!(hosted.request("kv", "get", "note").unwrap(), "\"é\\n\"");
}

#[test]
fn kv_of_a_hundred_mebibytes_goes_over_a_swap_and_a_restart() {
    // A plugin that is not optimised writes its state slowly. More than is held in memory it is.
    let bytes = rounds(40, 100) << 20;
    let last_key = format!("fill/{:09}", bytes / 1024 - 1);
    let hosted = Hosted::start();
    hosted.live("kv", &example("kv"), "1.0.0");
    let keys = hosted.request("kv", "fill", &bytes.to_string()).unwrap();
    let receipt = hosted.host().reload("kv", PATIENCE).unwrap().receipt.unwrap();
    assert_eq!(receipt.outcome, Outcome::Committed, "{receipt:?}");
    assert!(receipt.state_bytes > bytes && receipt.state_bytes < bytes + (4 << 20), "{receipt:?}");
    assert_eq!(hosted.request("kv", "count", "").unwrap(), keys);
    let last = hosted.request("kv", "get", &last_key).unwrap();
    println!("{bytes} bytes, microseconds: {:?}", receipt.stages_us);
    eventually("a snapshot of it", || {
        hosted.host().status("kv").ok()?.snapshot.filter(|kept| kept.bytes > bytes)
    });
    let hosted = hosted.restarted();
    hosted.wait_version("kv", "1.0.0");
    assert_eq!(hosted.request("kv", "count", "").unwrap(), keys);
    assert_eq!(hosted.request("kv", "get", &last_key).unwrap(), last);
}
