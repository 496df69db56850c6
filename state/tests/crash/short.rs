//! Writes that the system itself cuts short: a limit on the length of files (`RLIMIT_FSIZE`) in the middle of a file. The call that
//! meets it takes fewer bytes than it was given; the next one fails, or the process is killed.

use std::process::Command;

use crate::walk::Prepared;

/// Past the longest file that the writer writes.
const LONGEST: u64 = 5000;

/// Lets the writer meet limits all over its files; how many runs there were.
pub(crate) fn walk(prepared: &Prepared, full: bool) -> u32 {
    let step = if full { 97 } else { 2499 };
    let mut runs = 0;
    for limit in (0..LONGEST).step_by(step) {
        for (end, ignores) in [("killed", false), ("once", true), ("from then on", true)] {
            let copy = prepared.copy();
            // What ignores a signal hands that on to what it runs in its place.
            let script = if ignores { r#"trap "" XFSZ; exec "$0" "$@""# } else { r#"exec "$0" "$@""# };
            let mut command = Command::new("sh");
            command.args(["-c", script]).arg(std::env::current_exe().unwrap()).arg("writer").arg(copy.path());
            command
                .env("HOTBAY_LIMIT", limit.to_string())
                .env("HOTBAY_LIMIT_ONCE", (end == "once").to_string());
            let ran = command.output().unwrap();
            let said = String::from_utf8_lossy(&ran.stdout);
            let what = format!("files of {limit} bytes at most, {end}: it said\n{said}");
            prepared.judge(copy.path(), &said, &what);
            let meets = limit < 4000;
            match end {
                _ if !meets => {}
                "killed" => assert!(!ran.status.success(), "it was not killed: {what}"),
                "once" => {
                    assert!(said.contains("failed save") && said.contains("durable"), "one fails: {what}");
                }
                _ => assert!(said.contains("failed save") && !said.contains("durable"), "all fail: {what}"),
            }
            runs += 1;
        }
    }
    runs
}
