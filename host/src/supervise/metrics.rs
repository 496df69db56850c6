//! What was counted, gathered when somebody looks.

use super::Kernel;
use crate::kernel::lane::Lane;
use crate::kernel::metrics::{GenerationMetrics, Metrics, ServiceMetrics, methods};
use crate::kernel::service::{Service, Serving};

impl Kernel {
    /// Of all services and mailboxes. Takes no lock that a call takes, but the guard's where calls are limited, and waits for nobody.
    pub(crate) fn metrics(&self) -> Metrics {
        let services = self.services.iter().map(|(name, service)| self.metrics_of(name, service)).collect();
        Metrics { services, mailboxes: self.shared.registry.bus().mailboxes() }
    }

    fn metrics_of(&self, name: &str, service: &Service) -> ServiceMetrics {
        let row = service.row(name, None);
        let (calls, errors) = service.counts();
        ServiceMetrics {
            name: name.to_owned(),
            phase: row.phase,
            calls,
            errors,
            refused: service.slot.guard().refused(),
            streams: service
                .slot
                .serving(|generation| generation.plugin.streams().counts().0)
                .unwrap_or_default(),
            swaps: service.committed,
            rolled_back: service.rolled_back,
            restarts: service.restarts.total(),
            breaker: service.slot.guard().view(),
            snapshot: self.shared.snapshots.shown(name),
            pinned_generations: row.pinned_generations,
            pinned_bytes: row.pinned_bytes,
            generation: service.serving.as_ref().map(generation),
        }
    }
}

fn generation(serving: &Serving) -> GenerationMetrics {
    let counts = serving.tally.counts();
    // Gone with its generation, whose operation is about to end.
    let waiting = serving.lane.upgrade().map(|lane| Lane::waiting(&lane));
    let messages = serving.handled.counts();
    GenerationMetrics {
        number: serving.side.generation,
        version: serving.side.version.clone(),
        in_flight: counts.entered.saturating_sub(counts.over()),
        waiting: waiting.map_or(0, |waiting| waiting.jobs as u64),
        room: waiting.map_or(0, |waiting| waiting.room as u64),
        turned_away: waiting.map_or(0, |waiting| waiting.turned_away),
        late: serving.alarm.overdue(),
        messages: messages.done,
        messages_failed: messages.failed,
        methods: methods(&serving.tally, &serving.manifest.methods),
    }
}
