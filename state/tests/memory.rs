//! A stream of any length takes the memory of a chunk or two, and all of that when it begins.

use std::alloc::System;
use std::io::{self, Read, Write as _};

use hotbay_state::{Key, Opener, Sealer, Stamp};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const STAMP: Stamp<'_> = Stamp {
    service: "kv",
    plugin: "kv",
    plugin_version: "1.0.0",
    schema: 1,
    sequence: 1,
    generation: 1,
    content_type: "",
};

const CHUNK: usize = 1 << 16;

/// What is counted is the whole process: the test harness has a thread of its own. There are 153 chunks.
const OTHERS: usize = 16;

// One test: what is counted is the whole process's.
#[test]
fn streams_allocate_nothing_per_chunk_and_hold_a_few_chunks() {
    let key = Key::new(&[7; 32]).expect("32 bytes are a key");
    let piece = vec![3; 10_000];
    let mut capsule = Vec::with_capacity(200 * CHUNK);

    let all = Region::new(ALLOCATOR);
    let mut sealer = Sealer::new(&key, &STAMP, None, &mut capsule).expect("the stamp is good");
    let chunks = Region::new(ALLOCATOR);
    for _ in 0..1000 {
        sealer.write_all(&piece).expect("there is memory");
    }
    let change = chunks.change();
    assert!(change.allocations + change.reallocations <= OTHERS, "{change:?}");
    sealer.finish().expect("there is memory");
    let taken = all.change().bytes_allocated;
    assert!((CHUNK..4 * CHUNK).contains(&taken), "{taken} bytes to seal");

    let all = Region::new(ALLOCATOR);
    let mut opener = Opener::new(&key, "kv", &capsule[..]).expect("it was sealed a moment ago");
    // The first one makes the room that is reused.
    opener.next_chunk().expect("it is authentic");
    let chunks = Region::new(ALLOCATOR);
    let rest = io::copy(&mut opener.by_ref().take(u64::MAX), &mut io::sink()).expect("it is authentic");
    assert_eq!(rest, 10_000_000);
    let change = chunks.change();
    assert!(change.allocations + change.reallocations <= OTHERS, "{change:?}");
    assert_eq!(opener.finish().expect("it is authentic").plain_len, 10_000_000);
    let taken = all.change().bytes_allocated;
    assert!((CHUNK..4 * CHUNK).contains(&taken), "{taken} bytes to open");
}
