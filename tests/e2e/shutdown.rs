//! How a host ends: on Unix by SIGTERM, on Windows by Ctrl-C.

use hotbay_tests::{Bay, eventually, example, fixture};

#[test]
fn who_asks_it_to_end_stops_all_in_the_reverse_order_and_exits_0() {
    let mut bay = Bay::new();
    bay.drop_in("a", &fixture("top"));
    bay.drop_in("b", &fixture("base"));
    bay.drop_in("c", &example("logger"));
    bay.start();
    bay.wait_phase("top", hotbay::kernel::view::Phase::Running);
    bay.wait_version("logger", "1.0.0");
    assert_eq!(bay.stop(), Some(0));
    let log = bay.log();
    let stopped = |name: &str| {
        let of = format!("plugin={name} ");
        let line = log.lines().position(|line| line.contains(" stopped: ") && line.contains(&of));
        line.unwrap_or_else(|| panic!("{name} was not stopped"))
    };
    assert!(stopped("top") < stopped("base"));
    assert!(stopped("base") < stopped("logger"));
}

#[test]
fn who_follows_the_events_sees_the_end_and_ends_well() {
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    let told = bay.path("told");
    let mut follow = bay.command();
    follow.args(["events", "-f", "-o", "json"]).stdout(std::fs::File::create(&told).unwrap());
    let mut follow = follow.spawn().unwrap();
    let told = || std::fs::read_to_string(&told).unwrap();
    eventually("the client listens", || told().contains("started").then_some(()));
    assert_eq!(bay.stop(), Some(0));
    let ended = eventually("the client ends", || follow.try_wait().unwrap());
    assert!(told().contains("\"stopped\""), "{}", told());
    assert_eq!(ended.code(), Some(0));
}

#[test]
fn state_of_the_very_last_call_is_written_at_the_end() {
    // No snapshot on the way.
    let mut bay = Bay::with("[state]\ninterval_ms = 600000").up();
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("counter", "1.0.0");
    for _ in 0..7 {
        bay.call("counter.add", "");
    }
    assert_eq!(bay.stop(), Some(0));
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "7");
}

#[test]
fn hangs_in_stop_and_the_host_still_ends() {
    let mut bay = Bay::with("[swap]\ncallback_ms = 500\ndrain_ms = 500\n[plugin.hangs]\nold = \"stop\"").up();
    bay.drop_in("hangs", &fixture("hangs"));
    bay.drop_in("counter", &fixture("counter"));
    bay.wait_version("hangs", "1.0.0");
    bay.wait_version("counter", "1.0.0");
    bay.call("counter.add", "");
    assert_eq!(bay.stop(), Some(0));
    bay.start();
    bay.wait_version("counter", "1.0.0");
    assert_eq!(bay.call("counter.count", ""), "1");
}

#[test]
fn slow_calls_that_were_accepted_are_answered_before_the_end() {
    let mut bay = Bay::started();
    bay.drop_in("slow", &fixture("slow"));
    bay.wait_version("slow", "1.0.0");
    let mut call = bay.command();
    call.args(["call", "slow.wait", "-d", "1500"]);
    let call = std::thread::spawn(move || hotbay_tests::run(&mut call));
    // Once the call is inside, another one waits behind it.
    eventually("the call is inside", || {
        (bay.hotbay(&["call", "slow.ping", "--timeout", "50ms"]).code == 7).then_some(())
    });
    assert_eq!(bay.stop(), Some(0));
    let call = call.join().unwrap();
    assert_eq!((call.code, call.stdout.as_str()), (0, "waited"), "{call:?}");
}

#[test]
#[cfg(target_os = "linux")] // Elsewhere a host cannot tell how it was started.
fn a_host_that_was_started_with_nohup_outlives_its_terminal() {
    use std::process::Command;
    use std::time::Duration;
    let bay = Bay::new();
    let run = bay.run_command();
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]).arg(run.get_program()).args(run.get_args());
    let mut host = nohup.stderr(std::process::Stdio::null()).spawn().unwrap();
    eventually("the host answers", || (bay.hotbay(&["list"]).code == 0).then_some(()));
    assert!(Command::new("kill").args(["-HUP", &host.id().to_string()]).status().unwrap().success());
    hotbay_tests::never_within(Duration::from_millis(300), "the host ends", || {
        host.try_wait().unwrap().is_some()
    });
    hotbay_tests::terminate(&host);
    assert_eq!(eventually("the host ends", || host.try_wait().unwrap()).code(), Some(0));
}

#[test]
fn a_host_leaves_nothing_staged_behind() {
    let mut bay = Bay::started();
    bay.drop_in("echo", &example("echo"));
    bay.wait_version("echo", "1.0.0");
    assert_eq!(bay.stop(), Some(0));
    let mut libraries = Vec::new();
    collect(&bay.home(), &mut libraries);
    assert!(libraries.is_empty(), "{libraries:?}");

    // After a crash the next host clears up what the crashed one left.
    bay.start();
    bay.wait_version("echo", "1.0.0");
    bay.kill();
    std::fs::remove_file(bay.file("echo")).unwrap();
    bay.start();
    eventually("the crashed host's copies are gone", || {
        let mut libraries = Vec::new();
        collect(&bay.home(), &mut libraries);
        libraries.is_empty().then_some(())
    });
}

/// Files as large as a library, but for the one that wrote the state, which is kept.
fn collect(folder: &std::path::Path, into: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        match entry.metadata() {
            Ok(data) if data.is_dir() && entry.file_name() == "served" => {}
            Ok(data) if data.is_dir() => collect(&entry.path(), into),
            Ok(data) if data.len() > 1 << 20 => into.push(entry.path()),
            _ => {}
        }
    }
}
