//! Old code that cannot be unmapped: what holds it is named, its size is counted, and too much of it stops further swaps.

use hotbay::kernel::view::{Cause, HolderKind, Outcome, Phase, Pinned, Receipt, Retired};
use hotbay_tests::{Bay, census, eventually, fixture, is_mapped, marked_nodelete, with_version};

/// Where the system does not tell when threads began, which thread it is cannot be told.
const THREADS_ARE_TOLD: bool = cfg!(any(target_os = "linux", windows));

/// Replaces a fixture for the `swap`th time and answers the receipt.
#[track_caller]
fn replace(bay: &Bay, name: &str, swap: usize) -> Receipt {
    let version = format!("{}.{}.0", 1 + swap / 10, swap % 10);
    bay.drop_bytes(name, &with_version(&fixture(name), "1.0.0", &version));
    bay.wait_version(name, &version);
    bay.wait_receipt(name, swap)
}

/// A fixture that runs in version 1.0.0, replaced once.
#[track_caller]
fn replaced(name: &str, request: &str) -> (Bay, Receipt) {
    let bay = Bay::started();
    bay.drop_in(name, &fixture(name));
    bay.wait_version(name, "1.0.0");
    bay.call(&format!("{name}.{request}"), "");
    let receipt = replace(&bay, name, 1);
    (bay, receipt)
}

#[track_caller]
fn only_pinned(bay: &Bay, name: &str) -> Pinned {
    let mut pinned = bay.status(name).pinned;
    assert_eq!(pinned.len(), 1, "{pinned:?}");
    pinned.remove(0)
}

#[test]
fn keeps_a_thread_and_is_pinned_with_its_id_and_name() {
    let (bay, receipt) = replaced("keeps_a_thread", "ping");
    assert_eq!(receipt.retired, Retired::Pinned);
    let pinned = only_pinned(&bay, "keeps_a_thread");
    assert_eq!((pinned.generation, pinned.version.as_str()), (1, "1.0.0"));
    assert_eq!(Some(&pinned.reason), receipt.retired_reason.as_ref());
    if THREADS_ARE_TOLD {
        assert_eq!(pinned.cause, Cause::Thread);
        let [holder] = &pinned.holders[..] else { panic!("{pinned:?}") };
        assert_eq!((holder.name.as_str(), holder.kind), ("left-behind", HolderKind::Runs));
        if census(bay.pid()).is_some() {
            let task = format!("/proc/{}/task/{}/comm", bay.pid(), holder.id);
            assert_eq!(std::fs::read_to_string(task).unwrap().trim(), "left-behind");
        }
        assert!(pinned.reason.contains(&format!("thread {} `left-behind`", holder.id)), "{}", pinned.reason);
    }
    // The second one names its own thread, and not that of the first, which began before it.
    replace(&bay, "keeps_a_thread", 2);
    let pinned = bay.status("keeps_a_thread").pinned;
    assert_eq!(pinned.iter().map(|pinned| pinned.generation).collect::<Vec<_>>(), [1, 2]);
    assert!(bay.ok(&["status", "keeps_a_thread"]).contains("MiB: "));
    let row = bay.row("keeps_a_thread").unwrap();
    assert_eq!(
        (row.pinned_generations, row.pinned_bytes),
        (2, pinned.iter().map(|pinned| pinned.bytes).sum())
    );
}

#[test]
fn fails_in_create_beside_a_thread_and_what_is_left_is_named() {
    let bay = Bay::with("[probe]\nmode = \"off\"").up();
    let name = "fails_in_create_beside_a_thread";
    bay.drop_in(name, &fixture(name));
    bay.wait_phase(name, Phase::Faulted);
    let pinned = only_pinned(&bay, name);
    if THREADS_ARE_TOLD {
        assert_eq!(pinned.cause, Cause::Thread);
        assert!(pinned.reason.contains("`left-behind`"), "{}", pinned.reason);
    }
}

