//! Calls on the embedder's own threads, which may leave old code mapped: that is counted, never hidden.

use hotbay::kernel::view::Retired;
use hotbay_tests::{Hosted, eventually, fixture, is_mapped, with_version};

#[test]
fn keeps_a_thread_local_on_the_embedders_thread_and_is_pinned_to_it() {
    let hosted = Hosted::start();
    let first = hosted.live("keeps_a_thread_local", &fixture("keeps_a_thread_local"), "1.0.0");
    assert_eq!(hosted.call("keeps_a_thread_local", "remember", "this").unwrap(), "1");
    hosted.drop_bytes(
        "keeps_a_thread_local",
        &with_version(&fixture("keeps_a_thread_local"), "1.0.0", "1.1.0"),
    );
    hosted.wait_version("keeps_a_thread_local", "1.1.0");

    let receipt = hosted.wait_receipts("keeps_a_thread_local", 1).remove(0);
    let mapped = is_mapped(std::process::id(), &first.digest.unwrap()[..16]);
    match receipt.retired {
        Retired::Pinned => {
            assert!(receipt.retired_reason.is_some());
            assert_ne!(mapped, Some(false), "said to be pinned, and is not mapped");
            let pinned = hosted.host().status("keeps_a_thread_local").unwrap().pinned;
            assert_eq!(pinned.iter().map(|pinned| pinned.generation).collect::<Vec<_>>(), [1]);
        }
        // Where thread-locals do not hold a library.
        Retired::Unloaded => assert_ne!(mapped, Some(true), "said to be unloaded, and is mapped"),
    }
}

#[test]
fn keeps_a_thread_local_no_longer_than_the_thread_that_called() {
    let hosted = Hosted::start();
    let name = "keeps_a_thread_local";
    hosted.live(name, &fixture(name), "1.0.0");
    std::thread::scope(|scope| {
        scope.spawn(|| assert_eq!(hosted.call(name, "remember", "this").unwrap(), "1"));
    });
    for version in ["1.1.0", "1.2.0"] {
        hosted.drop_bytes(name, &with_version(&fixture(name), "1.0.0", version));
        hosted.wait_version(name, version);
    }
    hosted.wait_receipts(name, 2);
    eventually("nothing is pinned once the thread has ended", || {
        hosted.host().status(name).unwrap().pinned.is_empty().then_some(())
    });
}
