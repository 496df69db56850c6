//! Probation: for a while after a swap the new version is watched, and the version before is at hand.
//!
//! A mark on disk (`.hotbay/probation/<service>.json`) says that a window runs. One that a new run of the host finds tells
//! that the host died meanwhile. The first such death is forgiven: the power, an operator or another service may have been the
//! cause. Who brings the host down does it again, and at the second the version is rolled back. A version that is gone back to
//! is marked as well, before anything of it runs.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::files::Candidate;
use super::inbox::HandledCounts;
use super::records::Records;
use super::tally::Counts;
use crate::config;
use crate::verify::Digest;

/// How often the loop looks at a version on probation.
pub(crate) const LOOK: Duration = Duration::from_millis(50);

/// So many deaths of the host are one too many.
const DEATHS: u32 = 2;

/// A window that runs.
#[derive(Debug, Clone)]
pub(crate) struct Probation {
    pub(crate) look_at: Instant,
    until: Instant,
    // The share of calls that failed in the version before.
    before: f64,
}

/// What a look at a window says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pending,
    /// It passed, and this is how.
    Passed(String),
    /// It has to go, for this reason.
    Failed(String),
}

impl Probation {
    pub(crate) fn new(settings: &config::Probation, before: f64) -> Self {
        let now = Instant::now();
        Self { look_at: now + LOOK, until: now + settings.window, before }
    }

    /// Judges by the calls and messages of the new version so far; not against it where there is no way back.
    pub(crate) fn judge(
        &self,
        counts: Counts,
        messages: HandledCounts,
        has_way_back: bool,
        settings: &config::Probation,
        now: Instant,
    ) -> Verdict {
        let (answered, failed) = (counts.answered + messages.done, counts.faults() + messages.failed);
        let rate = fault_rate(counts, messages);
        let what = if messages.done > 0 { "calls and messages" } else { "calls" };
        let is_worse = rate > settings.max_error_rate && rate > self.before;
        if has_way_back && answered >= settings.min_calls && is_worse {
            return Verdict::Failed(format!(
                "{failed} of {answered} {what} failed while it was on probation; of the version before, {:.0} in 100 did",
                100.0 * self.before
            ));
        }
        if now >= self.until || answered >= settings.window_calls {
            return Verdict::Passed(format!("{answered} {what}, {failed} of them failed"));
        }
        Verdict::Pending
    }
}

/// The share of a version's calls and messages that failed by its doing. What a message brings is nobody's mistake but the sender's where it fails
/// in both versions alike: it is compared with the one before.
#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
pub(crate) fn fault_rate(counts: Counts, messages: HandledCounts) -> f64 {
    let answered = counts.answered + messages.done;
    if answered == 0 { 0.0 } else { (counts.faults() + messages.failed) as f64 / answered as f64 }
}

/// A mark on disk.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) digest: String,
    pub(crate) version: String,
    /// The share of calls that failed in the version before.
    pub(crate) before: f64,
    /// How often the host died in the window.
    pub(crate) deaths: u32,
    /// Whether the host runs, or died: one that ended in order says no.
    pub(crate) open: bool,
}

impl Mark {
    /// Of a version that is gone back to. It is not watched for calls that fail: there is nothing else to go back to.
    pub(crate) fn of_good(good: &Candidate, before: Option<&Mark>) -> Self {
        let deaths = before.filter(|mark| mark.digest == good.digest.as_str()).map_or(0, |mark| mark.deaths);
        let (digest, version) = (good.digest.as_str().to_owned(), good.manifest.version.clone());
        Self { digest, version, before: 0.0, deaths, open: true }
    }
}

/// All marks, in memory and on disk.
#[derive(Debug)]
pub(crate) struct Marks {
    records: Records<Mark>,
    all: Mutex<BTreeMap<String, Mark>>,
}

impl Marks {
    /// Opens the folder and counts the deaths of the host. Answers those who were there once too often.
    pub(crate) fn open(home: &Path) -> io::Result<(Self, Vec<(String, Mark)>)> {
        let (records, all) = Records::open(home.join("probation"))?;
        let marks = Self { records, all: Mutex::default() };
        let mut condemned = Vec::new();
        for (service, mut mark) in all {
            mark.deaths += u32::from(mark.open);
            if mark.deaths >= DEATHS {
                condemned.push((service, mark));
            } else {
                marks.set(&service, Mark { open: false, ..mark });
            }
        }
        Ok((marks, condemned))
    }

    pub(crate) fn of(&self, service: &str) -> Option<Mark> {
        self.lock().get(service).cloned()
    }

