//! A call allocates nothing, inline or through a lane: counted by an allocator under the whole process, the host's threads
//! included. A test target of its own, since other tests would allocate beside it.

use std::alloc::System;

use hotbay::Buffer;
use hotbay_tests::{Hosted, PATIENCE, example};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static COUNTING: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CALLS: u64 = 10_000;

/// What this many calls may allocate: the kernel's loop lives on beside them and looks at its folder now and then.
const BESIDE: usize = 500;

#[test]
fn calls_and_requests_allocate_nothing_in_the_steady_state() {
    let hosted = Hosted::with(|config| {
        // Nothing of the kernel's own falls into the time that is measured.
        config.watch.rescan = PATIENCE;
        config.state.interval = PATIENCE;
    });
    hosted.live("echo", &example("echo"), "1.0.0");
    let handle = hosted.host().handle("echo").unwrap();
    let mut reply = Vec::with_capacity(64);
    let inline = |reply: &mut Vec<u8>| handle.call("echo", b"hello", reply).unwrap();
    let by_name = |reply: &mut Vec<u8>| hosted.host().call("echo", "echo", b"hello", reply).unwrap();
    let through_lane = |reply: &mut Vec<u8>| handle.request("echo", b"hello", reply, PATIENCE).unwrap();
    let method = handle.method("echo");
    let in_hand = |reply: &mut Vec<u8>| {
        let mut buffer = Buffer::from(std::mem::take(reply));
        method.call(b"hello", &mut buffer).unwrap();
        *reply = buffer.into_vec();
    };
    assert_allocates_nothing("by a method in hand", in_hand, &mut reply);
    assert_allocates_nothing("by handle", inline, &mut reply);
    assert_allocates_nothing("by name", by_name, &mut reply);
    assert_allocates_nothing("through the lane", through_lane, &mut reply);
}

fn assert_allocates_nothing(way: &str, call: impl Fn(&mut Vec<u8>), reply: &mut Vec<u8>) {
    // The first of a thread takes what it keeps.
    call(reply);
    let region = Region::new(COUNTING);
    for _ in 0..CALLS {
        reply.clear();
        call(reply);
    }
    let allocations = region.change().allocations + region.change().reallocations;
    assert_eq!(reply, b"hello");
    assert!(allocations < BESIDE, "{CALLS} calls {way} allocated {allocations} times");
}