#[test]
fn keeps_a_thread_and_a_call_and_in_the_end_the_thread_is_named() {
    let bay = Bay::with("[swap]\ndrain_ms = 300").up();
    bay.drop_in("keeps_a_thread", &fixture("keeps_a_thread"));
    bay.wait_version("keeps_a_thread", "1.0.0");
    let mut staying = bay.command();
    // Longer where a command takes its time.
    staying.args(["call", "keeps_a_thread.stay", "-d", if cfg!(windows) { "12000" } else { "2500" }]);
    let mut staying = staying.stdout(std::process::Stdio::null()).spawn().unwrap();
    eventually("the call is inside", || bay.log().contains("staying").then_some(()));
    assert_eq!(replace(&bay, "keeps_a_thread", 1).retired, Retired::Pinned);
    assert_eq!(only_pinned(&bay, "keeps_a_thread").cause, Cause::Inside);
    assert!(staying.wait().unwrap().success());
    let pinned = eventually("it is told what holds it now", || {
        let pinned = only_pinned(&bay, "keeps_a_thread");
        (pinned.cause != Cause::Inside).then_some(pinned)
    });
    if THREADS_ARE_TOLD {
        assert!(pinned.reason.contains("`left-behind`"), "{}", pinned.reason);
    }
}

#[test]
fn joins_its_threads_and_is_unloaded() {
    let (bay, receipt) = replaced("joins_its_threads", "threads");
    assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
    assert_eq!(bay.call("joins_its_threads.threads", ""), "3");
    let digest = &receipt.from.digest[..16];
    assert_ne!(is_mapped(bay.pid(), digest), Some(true));
}

#[test]
fn runs_tokio_and_is_unloaded() {
    let (bay, receipt) = replaced("runs_tokio", "later");
    assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
    for swap in 2..=5 {
        assert_eq!(bay.call("runs_tokio.later", ""), "later");
        let receipt = replace(&bay, "runs_tokio", swap);
        assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None));
        assert_ne!(is_mapped(bay.pid(), &receipt.from.digest[..16]), Some(true));
    }
}

#[test]
fn forgets_tokio_and_its_threads_are_named() {
    let (mut bay, receipt) = replaced("forgets_tokio", "ping");
    assert_eq!(receipt.retired, Retired::Pinned);
    let pinned = only_pinned(&bay, "forgets_tokio");
    if THREADS_ARE_TOLD {
        let names: Vec<&str> = pinned.holders.iter().map(|holder| holder.name.as_str()).collect();
        assert_eq!(names, ["forgotten-tokio"; 2], "{pinned:?}");
        assert!(pinned.reason.contains("`forgotten-tokio`"), "{}", pinned.reason);
    }
    bay.assert_alive();
}

#[test]
fn a_file_that_is_marked_to_stay_is_pinned_and_says_so() {
    if !cfg!(target_os = "linux") {
        return;
    }
    let bay = Bay::started();
    bay.drop_bytes("stateless", &marked_nodelete(std::fs::read(fixture("stateless")).unwrap()));
    bay.wait_version("stateless", "1.0.0");
    bay.drop_in("stateless", &fixture("stateless_next"));
    bay.wait_version("stateless", "2.0.0");
    assert_eq!(bay.wait_receipt("stateless", 1).retired, Retired::Pinned);
    let pinned = only_pinned(&bay, "stateless");
    assert_eq!((pinned.cause, pinned.holders), (Cause::Marked, Vec::new()));
    assert!(pinned.reason.contains("marked NODELETE"), "{}", pinned.reason);
}

#[test]
fn keeps_a_thread_until_too_much_is_pinned_and_swaps_are_refused_with_advice() {
    let bay = Bay::with("[swap]\nmax_pinned_mib = 0").up();
    bay.drop_in("keeps_a_thread", &fixture("keeps_a_thread"));
    bay.wait_version("keeps_a_thread", "1.0.0");
    bay.drop_in("stateless", &fixture("stateless"));
    bay.wait_version("stateless", "1.0.0");
    assert_eq!(replace(&bay, "keeps_a_thread", 1).retired, Retired::Pinned);

    let refused = |name: &str| {
        let row = bay.wait_for(name, |row| row.reason.is_some());
        assert_eq!(row.phase, Phase::Running);
        let reason = row.reason.unwrap();
        for part in ["does not take over", "max_pinned_mib = 0", "`keeps_a_thread`", "1 generation", "`stop`"]
        {
            assert!(reason.contains(part), "no `{part}` in: {reason}");
        }
    };
    bay.drop_bytes("keeps_a_thread", &with_version(&fixture("keeps_a_thread"), "1.0.0", "1.2.0"));
    refused("keeps_a_thread");
    assert_eq!(bay.call("keeps_a_thread.ping", ""), "pong");
    // Nothing was loaded: there is no more than the one receipt.
    assert_eq!(bay.history("keeps_a_thread").len(), 1);

    // Whoever else it is: what it would leave behind is not known before.
    bay.drop_in("stateless", &fixture("stateless_next"));
    refused("stateless");
    assert_eq!(bay.call("stateless.version", ""), "1.0.0");
    let added = bay.hotbay(&["add", fixture("counter").to_str().unwrap()]);
    assert_eq!(added.code, 0, "a service that holds nothing starts: {added:?}");
    let file = bay.path(hotbay_tests::library_name("keeps_a_thread").as_str());
    std::fs::write(&file, with_version(&fixture("keeps_a_thread"), "1.0.0", "1.3.0")).unwrap();
    let added = bay.hotbay(&["add", file.to_str().unwrap()]);
    assert_eq!(added.code, 4, "{added:?}");
    assert!(added.stderr.contains("max_pinned_mib"), "{added:?}");
}