    /// Marks a service. A disk that does not take it costs the count of deaths only.
    pub(crate) fn set(&self, service: &str, mark: Mark) {
        if let Err(error) = self.records.write_over(service, &mark) {
            tracing::warn!(plugin = service, %error, "failed to mark on disk that a version is on probation");
        }
        self.lock().insert(service.to_owned(), mark);
    }

    /// What is marked runs, or does not: only while it runs is a death of the host held against it.
    pub(crate) fn set_open(&self, service: &str, digest: &Digest, open: bool) {
        if let Some(mark) =
            self.of(service).filter(|mark| mark.digest == digest.as_str() && mark.open != open)
        {
            self.set(service, Mark { open, ..mark });
        }
    }

    /// Puts back what was there before.
    pub(crate) fn reset(&self, service: &str, before: Option<Mark>) {
        match before {
            Some(mark) => self.set(service, mark),
            None => self.clear(service),
        }
    }

    pub(crate) fn clear(&self, service: &str) {
        if self.lock().remove(service).is_some() {
            self.records.remove(service);
        }
    }

    /// The mark of one that was there once too often goes when it is on record elsewhere.
    pub(crate) fn drop_record(&self, service: &str) {
        self.records.remove(service);
    }

    /// The host ends in order: that is no death.
    pub(crate) fn close(&self) {
        let all = self.lock().clone();
        for (service, mark) in all {
            self.set(&service, Mark { open: false, ..mark });
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Mark>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(answered: u64, failed: u64, mistaken: u64, before: f64, late: bool) -> Verdict {
        let settings = crate::Config::default().probation;
        let probation = Probation::new(&settings, before);
        let now = Instant::now() + if late { settings.window } else { Duration::ZERO };
        let counts = Counts { entered: answered, answered, failed, mistaken, ..Counts::default() };
        probation.judge(counts, HandledCounts::default(), true, &settings, now)
    }

    #[test]
    fn a_version_is_judged_by_its_share_of_failed_calls_once_there_are_enough() {
        assert_eq!(judged(19, 19, 0, 0.0, false), Verdict::Pending);
        assert!(
            matches!(judged(20, 11, 0, 0.0, false), Verdict::Failed(why) if why.starts_with("11 of 20 calls"))
        );
        assert_eq!(judged(20, 10, 0, 0.0, false), Verdict::Pending);
    }

    #[test]
    fn what_callers_got_wrong_is_not_held_against_it() {
        assert_eq!(judged(100, 100, 60, 0.0, false), Verdict::Pending);
    }

    #[test]
    fn a_version_no_worse_than_the_one_before_stays() {
        assert_eq!(judged(100, 80, 0, 0.8, false), Verdict::Pending);
        assert!(matches!(judged(100, 81, 0, 0.8, false), Verdict::Failed(_)));
    }

    #[test]
    fn messages_count_as_calls_do() {
        let settings = crate::Config::default().probation;
        let probation = Probation::new(&settings, 0.0);
        let counts = Counts { entered: 10, answered: 10, ..Counts::default() };
        let judged = |failed| {
            let messages = HandledCounts { begun: 20, done: 20, failed };
            probation.judge(counts, messages, true, &settings, Instant::now())
        };
        assert_eq!(judged(15), Verdict::Pending);
        assert!(
            matches!(judged(16), Verdict::Failed(why) if why.starts_with("16 of 30 calls and messages failed"))
        );
    }

    #[test]
    fn the_window_ends_by_time_or_by_calls() {
        assert!(matches!(judged(3, 3, 0, 0.0, true), Verdict::Passed(_)));
        assert!(matches!(judged(1000, 1, 0, 0.0, false), Verdict::Passed(_)));
        assert!(matches!(judged(1000, 900, 0, 0.0, true), Verdict::Failed(_)));
    }

    #[test]
    fn the_second_death_of_the_host_is_one_too_many_and_an_orderly_end_is_none() {
        let home = tempfile::tempdir().unwrap();
        let mark =
            Mark { digest: "d".to_owned(), version: "1.0.0".to_owned(), before: 0.0, deaths: 0, open: true };
        let open = || Marks::open(home.path()).unwrap();
        open().0.set("echo", mark.clone());
        let (marks, condemned) = open();
        assert!(condemned.is_empty());
        assert_eq!(marks.of("echo").unwrap().deaths, 1);
        marks.set("echo", Mark { deaths: 1, ..mark.clone() });
        marks.close();
        let (marks, condemned) = open();
        assert!(condemned.is_empty());
        assert_eq!(marks.of("echo"), Some(Mark { deaths: 1, open: false, ..mark.clone() }));
        marks.set("echo", Mark { deaths: 1, ..mark });
        let (marks, condemned) = open();
        assert_eq!(condemned.len(), 1);
        assert_eq!(marks.of("echo"), None);
    }
}
