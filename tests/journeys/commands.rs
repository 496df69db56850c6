//! Commands and changes of files for one service at the same moment: one wins, the others are told so.

use std::time::{Duration, Instant};

use hotbay::kernel::view::{Event, Phase};
use hotbay::{CallError, Changed, ControlError};
use hotbay_tests::{Hosted, eventually, fixture, rename, with_version};

/// No answer takes so long; whoever comes near it waits for what never comes.
const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
enum Command {
    Drop,
    Add,
    Reload,
    Rollback,
    Start,
    Stop,
    Remove,
}

const ALL: [Command; 7] = [
    Command::Drop,
    Command::Add,
    Command::Reload,
    Command::Rollback,
    Command::Start,
    Command::Stop,
    Command::Remove,
];

fn version(version: &str) -> Vec<u8> {
    with_version(&fixture("counter"), "1.0.0", version)
}

fn add(hosted: &Hosted, from: &str) -> Result<Changed, ControlError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(hosted.file("counter").file_name().unwrap());
    std::fs::write(&file, version(from)).unwrap();
    hosted.host().add(&file, DEADLINE)
}

fn carry_out(hosted: &Hosted, command: Command) -> Result<Option<Changed>, ControlError> {
    let host = hosted.host();
    match command {
        Command::Drop => {
            // Not through one temporary name: two may be at it.
            let whole = tempfile::NamedTempFile::new_in(hosted.file("counter").parent().unwrap()).unwrap();
            std::fs::write(&whole, version("1.3.0")).unwrap();
            // Closed, as Windows moves no file that is open.
            rename(&whole.into_temp_path(), &hosted.file("counter"));
            Ok(None)
        }
        Command::Add => add(hosted, "1.4.0").map(Some),
        Command::Reload => host.reload("counter", DEADLINE).map(Some),
        Command::Rollback => host.rollback("counter", DEADLINE).map(Some),
        Command::Start => host.start_service("counter", false, DEADLINE).map(Some),
        Command::Stop => host.stop_service("counter", false, DEADLINE).map(Some),
        Command::Remove => host.remove("counter", DEADLINE).map(Some),
    }
}

/// Either it was done, or it is said that something else was.
#[track_caller]
fn settled(pair: (Command, Command), done: &Result<Option<Changed>, ControlError>, took: Duration) {
    assert!(took < DEADLINE / 2, "{pair:?} took {took:?}: {done:?}");
    match done {
        Ok(_)
        | Err(
            ControlError::Refused { .. }
            | ControlError::Superseded { .. }
            | ControlError::Busy { .. }
            | ControlError::NotFound { .. }
            | ControlError::Stopping,
        ) => {}
        Err(error) => panic!("{pair:?}: {error:?}"),
    }
}

/// Runs both at once and checks what each is told.
fn at_once(hosted: &Hosted, first: Command, second: Command) {
    std::thread::scope(|scope| {
        for command in [first, second] {
            scope.spawn(move || {
                let began = Instant::now();
                let done = carry_out(hosted, command);
                settled((first, second), &done, began.elapsed());
            });
        }
    });
}

#[test]
fn of_two_commands_for_counter_at_once_each_is_answered_and_the_state_is_kept() {
    let hosted = Hosted::start();
    let mut count = 0_u64;
    for (at, first) in ALL.into_iter().enumerate() {
        for second in &ALL[at..] {
            // The same beginning each time: 1.2.0 serves, 1.1.0 is at hand.
            let _ = hosted.host().start_service("counter", false, DEADLINE);
            for from in ["1.1.0", "1.2.0"] {
                add(&hosted, from).unwrap();
                hosted.wait_version("counter", from);
            }
            hosted.request("counter", "add", "").unwrap();
            count += 1;
            at_once(&hosted, first, *second);
            eventually("it settles", || {
                let row = hosted.host().list().into_iter().find(|row| row.name == "counter");
                row.is_none_or(|row| matches!(row.phase, Phase::Running | Phase::Stopped)).then_some(())
            });
        }
    }
    let _ = hosted.host().start_service("counter", false, DEADLINE);
    add(&hosted, "1.5.0").unwrap();
    hosted.wait_version("counter", "1.5.0");
    assert_eq!(hosted.request("counter", "count", "").unwrap(), count.to_string());
}

