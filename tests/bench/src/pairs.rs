//! Two threads that call at once, each on its processor, each with its own clock.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use hotbay::{Buffer, Handle};

use crate::limits::{REQUEST, service};
use crate::ours::answered;
use crate::pin;
use crate::rounds::{Goal, Row, timed};

/// What one thread does; made on that thread.
pub(crate) type Work = Box<dyn FnMut(u64) -> Duration>;

/// One row on one thread, one on two: what they scale is compared.
pub(crate) fn rows(target: &Handle) -> Vec<Row> {
    let service = service();
    let limit = move || -> Work {
        let mut reply = Vec::with_capacity(64);
        Box::new(move |calls| {
            timed(calls, || {
                service.first(black_box(&REQUEST), &mut reply);
                black_box(&reply);
            })
        })
    };
    let target = target.clone();
    let ours = move || -> Work {
        let (target, mut reply) = (target.method("first"), Buffer::with_capacity(64));
        Box::new(move |calls| {
            timed(calls, || {
                reply.clear();
                answered(target.call(black_box(&REQUEST), &mut reply));
                black_box(&reply);
            })
        })
    };
    let ours = Arc::new(ours);
    let again = Arc::clone(&ours);
    vec![
        Row::new("dyn, one thread", alone(limit)),
        Row::new("dyn, two threads", together(limit)).over("dyn, one thread"),
        Row::new("call, one thread", alone(move || ours())),
        Row::new("call, two threads", together(move || again()))
            .over("call, one thread")
            .goal(Goal::ScalesAtLeast(0.95, "dyn, two threads")),
    ]
}

/// On a thread of its own as well, so that nothing but their number differs.
pub(crate) fn alone(work: impl Fn() -> Work + Sync + Send + 'static) -> impl FnMut(u64) -> Duration + Send {
    move |calls| on_threads(1, calls, &work)
}

pub(crate) fn together(
    work: impl Fn() -> Work + Sync + Send + 'static,
) -> impl FnMut(u64) -> Duration + Send {
    move |calls| on_threads(2, calls, &work)
}

/// How long `calls` took all threads together: each makes as many, and what counts is at which rate.
fn on_threads(threads: u32, calls: u64, work: &(impl Fn() -> Work + Sync)) -> Duration {
    let waiting = AtomicU32::new(threads);
    let one = |index: usize| {
        let waiting = &waiting;
        move || {
            pin::to(index);
            let mut work = work();
            work(calls / 10 + 1);
            // All begin at once.
            waiting.fetch_sub(1, Ordering::AcqRel);
            while waiting.load(Ordering::Acquire) > 0 {
                std::hint::spin_loop();
            }
            work(calls)
        }
    };
    let rate: f64 = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads as usize).map(|index| scope.spawn(one(index))).collect();
        let times = running
            .into_iter()
            .map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        times.map(|time| 1.0 / time.as_secs_f64().max(f64::MIN_POSITIVE)).sum()
    });
    Duration::from_secs_f64(1.0 / rate)
}
