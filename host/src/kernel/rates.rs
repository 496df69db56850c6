//! How often services are called: published once a second, as long as somebody is subscribed, for plugins and programs that decide by it.
//!
//! By the clock of the timers, which waits for nobody: a mailbox that is full does not get that window.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use super::clock;
use super::counting::Counting;
use super::registry::Registry;
use super::tally::Counts;
use crate::bus::{KERNEL, Manner};

/// Where.
pub(crate) const TOPIC: &str = "hotbay.metrics.calls";
const WINDOW: Duration = Duration::from_secs(1);
/// Services that are told of in one message: those that are called most.
const MOST: usize = 256;

/// The counts at the end of the last window.
#[derive(Debug)]
struct Rates {
    registry: Weak<Registry>,
    sender: Arc<str>,
    // None while nobody is subscribed.
    since: Option<Instant>,
    before: BTreeMap<Arc<str>, Seen>,
}

#[derive(Debug)]
struct Seen {
    load: u64,
    tally: Arc<Counting>,
    counts: Counts,
}

/// What one message says.
#[derive(Debug, serde::Serialize)]
struct Window {
    unix_ms: u64,
    window_ms: u64,
    services: Vec<Called>,
}

/// Of one service in the window.
#[derive(Debug, PartialEq, Eq, serde::Serialize)]
struct Called {
    service: String,
    generation: u64,
    calls: u64,
    errors: u64,
}

/// Begins to look, once a second, whether somebody is subscribed. It ends with the registry.
pub(crate) fn begin(registry: &Arc<Registry>) -> std::io::Result<()> {
    let rates = Rates {
        registry: Arc::downgrade(registry),
        sender: KERNEL.into(),
        since: None,
        before: BTreeMap::new(),
    };
    wait(registry, rates)
}

fn wait(registry: &Registry, mut rates: Rates) -> std::io::Result<()> {
    let look = move || {
        // The host is gone.
        let Some(registry) = rates.registry.upgrade() else { return };
        rates.look(&registry);
        // The clock's thread is there: it is the one that this runs on.
        let _ = wait(&registry, rates);
    };
    registry.clock().at(Instant::now() + WINDOW, Box::new(look))
}

impl Rates {
    fn look(&mut self, registry: &Registry) {
        if !registry.bus().is_heard(TOPIC) {
            (self.since, self.before) = (None, BTreeMap::new());
            return;
        }
        let now = Instant::now();
        let services = self.count(registry);
        let Some(since) = self.since.replace(now) else { return };
        let window = Window {
            unix_ms: clock::unix_ms(),
            window_ms: u64::try_from((now - since).as_millis()).unwrap_or(u64::MAX),
            services,
        };
        let Ok(json) = serde_json::to_vec(&window) else { return };
        if let Err(error) = registry.bus().publish(&self.sender, TOPIC, json.as_slice().into(), Manner::Offer)
        {
            tracing::debug!(%error, "how often services are called was not published");
        }
    }

    /// Calls since the last look, by service, most first. What a generation was called that was replaced meanwhile counts as well.
    fn count(&mut self, registry: &Registry) -> Vec<Called> {
        let mut services = Vec::new();
        let mut before = std::mem::take(&mut self.before);
        for slot in registry.all() {
            let name = slot.name();
            let seen = before.remove(name);
            let serving = slot
                .serving(|generation| (generation.load, generation.number, Arc::clone(&generation.tally)));
            let Some((load, generation, tally)) = serving else {
                // A gate is closed, or it is down: the next look counts.
                self.before.extend(seen.map(|seen| (Arc::clone(name), seen)));
                continue;
            };
            let counts = tally.counts();
            let (calls, errors) = match &seen {
                // One that is seen for the first time may be as old as the host.
                None => (0, 0),
                Some(seen) => {
                    let since = |last: Counts| {
                        (last.answered - seen.counts.answered, last.failed - seen.counts.failed)
                    };
                    if seen.load == load {
                        since(counts)
                    } else {
                        let (calls, errors) = since(seen.tally.counts());
                        (calls + counts.answered, errors + counts.failed)
                    }
                }
            };
            services.push(Called { service: name.to_string(), generation, calls, errors });
            self.before.insert(Arc::clone(name), Seen { load, tally, counts });
        }
        services.sort_by(|a, b| (b.calls, &a.service).cmp(&(a.calls, &b.service)));
        services.truncate(MOST);
        services
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bus::{Pattern, Subscribe};
    use crate::linked::{Bay, LONG};
    use hotbay_plugin_api::prelude::*;

    struct Answers;

    impl Plugin for Answers {
        fn create(_: Context) -> Result<Self> {
            Ok(Self)
        }

        fn call(&self, request: Request<'_>, _: &mut Reply<'_>) -> Result<()> {
            if request.method() == "fail" { Err(Error::msg("fail as told")) } else { Ok(()) }
        }
    }

    hotbay_plugin_api::export_plugin!(Answers {
        name: "answers",
        version: "1.0.0",
        methods: &["ok", "fail"]
    });

    fn call(bay: &Bay, method: &str) {
        let mut reply = Vec::new();
        let mut lent = hotbay_plugin_api::abi::Lent::new(&mut reply);
        let _ = bay.registry.call("answers", method, b"", lent.out());
    }

    #[test]
    fn calls_of_a_window_are_counted_also_those_of_who_was_replaced() {
        let bay = Bay::new();
        let mut rates = Rates {
            registry: Arc::downgrade(&bay.registry),
            sender: KERNEL.into(),
            since: None,
            before: BTreeMap::new(),
        };
        let (slot, _old) = bay.serve::<Answers>();
        call(&bay, "ok");
        assert_eq!(rates.count(&bay.registry)[0].calls, 0, "what was before the first window is not of it");
        (0..3).for_each(|_| call(&bay, "ok"));
        call(&bay, "fail");
        let counted = rates.count(&bay.registry).remove(0);
        assert_eq!(
            (&*counted.service, counted.generation, counted.calls, counted.errors),
            ("answers", 1, 4, 1)
        );
        call(&bay, "ok");
        let next = crate::start::start(bay.load::<Answers>(2), LONG).unwrap().generation;
        drop(slot.publish(next));
        call(&bay, "ok");
        let counted = rates.count(&bay.registry).remove(0);
        assert_eq!((counted.generation, counted.calls), (2, 2));
        assert_eq!(rates.count(&bay.registry)[0].calls, 0);
    }

    #[test]
    fn nothing_is_published_while_nobody_listens() {
        let bay = Bay::new();
        bay.serve::<Answers>();
        let mut rates = Rates {
            registry: Arc::downgrade(&bay.registry),
            sender: KERNEL.into(),
            since: None,
            before: BTreeMap::new(),
        };
        rates.look(&bay.registry);
        assert!(bay.registry.bus().view().is_empty());
        let subscribe = Subscribe::new("test", vec![Pattern::parse("hotbay.>").unwrap()]);
        let subscriber = bay.registry.bus().add(subscribe, None);
        rates.look(&bay.registry);
        call(&bay, "ok");
        rates.look(&bay.registry);
        let mut hand = std::collections::VecDeque::new();
        subscriber.mailbox.hand(8, &mut hand);
        let window: serde_json::Value = serde_json::from_slice(hand[0].payload()).unwrap();
        assert_eq!((hand.len(), hand[0].sender()), (1, KERNEL));
        assert_eq!(window["services"][0]["service"], "answers");
        assert_eq!(window["services"][0]["calls"], 1);
    }
}
