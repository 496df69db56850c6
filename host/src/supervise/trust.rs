//! What serving does to trust: how far a service's security version has come.

use super::Kernel;
use crate::kernel::files::Candidate;
use crate::trust::Standing;

impl Kernel {
    /// Files that are trusted in another way than before. Where one of them serves, that is remembered of what serves: its
    /// signature may have come after it.
    pub(super) fn hear_vouched(&self, vouched: Vec<(Candidate, Standing)>) {
        for (candidate, standing) in vouched {
            let name = &candidate.manifest.name;
            let serving = self.services.get(name).and_then(|service| service.serving.as_ref());
            let Some(serving) = serving.filter(|serving| serving.digest == candidate.digest) else {
                continue;
            };
            let known = self.shared.trust.origin(name, &candidate.digest);
            if known.is_some_and(|known| known.is(&standing)) {
                continue;
            }
            match self.shared.trust.remember(name, &candidate.digest, &standing) {
                Ok(()) => {
                    self.shared.journal.note(
                        "trusted",
                        Some(name),
                        Some(&serving.side),
                        standing.to_string(),
                    );
                }
                Err(error) => {
                    tracing::error!(plugin = name, %error, "failed to note that it is {standing}; the next start of the host finds it");
                }
            }
        }
    }

    /// Raises the marks of services whose version serves and is found to be good. One that is watched may be left for the one
    /// before; one that was started without a watch, as at the start of the host, has no other to be left for.
    pub(super) fn settle_trust(&self) {
        for (name, service) in &self.services {
            let Some(serving) = &service.serving else { continue };
            if service.busy.is_some() || service.probation.is_some() || service.condemned().is_some() {
                continue;
            }
            // Kept bytes that stand in for a file say nothing of how far it is to come: somebody may just have lowered the mark for that file.
            if !self.candidates_of(name).iter().any(|file| file.digest == serving.digest) {
                continue;
            }
            let good = service.good.as_ref().map(|good| &good.digest);
            if let Err(error) = self.shared.trust.settle(name, &serving.digest, good) {
                tracing::error!(plugin = name, %error, "failed to note its security version: one below it is not refused yet");
            }
        }
    }
}
