//! What the outside sees.

use super::Kernel;
use crate::ControlError;
use crate::error::{Code, Trouble, shown};
use crate::kernel::clock;
use crate::kernel::files::Candidate;
use crate::kernel::service::{FailureKind, Service};
use crate::kernel::view::{Missing, Phase, Row, Status};

/// Events that a status shows.
const EVENTS: usize = 20;

impl Kernel {
    /// A row per service and per file that was not taken, by name.
    pub(crate) fn rows(&self) -> Vec<Row> {
        let mut rows: Vec<Row> = self.services.keys().filter_map(|name| self.row(name)).collect();
        for (name, service) in &self.services {
            rows.extend(self.other_rows(name, service));
        }
        rows.extend(self.files.rows());
        rows.sort_by(|a, b| (&a.name, a.generation.is_none()).cmp(&(&b.name, b.generation.is_none())));
        rows
    }

    pub(crate) fn row(&self, name: &str) -> Option<Row> {
        self.services.get(name).map(|service| service.row(name, self.target(name)))
    }

    /// Files that hold the service and do not serve.
    fn other_rows(&self, name: &str, service: &Service) -> Vec<Row> {
        // One of them is told by the service's own row.
        let main = match &service.serving {
            Some(serving) => Some((&serving.source, &serving.digest)),
            None => self.target(name).map(|target| (&target.path, &target.digest)),
        };
        let row = |candidate: &Candidate| {
            let (phase, reason) = match service.failed.get(&candidate.digest) {
                Some(failure) if matches!(failure.kind, FailureKind::Quarantined | FailureKind::WornOut) => {
                    (Phase::Quarantined, failure.reason.clone())
                }
                Some(failure) if failure.kind == FailureKind::RolledBack => {
                    let because = |_: &str| self.rolled_back_because(name, service, candidate);
                    (Phase::RolledBack, failure.reason.told(because))
                }
                Some(failure) => (Phase::Rejected, failure.reason.clone()),
                None => (Phase::Shadowed, Trouble::new(Code::Shadowed, shadowed_by(service))),
            };
            let (code, blame) = shown(Some(reason.code));
            Row {
                name: name.to_owned(),
                version: Some(candidate.manifest.version.clone()),
                generation: None,
                phase,
                digest: Some(candidate.digest.as_str().to_owned()),
                source: Some(candidate.path.clone()),
                reason: Some(reason.text),
                code,
                blame,
                pinned_generations: 0,
                pinned_bytes: 0,
            }
        };
        if service.is_changing() && service.serving.is_some() {
            // A swap is on its way to one of them: they are told apart when it has ended.
            return Vec::new();
        }
        // What lies where the service came from and did not fail takes over in a moment.
        let is_next = |other: &&Candidate| {
            service.serving.as_ref().is_some_and(|serving| serving.home == other.path)
                && !service.failed.contains_key(&other.digest)
        };
        self.candidates_of(name)
            .into_iter()
            .filter(|other| Some((&other.path, &other.digest)) != main && !is_next(other))
            .map(row)
            .collect()
    }

    /// Files that say they hold the service and are not to run.
    fn refused_rows(&self, name: &str) -> impl Iterator<Item = Row> {
        self.files.rows().filter(move |row| row.name == name && row.phase == Phase::Rejected)
    }

    /// When and why a file's version was rolled back, what serves instead, and how to try it again.
    fn rolled_back_because(&self, name: &str, service: &Service, candidate: &Candidate) -> String {
        let known = self.rolled_back.of(name).iter().find(|known| known.digest == candidate.digest.as_str());
        let (when, why) = known.map_or((0, ""), |known| (known.unix_ms, &known.reason));
        let instead = match &service.serving {
            Some(serving) => format!("version {} serves instead", serving.side.version),
            None => "nothing serves instead".to_owned(),
        };
        format!(
            "rolled back at {}: {why}; {instead}; `hotbay reload {name}` tries it again, as do `hotbay add FILE` and a changed file",
            clock::stamp(when)
        )
    }

    pub(crate) fn status(&self, name: &str) -> Result<Status, ControlError> {
        let events = self.shared.journal.of(name, EVENTS);
        let Some(service) = self.services.get(name) else {
            let row = self.files.rows().find(|row| row.name == name).ok_or_else(|| self.not_found(name))?;
            return Ok(Status {
                row,
                manifest: None,
                since_unix_ms: crate::kernel::clock::unix_ms(),
                calls: 0,
                errors: 0,
                breaker: None,
                supervised: None,
                missing: Vec::new(),
                given: None,
                snapshot: None,
                recovered: None,
                pinned: Vec::new(),
                last_swap: None,
                candidates: Vec::new(),
                trust: None,
                settings: self.settings_trouble.as_ref().map(|why| why.text.clone()),
                configuration: self.configuration(),
                rolled_back: self.rolled_back.of(name).to_vec(),
                events,
            });
        };
        let (calls, errors) = service.counts();
        let serving = service.serving.as_ref().map(|serving| serving.manifest.clone());
        let manifest = serving.or_else(|| self.target(name).map(|target| target.manifest.clone()));
        Ok(Status {
            row: service.row(name, self.target(name)),
            missing: manifest.iter().flat_map(|manifest| self.not_serving(&manifest.requires)).collect(),
            manifest,
            since_unix_ms: service.since_unix_ms,
            calls,
            errors,
            breaker: service.slot.guard().view(),
            supervised: service
                .restarts
                .view(&self.shared.settings().supervision_of(name), std::time::Instant::now()),
            given: service.slot.serving(|generation| generation.plugin.given()),
            snapshot: self.shared.snapshots.shown(name),
            recovered: self.shared.snapshots.recovered(name),
            pinned: service.remains.iter().map(|remains| remains.pinned.clone()).collect(),
            last_swap: service.last_swap.clone(),
            candidates: self.other_rows(name, service).into_iter().chain(self.refused_rows(name)).collect(),
            trust: service
                .serving
                .as_ref()
                .and_then(|s| self.shared.trust.origin(name, &s.digest))
                .map(|o| o.by),
            settings: self.settings_trouble.as_ref().map(|why| why.text.clone()),
            configuration: self.configuration(),
            rolled_back: self.rolled_back.of(name).to_vec(),
            events,
        })
    }

    /// The file of the settings; JSON holds no name that is no Unicode.
    fn configuration(&self) -> Option<std::path::PathBuf> {
        self.shared.settings().source.file.clone().filter(|file| file.to_str().is_some())
    }

    /// Of these services, such as do not serve.
    fn not_serving(&self, requires: &[String]) -> Vec<Missing> {
        let missing = |required: &&String| !self.serves(required);
        let told = |required: &String| Missing {
            service: required.clone(),
            phase: self.services.get(required).map(|service| service.phase),
        };
        requires.iter().filter(missing).map(told).collect()
    }

    /// The error for a name that nothing has, with those that there are.
    pub(crate) fn not_found(&self, name: &str) -> ControlError {
        let mut known: Vec<String> =
            self.services.keys().cloned().chain(self.files.rows().map(|row| row.name)).collect();
        known.sort();
        known.dedup();
        ControlError::NotFound { name: name.to_owned(), known }
    }
}

fn shadowed_by(service: &Service) -> String {
    match &service.serving {
        Some(serving) => format!(
            "shadowed by version {} in {}; it takes over when that file goes",
            serving.side.version,
            serving.source.display()
        ),
        None => "another file holds the service in a higher version, or the same".to_owned(),
    }
}
