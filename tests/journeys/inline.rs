//! Calls on the embedder's own threads, which may leave old code mapped: that is counted, never hidden.

use std::sync::mpsc::channel;
use std::time::Instant;

use hotbay::kernel::view::{Cause, HolderKind, Retired, Row};
use hotbay_tests::{Hosted, eventually, fixture, is_mapped, with_version};

/// As what a version is mapped: by the name of the sealed file in memory that the journal tells, or by the digest in the name of
/// the copy.
fn mapping(hosted: &Hosted, row: &Row) -> String {
    let mut events = hosted.host().events(100).try_iter().collect::<Vec<_>>().into_iter();
    let loaded = events.rfind(|event| event.kind == "loaded" && event.version == row.version).unwrap();
    let sealed = loaded.text.split_whitespace().find(|word| word.starts_with("/memfd:"));
    sealed.map_or_else(|| row.digest.as_ref().unwrap()[..16].to_owned(), |name| format!("{name} (deleted)"))
}

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
    let mapped = is_mapped(std::process::id(), &mapping(&hosted, &first));
    match receipt.retired {
        Retired::Pinned => {
            assert_ne!(mapped, Some(false), "said to be pinned, and is not mapped");
            let pinned = hosted.host().status("keeps_a_thread_local").unwrap().pinned;
            let [pinned] = &pinned[..] else { panic!("{pinned:?}") };
            assert_eq!((pinned.generation, pinned.cause), (1, Cause::ThreadLocal));
            // This thread, and no other of this program's.
            let [holder] = &pinned.holders[..] else { panic!("{pinned:?}") };
            let name = std::thread::current().name().unwrap().to_owned();
            assert_eq!((holder.kind, &holder.name), (HolderKind::Called, &name));
            let reason = receipt.retired_reason.unwrap();
            assert!(reason.contains(&format!("thread {} `{name}` called it inline", holder.id)), "{reason}");
        }
        // Where thread-locals do not hold a library.
        Retired::Unloaded => assert_ne!(mapped, Some(true), "said to be unloaded, and is mapped"),
    }
}

#[test]
fn keeps_a_thread_local_no_longer_than_the_thread_that_called() {
    let hosted = Hosted::start();
    let name = "keeps_a_thread_local";
    // A digest that no other test of this process has.
    hosted.drop_bytes(name, &with_version(&fixture(name), "1.0.0", "1.0.9"));
    let first = hosted.wait_version(name, "1.0.9");
    let (end, wait) = channel::<()>();
    let retired = std::thread::scope(|scope| {
        let (send, called) = channel();
        let hosted = &hosted;
        scope.spawn(move || {
            assert_eq!(hosted.call(name, "remember", "this").unwrap(), "1");
            send.send(()).unwrap();
            let _ = wait.recv();
        });
        called.recv().unwrap();
        hosted.drop_bytes(name, &with_version(&fixture(name), "1.0.0", "1.1.0"));
        hosted.wait_version(name, "1.1.0");
        let retired = hosted.wait_receipts(name, 1).remove(0).retired;
        drop(end);
        retired
    });
    // By itself: no other library is loaded or closed meanwhile.
    eventually("nothing is pinned once the thread has ended", || {
        hosted.host().status(name).unwrap().pinned.is_empty().then_some(())
    });
    assert_ne!(is_mapped(std::process::id(), &mapping(&hosted, &first)), Some(true));
    let events: Vec<_> = hosted.host().events(100).try_iter().collect();
    let is_told = events.iter().any(|event| event.kind == "unloaded" && event.generation.is_none());
    // Where thread-locals do not hold a library it had gone before.
    assert_eq!(is_told, retired == Retired::Pinned, "{events:#?}");
}

#[test]
fn keeps_a_thread_local_and_its_price_is_measured() {
    const CALLS: u32 = 20_000;
    let hosted = Hosted::start();
    let name = "keeps_a_thread_local";
    hosted.live(name, &fixture(name), "1.0.0");
    let mut reply = Vec::new();
    let mut measured = |method: &str| {
        let began = Instant::now();
        for _ in 0..CALLS {
            reply.clear();
            hosted.host().call(name, method, b"", &mut reply).unwrap();
        }
        began.elapsed().as_nanos() / u128::from(CALLS)
    };
    // In turn, and the best of each: a neighbour on the machine only ever adds.
    let rounds: Vec<_> = (0..15).map(|_| (measured("without"), measured("with"))).collect();
    let without = rounds.iter().map(|(without, _)| *without).min().unwrap();
    let with = rounds.iter().map(|(_, with)| *with).min().unwrap();
    let pinned_bytes = std::fs::metadata(fixture(name)).unwrap().len();
    println!(
        "inline call without the thread-local {without} ns, with it {with} ns; a generation that it pins has {pinned_bytes} bytes"
    );
    // A look at a thread-local costs some nanoseconds, and no lock, list or allocation per call.
    assert!(with < without + without / 2 + 200, "with {with} ns, without {without} ns");
}
