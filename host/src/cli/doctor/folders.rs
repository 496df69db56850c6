//! The folders, the keys, and the host that runs there.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::{ANSWER, Finding};
use crate::config::{ExposedHome, KeySource};
use crate::control::client::Client;
use crate::control::protocol::Request;
use crate::error::chain;
use crate::host::{folders, keys};
use crate::os::{self, Space};
use crate::trust::exposure;
use crate::{Config, HostError};

/// With less, snapshots of some services may not be written any more; with the other, nothing is.
const LITTLE: u64 = 1 << 30;
const NEXT_TO_NOTHING: u64 = 32 << 20;

/// So far ahead may the clock of who wrote a file have been.
const AHEAD: Duration = Duration::from_secs(120);

/// No clock that is right shows an earlier time: 2025-01-01, in seconds since 1970.
const EARLIEST: Duration = Duration::from_secs(1_735_689_600);

pub(super) fn look(config: &Config) -> Vec<Finding> {
    let mut all = vec![plugins(config), home(config), key(config), host(config)];
    all.push(disk(config));
    all.push(clock(config, SystemTime::now()));
    all
}

fn plugins(config: &Config) -> Finding {
    let (check, shown) = ("plugins", config.plugins.display());
    let entries = match std::fs::read_dir(&config.plugins) {
        Ok(entries) => entries,
        Err(error) => {
            let next = format!("make it, `mkdir {shown}`, or name another with `--plugins`");
            return Finding::fail(check, format!("`{shown}` cannot be read: {error}"), next);
        }
    };
    let files = entries.flatten().filter(|entry| {
        Path::new(&entry.file_name()).extension().is_some_and(|kind| kind == std::env::consts::DLL_EXTENSION)
    });
    let found = format!("`{shown}` has {} libraries", files.count());
    match exposure::of_folder(&config.plugins) {
        Some(exposed) => {
            let next = "take that from them: files that others could have written are refused, but where a signature vouches for them";
            Finding::warn(check, format!("{found}, and others could put some there: {exposed}"), next)
        }
        None => Finding::ok(check, found),
    }
}

fn home(config: &Config) -> Finding {
    let (check, shown) = ("home", config.home.display());
    if !config.home.exists() {
        return Finding::ok(check, format!("`{shown}` is made at the first start"));
    }
    if let Some(exposed) = exposure::of_folder(&config.home) {
        let found = format!("others could put another folder in the place of `{shown}`: {exposed}");
        let next = "take that from them, name another with `--home`, or set `trust.exposed_home = \"allow\"`";
        return match config.trust.exposed_home {
            ExposedHome::Refuse => Finding::fail(check, found, next),
            ExposedHome::Allow => Finding::warn(check, found, next),
        };
    }
    match os::owns(&config.home) {
        Ok(true) => Finding::ok(check, format!("`{shown}` is yours alone to change")),
        Ok(false) => {
            let next = "run the host, and this, as that user; or name another with `--home`";
            Finding::fail(check, format!("`{shown}` belongs to another user"), next)
        }
        Err(error) => Finding::fail(
            check,
            format!("`{shown}` cannot be looked at: {error}"),
            "name another with `--home`",
        ),
    }
}

fn key(config: &Config) -> Finding {
    let check = "key";
    let missing = keys::file(config).filter(|path| !path.exists());
    let has_state = std::fs::read_dir(config.home.join("state")).is_ok_and(|all| {
        all.flatten()
            .any(|entry| Path::new(&entry.file_name()).extension().is_some_and(|kind| kind == "state"))
    });
    match (missing, has_state) {
        (Some(path), true) => {
            let found = format!("`{}` is gone, and there is state that was sealed with it", path.display());
            return Finding::fail(
                check,
                found,
                "bring it back from where it was kept: no other key opens that state",
            );
        }
        (Some(path), false) if matches!(config.state.keys.first(), None | Some(KeySource::Home)) => {
            return Finding::ok(check, format!("`{}` is made at the first start", path.display()));
        }
        _ => {}
    }
    match keys::existing_ring(config) {
        Ok(ring) => Finding::ok(
            check,
            format!("{} can be read, and nobody else reads their files", counted(ring.keys().count(), "key")),
        ),
        Err(error) => Finding::fail(check, chain(&error), format!("`hotbay explain {}`", error.code())),
    }
}

