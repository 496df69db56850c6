//! One lane, and what hangs in it.

use super::*;
use crate::linked::{LONG, ROOM, SHORT};
use std::cell::RefCell;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

/// A caller's request, and its wait.
fn request<T: Send + 'static>(
    lane: &Lane,
    deadline: Duration,
    job: impl FnOnce() -> T + Send + 'static,
) -> Result<T, LaneError> {
    let (wait, job) = awaited(job, drop);
    lane.request(job, || ())?;
    wait.done(deadline, |seat| _ = lane.take_over(seat))
}

#[test]
fn a_job_that_hangs_costs_its_thread_and_the_next_one_is_done_by_a_fresh_one() {
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    let (release, hung) = mpsc::channel::<()>();
    let first = lane.run(LONG, || thread::current().id()).unwrap();
    assert_eq!(lane.run(SHORT, move || hung.recv()).unwrap_err(), LaneError::TimedOut);
    let second = lane.run(LONG, || thread::current().id()).unwrap();
    assert_ne!(first, second);
    // The thread that hung is still waited for.
    assert_eq!(lane.close(SHORT), 1);
    drop(release);
}

/// Runs `body` while the one thread of a lane is busy.
fn while_busy(lane: &Lane, body: impl FnOnce()) {
    let (go, wait) = mpsc::channel::<()>();
    let (began, is_there) = mpsc::channel();
    thread::scope(|scope| {
        let busy = scope.spawn(|| {
            lane.run(LONG, move || {
                began.send(()).unwrap();
                wait.recv()
            })
        });
        is_there.recv().unwrap();
        body();
        go.send(()).unwrap();
        assert_eq!(busy.join().unwrap(), Ok(Ok(())));
    });
}

#[test]
fn a_job_that_was_given_up_before_it_began_is_never_done() {
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let there = Arc::clone(&done);
    while_busy(&lane, || {
        let given_up = request(&lane, SHORT, move || there.store(true, Ordering::SeqCst));
        assert_eq!(given_up, Err(LaneError::TimedOut));
    });
    assert_eq!(lane.run(LONG, || ()), Ok(()));
    assert!(!done.load(Ordering::SeqCst));
}

#[test]
fn a_panic_of_a_job_leaves_the_lane_working() {
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    assert_eq!(lane.run(LONG, || panic!("a defect")), Err::<(), _>(LaneError::Closed));
    assert_eq!(lane.run(LONG, || 7), Ok(7));
}

#[test]
fn a_renewed_lane_has_let_go_of_its_thread_locals() {
    struct Told(mpsc::Sender<()>);
    impl Drop for Told {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    thread_local!(static HELD: RefCell<Option<Told>> = const { RefCell::new(None) });
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    let (told, tell) = mpsc::channel();
    lane.run(LONG, move || HELD.set(Some(Told(told)))).unwrap();
    assert!(tell.try_recv().is_err());
    assert!(lane.renew(LONG));
    assert_eq!(tell.try_recv(), Ok(()));
    assert_eq!(lane.close(LONG), 0);
}

#[test]
fn a_thread_that_outlives_a_renewal_is_waited_for_when_the_lane_closes() {
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    let (release, hung) = mpsc::channel::<()>();
    // It has to have begun before it is given up.
    assert_eq!(request(&lane, 20 * SHORT, move || hung.recv()).unwrap_err(), LaneError::TimedOut);
    assert!(!lane.renew(SHORT));
    assert_eq!(lane.close(SHORT), 1);
    drop(release);
}

#[test]
fn a_closed_lane_does_what_waits_and_takes_no_more() {
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    let done = lane.run(LONG, || 1);
    assert_eq!(lane.close(LONG), 0);
    assert_eq!((done, lane.run(LONG, || 2)), (Ok(1), Err(LaneError::Closed)));
}

#[test]
fn a_callback_does_not_wait_behind_requests() {
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let (began, is_there) = mpsc::channel();
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            request(&lane, LONG, move || {
                began.send(()).unwrap();
                wait.recv()
            })
        });
        is_there.recv().unwrap();
        assert_eq!(lane.run(LONG, || 7), Ok(7));
        go.send(()).unwrap();
        assert_eq!(slow.join().unwrap(), Ok(Ok(())));
    });
    assert_eq!(lane.close(LONG), 0);
}

