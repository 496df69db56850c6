use crate::kernel::lease::Thread;
use crate::kernel::tally::{SHARDS, Tally};

#[test]
fn what_many_threads_count_adds_up() {
    let tally: Tally = Tally::default();
    std::thread::scope(|scope| {
        // More than have a shard of their own.
        for _ in 0..SHARDS + 10 {
            scope.spawn(|| {
                for _ in 0..1000 {
                    tally.enter(Thread::this(), true).answer();
                }
            });
        }
    });
    let counts = tally.counts();
    let all = 1000 * (SHARDS as u64 + 10);
    assert_eq!((counts.entered, counts.answered, counts.answered_after_wait), (all, all, all));
}