/// Whether one runs, and answers.
fn host(config: &Config) -> Finding {
    let check = "host";
    if !config.home.join("lock").exists() {
        return Finding::ok(check, "none was started with this home yet");
    }
    match folders::lock(&config.home) {
        Ok(_free) => Finding::ok(check, "none runs with this home"),
        Err(HostError::Locked { .. }) => match Client::new(&config.home, ANSWER).ask::<u32>(&Request::Ping) {
            Ok(process) => Finding::ok(check, format!("process {process} runs with this home, and answers")),
            Err(error) => {
                let next = "see its log; where it hangs, end it and start it again";
                Finding::fail(
                    check,
                    format!("one runs with this home, and does not answer: {}", chain(&error)),
                    next,
                )
            }
        },
        Err(error) => Finding::fail(check, chain(&error), "see who may write to the home folder"),
    }
}

fn disk(config: &Config) -> Finding {
    let check = "disk";
    let folder = config.home.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("."));
    let Space { bytes, files } = match os::space(folder) {
        Ok(space) => space,
        Err(error) => {
            let found = format!("how much is free cannot be told: {error}");
            return Finding::warn(
                check,
                found,
                "look for yourself: a snapshot that cannot be written is lost",
            );
        }
    };
    let found = format!("{} MiB are free at `{}`", bytes >> 20, folder.display());
    let next = "make room, or name a home on another disk with `--home`: state that cannot be written is lost with the host";
    if bytes < NEXT_TO_NOTHING || files.is_some_and(|files| files < 100) {
        Finding::fail(check, found, next)
    } else if bytes < LITTLE {
        Finding::warn(check, found, next)
    } else {
        Finding::ok(check, found)
    }
}

/// Nothing is ordered by the clock; people read it, and signatures and snapshots show it.
fn clock(config: &Config, now: SystemTime) -> Finding {
    let check = "clock";
    let next = "set it, and have it kept right: `timedatectl set-ntp true`, or what this system has for it";
    if now < SystemTime::UNIX_EPOCH + EARLIEST {
        return Finding::fail(check, "it shows a time before 2025", next);
    }
    let entries = std::fs::read_dir(&config.home).into_iter().flatten().flatten();
    let newest = entries.filter_map(|entry| entry.metadata().ok()?.modified().ok()).max();
    match newest.and_then(|newest| newest.duration_since(now).ok()).filter(|ahead| *ahead > AHEAD) {
        Some(ahead) => {
            let found =
                format!("a file of the home folder was written {} s from now: it went back", ahead.as_secs());
            Finding::warn(check, found, next)
        }
        None => Finding::ok(check, "it shows no time that cannot be"),
    }
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    fn config() -> (tempfile::TempDir, Config) {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        (config.home, config.plugins) = (folder.path().join(".hotbay"), folder.path().join("plugins"));
        os::private_folder(&config.home).unwrap();
        (folder, config)
    }

    #[test]
    fn a_folder_that_is_missing_and_a_key_that_is_gone_are_found() {
        let (_folder, config) = config();
        assert_eq!(plugins(&config).verdict, Verdict::Fail);
        std::fs::create_dir(&config.plugins).unwrap();
        assert_ne!(plugins(&config).verdict, Verdict::Fail);
        assert_eq!(key(&config).verdict, Verdict::Ok, "the first start makes one");
        std::fs::create_dir(config.home.join("state")).unwrap();
        std::fs::write(config.home.join("state/echo.state"), b"sealed").unwrap();
        let gone = key(&config);
        assert_eq!(gone.verdict, Verdict::Fail, "{gone:?}");
        hotbay_state::KeyRing::load_or_create(&config.home.join("state.key")).unwrap();
        assert_eq!(key(&config).verdict, Verdict::Ok);
    }

    #[test]
    fn a_clock_that_went_back_or_was_never_set_is_found() {
        let (_folder, config) = config();
        std::fs::write(config.home.join("lock"), b"").unwrap();
        let now = SystemTime::now();
        assert_eq!(clock(&config, now).verdict, Verdict::Ok);
        assert_eq!(clock(&config, now - Duration::from_secs(3600)).verdict, Verdict::Warn);
        assert_eq!(clock(&config, SystemTime::UNIX_EPOCH).verdict, Verdict::Fail);
    }

    #[test]
    fn a_home_that_is_held_by_nobody_who_answers_is_found() {
        let (_folder, config) = config();
        assert_eq!(host(&config).verdict, Verdict::Ok);
        let held = folders::lock(&config.home).unwrap();
        let silent = host(&config);
        assert_eq!(silent.verdict, Verdict::Fail, "{silent:?}");
        drop(held);
        assert_eq!(host(&config).verdict, Verdict::Ok);
    }
}
