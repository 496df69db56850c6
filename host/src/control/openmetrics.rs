//! The metrics as OpenMetrics text, for Prometheus and its like. Written anew at each scrape from what was counted: there is no
//! registry that could still have what is gone.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::kernel::metrics::{GenerationMetrics, MethodMetrics, Metrics, Refused, ServiceMetrics};
use crate::kernel::view::BreakerState;

/// What the text is, for who asks by HTTP.
#[cfg(feature = "http")]
pub(super) const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text.
pub(super) fn text(metrics: Metrics) -> String {
    let mut registry = Registry::with_prefix("hotbay");
    registry.register_collector(Box::new(Scrape(metrics)));
    let mut text = String::new();
    // To a string nothing fails.
    let _ = encode(&mut text, &registry);
    text
}

/// One scrape.
#[derive(Debug)]
struct Scrape(Metrics);

type Written = Result<(), fmt::Error>;

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Written {
        let into = &mut encoder;
        gauge(into, "build", "The version of the host.", [([("version", env!("CARGO_PKG_VERSION"))], 1)])?;
        self.of_services(into)?;
        self.of_generations(into)?;
        self.of_methods(into)?;
        self.of_mailboxes(into)
    }
}

impl Scrape {
    fn of_services(&self, into: &mut DescriptorEncoder<'_>) -> Written {
        let all = &self.0.services;
        let each = |value: fn(&ServiceMetrics) -> u64| {
            all.iter().map(move |one| ([("service", &*one.name)], value(one)))
        };
        let phases = all.iter().map(|one| (one, one.phase.to_string())).collect::<Vec<_>>();
        let phase = phases.iter().map(|(one, phase)| ([("service", &*one.name), ("phase", phase)], 1));
        gauge(into, "service_phase", "The phase that a service is in.", phase)?;
        counter(
            into,
            "service_calls",
            "Calls that a service answered in this run of the host, by all of its generations.",
            each(|one| one.calls),
        )?;
        counter(
            into,
            "service_errors",
            "Of these, such as were answered with an error.",
            each(|one| one.errors),
        )?;
        let refused = all.iter().flat_map(|one| {
            let of = |why, count| ([("service", &*one.name), ("why", why)], count);
            let Refused { breaker, concurrency, rate } = one.refused;
            [of("breaker", breaker), of("concurrency", concurrency), of("rate", rate)]
        });
        counter(
            into,
            "calls_refused",
            "Calls that a service's breaker or its limits did not let in; none of them is among its calls.",
            refused,
        )?;
        gauge(into, "open_streams", "Streams of a service that are open.", each(|one| one.streams))?;
        let swaps = all.iter().flat_map(|one| {
            let of = |outcome, count| ([("service", &*one.name), ("outcome", outcome)], count);
            [of("committed", one.swaps), of("rolled_back", one.rolled_back)]
        });
        counter(
            into,
            "swaps",
            "Swaps in this run of the host, ways back among them, by how they ended.",
            swaps,
        )?;
        let help = "Restarts by supervision in this run of the host.";
        counter(into, "restarts", help, each(|one| one.restarts))?;
        let breakers = || all.iter().filter_map(|one| Some((&*one.name, one.breaker.as_ref()?)));
        let help = "The state that a service's circuit breaker is in.";
        let state = |state| match state {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half-open",
        };
        let states = breakers().map(|(name, one)| ([("service", name), ("state", state(one.state))], 1));
        gauge(into, "breaker_state", help, states)?;
        let help = "How often the breaker opened in this run of the host.";
        counter(
            into,
            "breaker_opened",
            help,
            breakers().map(|(name, one)| ([("service", name)], one.opened)),
        )?;
        gauge(
            into,
            "pinned_generations",
            "Old generations whose code is still mapped.",
            each(|one| one.pinned_generations),
        )?;
        gauge_of(
            into,
            ("pinned", Some(Unit::Bytes)),
            "Size of the files of old generations whose code is still mapped.",
            each(|one| one.pinned_bytes),
        )?;
        let snapshots = || all.iter().filter_map(|one| Some((one, one.snapshot.as_ref()?)));
        gauge_of(
            into,
            ("snapshot", Some(Unit::Bytes)),
            "Size of the newest durable snapshot's state.",
            snapshots().map(|(one, snapshot)| ([("service", &*one.name)], snapshot.bytes)),
        )?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        #[expect(clippy::cast_precision_loss, reason = "milliseconds since 1970 fit")]
        let age = |unix_ms: u64| (now - unix_ms as f64 / 1000.0).max(0.0);
        gauge_of(
            into,
            ("snapshot_age", Some(Unit::Seconds)),
            "How long ago the newest durable snapshot was sealed.",
            snapshots().map(|(one, snapshot)| ([("service", &*one.name)], age(snapshot.created_unix_ms))),
        )
    }

