//! The machine: limits, and what of the system's means a host goes without where they are missing.

use std::fs::File;
use std::process::{Command, Stdio};

use super::Finding;
use crate::Config;
use crate::config::WatchMode;
use crate::kernel::margin::Margin;
use crate::os::{self, Kind, SealedFile};
use crate::watch::can_watch;

/// A plugin of so many bytes and lanes is to be loaded: larger than most.
const BYTES: u64 = 16 << 20;
const LANES: u64 = 8;

/// With fewer open files, some hundred clients or plugins come near the limit.
const FILES: u64 = 1024;

/// Each load takes some 64 mappings; the default of Linux is this.
const MAPPINGS: u64 = 65_530;

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut all = vec![room()];
    all.extend(limits());
    all.extend([barrier(), sealed(), watch(config), probe()]);
    all
}

/// Whether a load would begin, by what this process sees, which has the same limits as a host that is started from here.
fn room() -> Finding {
    match Margin::default().require(BYTES, LANES) {
        Ok(_) => Finding::ok(
            "room",
            format!("a library of {} MiB with {LANES} lanes would be loaded", BYTES >> 20),
        ),
        Err(why) => Finding::fail("room", why, "raise what is named"),
    }
}

fn limits() -> Vec<Finding> {
    let finding = |mean: os::Mean| {
        let (check, least, what, next) = match mean.kind {
            Kind::Files => ("files", FILES, "open files", "raise it, by `ulimit -n` or `LimitNOFILE=`"),
            Kind::Mappings => {
                ("mappings", MAPPINGS, "mappings", "raise it: `sysctl -w vm.max_map_count=65530`")
            }
            // Told by `room`, where they are short.
            Kind::Threads | Kind::Bytes => return None,
        };
        let found = format!("{} are allowed as {what} ({})", mean.limit, mean.by);
        Some(if mean.limit < least { Finding::warn(check, found, next) } else { Finding::ok(check, found) })
    };
    os::means(LANES).into_iter().filter_map(finding).collect()
}

fn barrier() -> Finding {
    match os::barrier_everywhere() {
        Ok(()) => Finding::ok("membarrier", "calls take their lease without a fence"),
        Err(error) => {
            let found = format!("there is none ({error}): each call has a fence of some nanoseconds");
            // Of these systems none has it.
            if cfg!(any(target_os = "linux", target_os = "android")) {
                Finding::warn("membarrier", found, "let the sandbox or the kernel allow `membarrier`")
            } else {
                Finding::ok("membarrier", found)
            }
        }
    }
}

fn sealed() -> Finding {
    let own = std::env::current_exe().and_then(File::open);
    match own.and_then(|mut own| SealedFile::copy_of(&mut own, 4096, "doctor").map(drop)) {
        Ok(()) => Finding::ok("memfd", "libraries are mapped from sealed memory, which nobody can change"),
        Err(error) => {
            let found = format!(
                "there is none ({error}): libraries are mapped from private copies in the home folder"
            );
            if cfg!(any(target_os = "linux", target_os = "android")) {
                Finding::warn("memfd", found, "let the sandbox or the kernel allow `memfd_create`")
            } else {
                Finding::ok("memfd", found)
            }
        }
    }
}

/// Whether changes of the folder would be heard of, or only seen at the next look.
fn watch(config: &Config) -> Finding {
    let every = config.watch.rescan.as_millis();
    if config.watch.mode == WatchMode::Poll {
        return Finding::ok("watch", "the folder is polled, as the settings say");
    }
    match can_watch(&config.plugins) {
        Ok(()) => Finding::ok("watch", "the system tells of changes in the plugins folder"),
        // The look at the folder says so.
        Err(_) if !config.plugins.is_dir() => Finding::ok("watch", "there is no plugins folder to watch yet"),
        Err(error) => {
            let found = format!("the system tells of no changes ({error}): they are seen within {every} ms");
            let next = "raise `fs.inotify.max_user_watches` and `fs.inotify.max_user_instances`, or set `watch.mode = \"poll\"`";
            Finding::warn("watch", found, next)
        }
    }
}

/// Whether this program can be started once more, as the probe of new files is.
fn probe() -> Finding {
    let ran = std::env::current_exe().and_then(|own| {
        Command::new(own)
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
    });
    match ran {
        Ok(status) if status.success() => Finding::ok("probe", "this program can be started once more"),
        Ok(status) => {
            let next = "see which limit or sandbox ends it; `probe.mode = \"off\"` goes without, and a file that is damaged then ends the host";
            Finding::fail("probe", format!("this program ends at once: {status}"), next)
        }
        Err(error) => Finding::fail(
            "probe",
            format!("this program cannot be started once more: {error}"),
            "let it start processes",
        ),
    }
}