#[test]
fn keeps_a_thread_for_a_while_and_when_that_ends_the_rest_is_seen_to_go_and_the_next_swap_goes_on() {
    let bay = Bay::with("[swap]\nmax_pinned_mib = 0").up();
    let name = "keeps_a_thread_for_a_while";
    bay.drop_in(name, &fixture(name));
    bay.wait_version(name, "1.0.0");
    let receipt = replace(&bay, name, 1);
    assert_eq!(receipt.retired, Retired::Pinned);
    if cfg!(target_vendor = "apple") {
        // What held it may end: no library of Rust's goes there.
        return;
    }
    bay.drop_bytes(name, &with_version(&fixture(name), "1.0.0", "1.2.0"));
    let refused = bay.wait_for(name, |row| row.reason.is_some());
    assert_eq!((refused.version.as_deref(), refused.pinned_generations), (Some("1.1.0"), 1));

    // Nobody asks for anything from here on: the host looks by itself.
    std::fs::write(bay.path("let-go"), "").unwrap();
    bay.wait_version(name, "1.2.0");
    eventually("nothing is pinned", || bay.status(name).pinned.is_empty().then_some(()));
    assert_ne!(is_mapped(bay.pid(), &receipt.from.digest[..16]), Some(true));
    let events = bay.ok(&["events"]);
    assert!(events.contains("generation 1 is gone since"), "{events}");
}

#[test]
fn a_swap_that_was_refused_for_the_budget_goes_on_when_the_host_may_hold_more() {
    let mut bay = Bay::with("[swap]\nmax_pinned_mib = 0").up();
    bay.drop_in("forgets_tokio", &fixture("forgets_tokio"));
    bay.wait_version("forgets_tokio", "1.0.0");
    replace(&bay, "forgets_tokio", 1);
    bay.drop_bytes("forgets_tokio", &with_version(&fixture("forgets_tokio"), "1.0.0", "1.2.0"));
    bay.wait_for("forgets_tokio", |row| row.reason.is_some());
    // What is pinned goes with the process, which is the advice.
    bay.kill();
    bay.start();
    bay.wait_version("forgets_tokio", "1.2.0");
    let row = bay.row("forgets_tokio").unwrap();
    assert_eq!((row.pinned_generations, row.pinned_bytes), (0, 0));
    assert_eq!(bay.history("forgets_tokio")[0].outcome, Outcome::Committed);
}

#[test]
fn panics_at_each_call_under_rust_backtrace_over_fifty_swaps_and_nothing_stays() {
    let mut bay = Bay::with("[plugin.panics]\nold = \"call\"\nnew = \"call\"");
    bay.start_with(|command| {
        command.env("RUST_BACKTRACE", "1");
    });
    bay.drop_in("panics", &fixture("panics"));
    bay.wait_version("panics", "1.0.0");
    let mut after_ten = None;
    for swap in 1..=50_usize {
        assert_eq!(bay.hotbay(&["call", "panics.add"]).code, 1);
        let receipt = replace(&bay, "panics", swap);
        assert_eq!((receipt.retired, receipt.retired_reason), (Retired::Unloaded, None), "swap {swap}");
        if swap == 10 {
            after_ten = census(bay.pid());
        }
    }
    let Some(before) = after_ten else { return };
    eventually("as many mappings as before", || {
        let now = census(bay.pid()).unwrap();
        // A mapping per swap would be forty more.
        (now.maps <= before.maps + 12).then_some(())
    });
}