    fn of_generations(&self, into: &mut DescriptorEncoder<'_>) -> Written {
        let named = self
            .generations()
            .map(|(service, one, number)| (service, one, number.to_string()))
            .collect::<Vec<_>>();
        let each = |value: fn(&GenerationMetrics) -> u64| {
            named.iter().map(move |(service, one, number)| {
                ([("service", *service), ("generation", number)], value(one))
            })
        };
        let versions = named.iter().map(|(service, one, number)| {
            ([("service", *service), ("generation", number.as_str()), ("version", &*one.version)], 1)
        });
        gauge(into, "generation", "The generation that serves, and its version.", versions)?;
        gauge(
            into,
            "calls_in_flight",
            "Calls that are inside, and requests that wait for their turn.",
            each(|one| one.in_flight),
        )?;
        gauge(
            into,
            "requests_waiting",
            "Requests and deliveries of messages that wait for a thread of the lane.",
            each(|one| one.waiting),
        )?;
        gauge(
            into,
            "requests_room",
            "Requests that may wait before more are turned away.",
            each(|one| one.room),
        )?;
        counter(
            into,
            "requests_turned_away",
            "Requests that were turned away since too many waited.",
            each(|one| one.turned_away),
        )?;
        counter(
            into,
            "requests_late",
            "Requests whose deadline passed while they waited for their turn, or while a thread was in them.",
            each(|one| one.late),
        )?;
        counter(
            into,
            "messages_handled",
            "Messages that were brought and answered.",
            each(|one| one.messages),
        )?;
        counter(
            into,
            "messages_failed",
            "Of these, such as were answered with an error.",
            each(|one| one.messages_failed),
        )
    }

    fn of_methods(&self, into: &mut DescriptorEncoder<'_>) -> Written {
        let numbered = self
            .generations()
            .map(|(service, one, number)| (service, one, number.to_string()))
            .collect::<Vec<_>>();
        let methods = || {
            numbered.iter().flat_map(|(service, one, number)| {
                let labels =
                    move |method: &MethodMetrics| [*service, number, method.name.as_str()].map(str::to_owned);
                one.methods.iter().map(move |method| (labels(method), method))
            })
        };
        let calls = methods().collect::<Vec<_>>();
        let each = || {
            calls.iter().map(|([service, generation, name], method)| {
                (
                    [
                        ("service", service.as_str()),
                        ("generation", generation.as_str()),
                        ("method", name.as_str()),
                    ],
                    *method,
                )
            })
        };
        counter(
            into,
            "calls",
            "Calls that are over. Without a method: such as ran inline by name, or asked for what the manifest does not name.",
            each().map(|(labels, method)| (labels, method.calls)),
        )?;
        let errors = each().flat_map(|([service, generation, name], method)| {
            let of = move |kind, count| ([service, generation, name, ("kind", kind)], count);
            [of("plugin", method.faults), of("caller", method.mistakes), of("expired", method.expired)]
        });
        counter(
            into,
            "errors",
            "Of these, such as failed: by the plugin, by the caller, or given up before their turn.",
            errors,
        )?;
        let help =
            "How long requests through the lane took, as who asked saw it. What runs inline is not timed.";
        let mut family =
            into.encode_descriptor("request_duration", help, Some(&Unit::Seconds), MetricType::Histogram)?;
        for (labels, method) in each() {
            let count = method.latency.iter().map(|(_, count)| count).sum();
            if count > 0 {
                let buckets: Vec<(f64, u64)> = method
                    .latency
                    .iter()
                    .map(|(end, count)| (end.map_or(f64::INFINITY, |end| end.as_secs_f64()), *count))
                    .collect();
                let sum = method.latency_sum.as_secs_f64();
                family
                    .encode_family(&labels)?
                    .encode_histogram::<Vec<(String, String)>>(sum, count, &buckets, None)?;
            }
        }
        Ok(())
    }

    fn of_mailboxes(&self, into: &mut DescriptorEncoder<'_>) -> Written {
        let all = &self.0.mailboxes;
        let each = |value: fn(&crate::bus::Mailed) -> u64| {
            all.iter().map(move |one| {
                ([("mailbox", &*one.name), ("queue", one.queue.as_deref().unwrap_or_default())], value(one))
            })
        };
        gauge(into, "mailbox_waiting", "Messages that wait in a mailbox.", each(|one| one.depth as u64))?;
        gauge(into, "mailbox_room", "Messages that may wait in a mailbox.", each(|one| one.capacity as u64))?;
        let bytes = each(|one| one.bytes as u64);
        gauge_of(into, ("mailbox_waiting", Some(Unit::Bytes)), "Bytes of the messages that wait.", bytes)?;
        counter(into, "mailbox_accepted", "Messages that a mailbox took.", each(|one| one.accepted))?;
        counter(into, "mailbox_dropped", "Of these, such as it dropped.", each(|one| one.dropped))?;
        counter(into, "mailbox_refused", "Messages that a mailbox did not take.", each(|one| one.refused))
    }

    fn generations(&self) -> impl Iterator<Item = (&str, &GenerationMetrics, u64)> {
        self.0.services.iter().filter_map(|service| {
            let generation = service.generation.as_ref()?;
            Some((&*service.name, generation, generation.number))
        })
    }
}

type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

fn counter<'a, const N: usize>(
    into: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
) -> Written {
    let family = into.encode_descriptor(name, help, None, MetricType::Counter)?;
    write(family, values, ConstCounter::new)
}

fn gauge<'a, const N: usize>(
    into: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a, N>, u64)>,
) -> Written {
    gauge_of(into, (name, None), help, values)
}

fn gauge_of<'a, const N: usize, T>(
    into: &mut DescriptorEncoder<'_>,
    (name, unit): (&str, Option<Unit>),
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a, N>, T)>,
) -> Written
where
    ConstGauge<T>: EncodeMetric,
{
    let family = into.encode_descriptor(name, help, unit.as_ref(), MetricType::Gauge)?;
    write(family, values, ConstGauge::new)
}

fn write<'a, const N: usize, T, M: EncodeMetric>(
    mut family: MetricEncoder<'_>,
    values: impl IntoIterator<Item = (Labels<'a, N>, T)>,
    metric: impl Fn(T) -> M,
) -> Written {
    for (labels, value) in values {
        metric(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