#[test]
fn counter_commands_beside_the_end_of_the_host_are_all_answered() {
    for command in ALL {
        let hosted = Hosted::start();
        hosted.drop_bytes("counter", &version("1.1.0"));
        hosted.wait_version("counter", "1.1.0");
        hosted.drop_bytes("counter", &version("1.2.0"));
        hosted.wait_version("counter", "1.2.0");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let began = Instant::now();
                let done = carry_out(&hosted, command);
                settled((command, command), &done, began.elapsed());
            });
            hosted.host().shutdown();
        });
    }
}

/// Waits until a slow call is inside: nobody else gets an answer.
fn inside(hosted: &Hosted) {
    eventually("the call is inside", || {
        let ping = hosted.host().request("slow", "ping", Vec::new(), Duration::from_millis(20));
        matches!(ping, Err(CallError::TimedOut { .. })).then_some(())
    });
}

#[test]
fn slow_callers_hold_a_swap_up_and_of_the_files_dropped_meanwhile_only_the_last_is_waited_for() {
    let hosted = Hosted::start();
    let slow = |version: &str| with_version(&fixture("slow"), "1.0.0", version);
    hosted.live("slow", &fixture("slow"), "1.0.0");
    std::thread::scope(|scope| {
        let caller = scope.spawn(|| hosted.request("slow", "wait", "1500"));
        inside(&hosted);
        hosted.drop_bytes("slow", &slow("2.0.0"));
        eventually("the swap has read its file", || {
            let events = hosted.host().status("slow").unwrap().events;
            let loaded = |event: &Event| event.kind == "loaded" && event.version.as_deref() == Some("2.0.0");
            events.iter().any(loaded).then_some(())
        });
        for version in ["3.0.0", "2.0.0", "4.0.0"] {
            hosted.drop_bytes("slow", &slow(version));
        }
        caller.join().unwrap().unwrap();
    });
    hosted.wait_version("slow", "4.0.0");
    let receipts = hosted.wait_receipts("slow", 2);
    let ways: Vec<_> = receipts.iter().map(|r| (r.from.version.as_str(), r.to.version.as_str())).collect();
    assert_eq!(ways, [("1.0.0", "2.0.0"), ("2.0.0", "4.0.0")]);
}

#[test]
fn counter_versions_dropped_within_a_moment_end_at_the_last_with_nothing_lost() {
    let hosted = Hosted::start();
    hosted.live("counter", &fixture("counter"), "1.0.0");
    let files = ["2.0.0", "3.0.0", "2.0.0", "4.0.0"].map(version);
    let answered = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| (0..400).filter(|_| hosted.request("counter", "add", "").is_ok()).count())
            })
            .collect();
        for file in &files {
            hosted.drop_bytes("counter", file);
        }
        callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>()
    });
    hosted.wait_version("counter", "4.0.0");
    assert_eq!(answered, 800);
    assert_eq!(hosted.request("counter", "count", "").unwrap(), "800");
    let receipts = hosted.host().history("counter").unwrap();
    assert!((1..=4).contains(&receipts.len()), "{receipts:?}");
    assert_eq!(receipts.last().unwrap().to.version, "4.0.0");
    for pair in receipts.windows(2) {
        assert_eq!(pair[0].to, pair[1].from, "one swap at a time");
    }
    assert!(receipts.iter().all(|r| r.requests.lost + r.requests.duplicated == 0), "{receipts:?}");
}

#[test]
fn slow_callers_hold_a_reload_up_and_all_that_are_asked_for_meanwhile_share_the_next() {
    let hosted = Hosted::start();
    hosted.live("slow", &fixture("slow"), "1.0.0");
    std::thread::scope(|scope| {
        let reload = || hosted.host().reload("slow", DEADLINE).unwrap();
        let caller = scope.spawn(|| hosted.request("slow", "wait", "1500"));
        inside(&hosted);
        scope.spawn(reload);
        eventually("the swap has begun", || {
            (hosted.host().status("slow").unwrap().row.phase == Phase::Swapping).then_some(())
        });
        for _ in 0..5 {
            scope.spawn(reload);
        }
        caller.join().unwrap().unwrap();
    });
    assert_eq!(hosted.host().history("slow").unwrap().len(), 2);
}
