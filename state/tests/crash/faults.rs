//! Faults at the points that the storage has for them (feature `fault-injection`): the writer dies at each, each fails, and writes take
//! fewer bytes than they were given.

use std::process::{Command, Output};

use crate::walk::Prepared;

const POINTS: [&str; 9] = [
    "file_open_folder",
    "file_create",
    "file_write",
    "file_short",
    "file_sync",
    "file_keep",
    "file_rename",
    "file_sync_folder",
    "file_prune",
];

/// What is done, and how many runs there were.
pub(crate) fn walk(prepared: &Prepared, full: bool) -> Vec<(&'static str, u32)> {
    let (mut kills, mut errors, mut shortened) = (0, 0, 0);
    for point in POINTS {
        for passed in 0.. {
            let (ran, _) = run(prepared, &format!("{point}={passed}*off->return(kill)"));
            if ran.status.success() {
                // It came to its end before.
                assert!(passed > 0, "nothing comes past {point}");
                break;
            }
            kills += 1;
            for after in ["1*return(a fault)", "return(a fault)"].into_iter().filter(|_| full) {
                let (ran, said) = run(prepared, &format!("{point}={passed}*off->{after}"));
                assert!(ran.status.success(), "{point}: {ran:?}");
                // What is too many goes the next time.
                assert!(point == "file_prune" || said.contains("failed"), "{point} was passed over: {said}");
                errors += 1;
            }
        }
    }
    for bytes in if full { vec![1, 7, 97, 4096] } else { vec![97] } {
        for fault in
            [format!("return({bytes})"), format!("3*off->1*return({bytes})"), format!("1*return({bytes})")]
        {
            let (_, said) = run(prepared, &format!("file_short={fault}"));
            let durable = said.lines().filter(|line| line.starts_with("durable")).count();
            assert!(durable == 3 && !said.contains("failed"), "{fault}: a short write is no error: {said}");
            shortened += 1;
        }
        // Then the disk is full, for once and for good, takes nothing, or the power fails: half a file is there.
        for then in ["1*return(no space)", "return(no space)", "1*return(0)", "return(0)", "return(kill)"] {
            let (ran, said) = run(prepared, &format!("file_short=2*return({bytes})->{then}"));
            assert!(then.contains("kill") != ran.status.success(), "{then}: {ran:?}");
            assert!(then.contains("kill") || said.contains("failed save"), "{then} was passed over: {said}");
            shortened += 1;
        }
    }
    vec![("death at a point", kills), ("error at a point", errors), ("short writes", shortened)]
}

fn run(prepared: &Prepared, faults: &str) -> (Output, String) {
    let copy = prepared.copy();
    let mut command = Command::new(std::env::current_exe().unwrap());
    let ran = command.arg("writer").arg(copy.path()).env("FAILPOINTS", faults).output().unwrap();
    let said = String::from_utf8_lossy(&ran.stdout).into_owned();
    prepared.judge(copy.path(), &said, &format!("{faults}: it said\n{said}"));
    (ran, said)
}
