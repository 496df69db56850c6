//! The example `kv`: what it has goes on over swaps and restarts, however much it is.

use hotbay::Opening;
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

#[test]
fn kv_tells_who_watches_also_over_a_swap() {
    let hosted = Hosted::start();
    hosted.live("kv", &example("kv"), "1.0.0");
    hosted.request("kv", "set", r#"{"order/1": "tea", "note": 1}"#).unwrap();
    let watch = hosted.host().open_stream("kv", "watch", b"order/", Opening::default()).unwrap();
    let next = || String::from_utf8(watch.receive(PATIENCE).unwrap().unwrap()).unwrap();
    assert_eq!([next(), next()], [r#"{"entries":1}"#, r#"{"key":"order/1","value":"tea"}"#]);
    hosted.drop_bytes("kv", &with_version(&example("kv"), "1.0.0", "1.1.0"));
    hosted.wait_version("kv", "1.1.0");
    assert_eq!([next(), next()], [r#"{"entries":1}"#, r#"{"key":"order/1","value":"tea"}"#]);
    hosted.request("kv", "set", r#"{"order/2": 7}"#).unwrap();
    assert_eq!(next(), r#"{"key":"order/2","value":7}"#);
    let receipt = hosted.wait_receipts("kv", 1).pop().unwrap();
    // A handler that waits for changes is woken to let go: nobody waits for it.
    assert!(receipt.stages_us["drain"] < 1_000_000, "{receipt:#?}");
}