#[test]
fn what_ends_after_its_deadline_is_undone() {
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let (undo, undone) = mpsc::channel();
    let late = lane.run_or_undo(
        SHORT,
        move || {
            wait.recv().unwrap();
            "started"
        },
        move |done| undo.send(done).unwrap(),
    );
    assert_eq!(late, Err(LaneError::TimedOut));
    go.send(()).unwrap();
    assert_eq!(undone.recv(), Ok("started"));
    assert_eq!(lane.close(LONG), 0);
}

#[test]
fn requests_that_hang_do_not_eat_threads_without_end() {
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    let (release, hung) = mpsc::channel::<()>();
    let hung = Arc::new(Mutex::new(hung));
    let hang = || {
        let hung = Arc::clone(&hung);
        let request = request(&lane, Duration::from_millis(5), move || {
            let _ = hung.lock().unwrap_or_else(PoisonError::into_inner).recv();
        });
        assert_eq!(request, Err(LaneError::TimedOut));
    };
    let left_behind = || lane.threads().others.len();
    // One that was given up before it began, on a busy machine, has not hung.
    let begun = Instant::now();
    while left_behind() < LEFT_BEHIND && begun.elapsed() < LONG {
        hang();
    }
    (0..LEFT_BEHIND).for_each(|_| hang());
    assert_eq!(left_behind(), LEFT_BEHIND);
    assert!(!lane.take_over(0), "it is said that nobody takes the place");
    drop(release);
    assert_eq!(lane.close(LONG), 0);
}

#[test]
fn a_thread_that_hangs_for_another_lane_is_that_ones_whether_it_has_a_seat_or_not() {
    for is_busy in [false, true] {
        let [lane, heir] = [7, 8].map(|own| Lane::open("lane", own, ROOM, &Spares::default()).unwrap());
        let (release, hung) = mpsc::channel::<()>();
        let (began, is_there) = mpsc::channel();
        let give_away = || {
            let job = move || {
                began.send(()).unwrap();
                hung.recv()
            };
            let begun = lane.begin(job, drop).unwrap();
            is_there.recv().unwrap();
            begun.give_up_to(&heir);
        };
        if is_busy {
            while_busy(&lane, give_away)
        } else {
            give_away()
        }
        assert_eq!((lane.close(LONG), heir.close(SHORT)), (0, 1), "busy: {is_busy}");
        // What the first one's plugin keeps there per thread is there still.
        assert!(heir.has_entered(7) && !heir.has_entered(8));
        drop(release);
    }
}

#[test]
fn several_threads_of_a_lane_answer_at_once_and_more_than_the_mailbox_holds_is_turned_away() {
    let lane = Lane::open("lane", 1, Room { lanes: 2, mailbox: 1 }, &Spares::default()).unwrap();
    let (go, wait) = mpsc::channel::<()>();
    let wait = Arc::new(Mutex::new(wait));
    let (began, is_there) = mpsc::channel();
    thread::scope(|scope| {
        let slow = || {
            let (began, wait) = (began.clone(), Arc::clone(&wait));
            let job = move || {
                began.send(()).unwrap();
                let _ = wait.lock().unwrap_or_else(PoisonError::into_inner).recv();
            };
            request(&lane, LONG, job)
        };
        let both = [(); 2].map(|()| {
            let busy = scope.spawn(slow);
            is_there.recv().unwrap();
            busy
        });
        let (waiting, job) = awaited(|| 7, drop);
        lane.request(job, || ()).unwrap();
        assert_eq!(request(&lane, LONG, || 8), Err(LaneError::Full));
        drop(go);
        assert_eq!(waiting.done(LONG, |_| ()), Ok(7));
        assert!(both.into_iter().all(|slow| slow.join().unwrap() == Ok(())));
    });
    assert_eq!(lane.close(LONG), 0);
}

#[test]
fn a_lane_that_is_warmed_up_is_not_used_up_and_one_that_is_busy_is_left_alone() {
    let lane = Lane::open("lane", 1, ROOM, &Spares::default()).unwrap();
    let first = lane.run(LONG, || thread::current().id()).unwrap();
    lane.warm_up(LONG);
    assert_eq!(lane.run(LONG, || thread::current().id()).unwrap(), first);
    // It would wait for ever.
    while_busy(&lane, || lane.warm_up(LONG));
    assert_eq!(lane.close(LONG), 0);
    lane.warm_up(LONG);
}
