//! Digests that were rolled back: `.hotbay/rolled_back/`. They are not loaded again, also after a restart of the host, until
//! somebody asks for it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::records::Records;
use super::view::RolledBack;

/// So many are remembered per service: who builds one bad version after another is not to fill the disk.
const KEPT: usize = 32;

/// The set, in memory and on disk. Only the loop touches it.
#[derive(Debug)]
pub(crate) struct RolledBackDigests {
    records: Records<Vec<RolledBack>>,
    all: BTreeMap<String, Vec<RolledBack>>,
}

impl RolledBackDigests {
    pub(crate) fn open(home: &Path) -> io::Result<Self> {
        let (records, all) = Records::open(home.join("rolled_back"))?;
        Ok(Self { records, all: all.into_iter().collect() })
    }

    /// Those of a service, oldest first.
    pub(crate) fn of(&self, service: &str) -> &[RolledBack] {
        self.all.get(service).map_or(&[], Vec::as_slice)
    }

    /// Remembers one; whether it is on disk. A disk that does not take it is told: the digest is held back in this run all
    /// the same.
    pub(crate) fn add(&mut self, service: &str, rolled_back: RolledBack) -> bool {
        let those = self.all.entry(service.to_owned()).or_default();
        those.retain(|other| other.digest != rolled_back.digest);
        those.push(rolled_back);
        those.drain(..those.len().saturating_sub(KEPT));
        self.write(service)
    }

    /// Forgets those of a service that `which` names.
    pub(crate) fn forget(&mut self, service: &str, which: impl Fn(&str) -> bool) {
        let Some(those) = self.all.get_mut(service) else { return };
        let before = those.len();
        those.retain(|rolled_back| !which(&rolled_back.digest));
        if those.len() == before {
            return;
        }
        if those.is_empty() {
            self.all.remove(service);
            self.records.remove(service);
        } else {
            let _ = self.write(service);
        }
    }

    fn write(&self, service: &str) -> bool {
        let Some(those) = self.all.get(service) else { return true };
        let written = self.records.write(service, those, true);
        if let Err(error) = &written {
            tracing::error!(plugin = service, %error, "failed to remember on disk which version was rolled back");
        }
        written.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rolled_back(digest: &str) -> RolledBack {
        RolledBack {
            digest: digest.to_owned(),
            version: "1.0.0".to_owned(),
            unix_ms: 1,
            reason: "it failed".to_owned(),
            code: None,
        }
    }

    #[test]
    fn what_was_rolled_back_is_known_to_the_next_run_until_it_is_forgotten() {
        let home = tempfile::tempdir().unwrap();
        let mut digests = RolledBackDigests::open(home.path()).unwrap();
        for digest in ["a", "b", "a"] {
            digests.add("echo", rolled_back(digest));
        }
        let mut again = RolledBackDigests::open(home.path()).unwrap();
        let names = |digests: &RolledBackDigests| {
            digests.of("echo").iter().map(|r| r.digest.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&again), ["b", "a"]);
        again.forget("echo", |digest| digest == "a");
        assert_eq!(names(&RolledBackDigests::open(home.path()).unwrap()), ["b"]);
        again.forget("echo", |_| true);
        assert!(std::fs::read_dir(home.path().join("rolled_back")).unwrap().next().is_none());
    }

    #[test]
    fn only_the_newest_are_remembered() {
        let home = tempfile::tempdir().unwrap();
        let mut digests = RolledBackDigests::open(home.path()).unwrap();
        for count in 0..KEPT + 3 {
            digests.add("echo", rolled_back(&count.to_string()));
        }
        assert_eq!(digests.of("echo").len(), KEPT);
        assert_eq!(digests.of("echo")[0].digest, "3");
    }
}
