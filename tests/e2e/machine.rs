//! What the machine does to a host: a folder that cannot be watched, too many events, no descriptors left, a clock that was set
//! back. What runs goes on, and what was dropped in is taken all the same.

use std::fs::File;
use std::io::Write as _;
use std::time::{Duration, SystemTime};

use hotbay_tests::{Bay, example};

#[test]
fn a_folder_that_cannot_be_watched_is_read_again_and_again_and_the_host_says_so() {
    let mut bay = Bay::new();
    bay.start_with(|command| _ = command.env("FAILPOINTS", "watch=return(no watches are left)"));
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
    let log = bay.log();
    assert!(log.contains("cannot be watched") && log.contains("no watches are left"), "{log}");
}

#[test]
fn more_events_than_their_queue_holds_cost_no_file() {
    let bay = Bay::started();
    // So that it takes none of them meanwhile, and that of the library is lost. Elsewhere it may be quick enough.
    #[cfg(target_os = "linux")]
    let host = rustix::process::Pid::from_raw(i32::try_from(bay.pid()).unwrap()).unwrap();
    #[cfg(target_os = "linux")]
    rustix::process::kill_process(host, rustix::process::Signal::STOP).unwrap();
    let mut scribbled = ["a.txt", "b.txt"].map(|name| File::create(bay.plugins().join(name)).unwrap());
    // By turns: the system makes one of two that are alike. The queue holds some 16,000.
    for turn in 0..40_000 {
        scribbled[turn % 2].write_all(b"x").unwrap();
        if turn == 20_000 {
            bay.drop_in("echo", &example("echo"));
        }
    }
    #[cfg(target_os = "linux")]
    {
        let room = std::fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        assert!(room.trim().parse::<u32>().unwrap() < 20_000, "the queue holds {room}");
        rustix::process::kill_process(host, rustix::process::Signal::CONT).unwrap();
    }
    bay.wait_version("echo", "1.0.0");
    bay.drop_in("echo", &example("echo_v2"));
    bay.wait_version("echo", "2.0.0");
}

/// How many files a host may have open, which root and it itself may change. Linux: elsewhere there is no such call from outside.
#[cfg(target_os = "linux")]
#[test]
fn a_host_without_descriptors_serves_on_and_takes_the_file_when_it_has_some_again() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let host = Pid::from_raw(i32::try_from(bay.pid()).unwrap()).unwrap();
    // It has what this process gave to it.
    let before = getrlimit(Resource::Nofile);
    let few = Rlimit { current: Some(3), maximum: before.maximum };
    prlimit(Some(host), Resource::Nofile, few).unwrap();
    bay.drop_in("late", &example("kv"));
    hotbay_tests::eventually("the host meets the limit", || bay.log().contains("os error 24").then_some(()));
    bay.assert_alive();
    prlimit(Some(host), Resource::Nofile, before).unwrap();
    assert_eq!(bay.call("echo.echo", "here"), "here");
    hotbay_tests::eventually("it is taken", || {
        bay.rows().into_iter().find(|row| row.name == "kv" && row.generation == Some(1))
    });
    assert_eq!(bay.row("echo").unwrap().generation, Some(1));
}

#[test]
fn a_clock_that_was_set_back_holds_up_neither_a_file_nor_its_state() {
    let mut bay = Bay::started();
    let tomorrow = SystemTime::now() + Duration::from_secs(24 * 3600);
    let from_tomorrow = bay.path("tomorrow");
    std::fs::copy(example("kv"), &from_tomorrow).unwrap();
    File::options().write(true).open(&from_tomorrow).unwrap().set_modified(tomorrow).unwrap();
    std::fs::rename(&from_tomorrow, bay.file("kv")).unwrap();
    bay.wait_version("kv", "1.0.0");
    bay.call("kv.set", r#"{"when": "today"}"#);
    bay.ok(&["state", "snapshot", "kv"]);
    bay.stop();
    let state = bay.state_file("kv");
    File::options().write(true).open(&state).unwrap().set_modified(tomorrow).unwrap();
    bay.start();
    bay.wait_version("kv", "1.0.0");
    assert!(bay.call("kv.get", "when").contains("today"));
}
