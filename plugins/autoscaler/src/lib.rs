//! The service `autoscaler`: hears from the kernel how often a service is called, and publishes how many lanes that service should
//! have, on the topic `autoscaler.decided`. Who acts on it is for who runs the host to say: it decides, and touches nothing.
//!
//! What it decided it keeps in its store (`Context::kv`), and begins there when it is started again. Without a store it does without.
//!
//! Up at once, since callers wait; down after some calm windows, one lane at a time, since the next wave may be near.

#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use hotbay_plugin_api::prelude::*;
use hotbay_plugin_api::serde_json::json;

/// Where the kernel publishes once a second how often services were called, and as whom.
const CALLS: &str = "hotbay.metrics.calls";
const KERNEL: &str = "hotbay:kernel";
const DECIDED: &str = "autoscaler.decided";

/// The table `[plugin.autoscaler]`.
#[derive(Debug, Clone, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde", default, deny_unknown_fields)]
struct Config {
    /// The service that is watched.
    service: String,
    /// Calls per second that one lane is good for.
    calls_per_lane: f64,
    /// The fewest and the most lanes that it should have.
    min: u64,
    max: u64,
    /// Windows of less in a row until it goes down by one.
    calm: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { service: "echo".to_owned(), calls_per_lane: 100.0, min: 1, max: 16, calm: 5 }
    }
}

/// What the kernel says.
#[derive(Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Window {
    window_ms: u64,
    services: Vec<Called>,
}

#[derive(Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Called {
    service: String,
    calls: u64,
}

/// What is kept of it.
#[derive(Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Kept {
    lanes: u64,
}

/// What was decided.
#[derive(Debug, Clone, Copy)]
struct Decision {
    lanes: u64,
    per_second: f64,
    calm: u32,
}

struct Autoscaler {
    context: Context,
    config: Config,
    decision: Mutex<Decision>,
}

impl Decision {
    /// After a window of so many calls per second.
    fn after(self, per_second: f64, config: &Config) -> Self {
        // Negative or not a number is none.
        let lanes = (per_second / config.calls_per_lane).ceil().max(0.0);
        let wanted = (lanes as u64).clamp(config.min, config.max);
        let (lanes, calm) = match wanted {
            more if more >= self.lanes => (more, 0),
            _ if self.calm + 1 >= config.calm => (self.lanes - 1, 0),
            _ => (self.lanes, self.calm + 1),
        };
        Self { lanes, per_second, calm }
    }
}

impl Autoscaler {
    /// Where it keeps what it decided.
    fn key(&self) -> String {
        format!("autoscaler/{}", self.config.service)
    }

    fn shown(&self, decision: Decision) -> serde_json::Value {
        json!({ "service": self.config.service, "lanes": decision.lanes, "calls_per_second": decision.per_second })
    }
}

impl Plugin for Autoscaler {
    fn create(context: Context) -> Result<Self> {
        let config = context.config::<Config>()?;
        if config.min == 0 || config.min > config.max || config.calls_per_lane <= 0.0 {
            return Err(Error::msg(
                "read [plugin.autoscaler]: `min` is from 1 to `max`, and `calls_per_lane` above 0",
            ));
        }
        let decision = Decision { lanes: config.min, per_second: 0.0, calm: 0 };
        Ok(Self { context, config, decision: Mutex::new(decision) })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        let decision = *self.decision.lock().unwrap_or_else(PoisonError::into_inner);
        match request.method() {
            "decision" => reply.json(&self.shown(decision)),
            _ => Err(request.unknown_method()),
        }
    }

    fn start(&self) -> Result<()> {
        match self.context.kv().get::<Kept>(&self.key()) {
            Ok(Some(kept)) => {
                let mut decision = self.decision.lock().unwrap_or_else(PoisonError::into_inner);
                decision.lanes = kept.lanes.clamp(self.config.min, self.config.max);
            }
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "there is no store to begin from"),
        }
        Ok(())
    }

    fn on_message(&self, message: &Message<'_>) -> Result<()> {
        // Anybody may publish there.
        if message.sender() != KERNEL {
            return Ok(());
        }
        let window: Window = message.json()?;
        let called = window.services.iter().find(|called| called.service == self.config.service);
        let calls = called.map_or(0, |called| called.calls);
        let per_second = calls as f64 * 1000.0 / window.window_ms.max(1) as f64;
        let (before, now) = {
            let mut decision = self.decision.lock().unwrap_or_else(PoisonError::into_inner);
            let before = *decision;
            *decision = before.after(per_second, &self.config);
            (before, *decision)
        };
        if now.lanes != before.lanes {
            tracing::info!(service = self.config.service, from = before.lanes, to = now.lanes, "decided");
            self.context.publish(DECIDED, self.shown(now).to_string().as_bytes())?;
            if let Err(error) = self.context.kv().put(&self.key(), &Kept { lanes: now.lanes }) {
                tracing::debug!(%error, "there is no store to keep it in");
            }
        }
        Ok(())
    }
}

export_plugin!(Autoscaler { name: "autoscaler", methods: &["decision"], topics: &[CALLS] });

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config { calls_per_lane: 10.0, max: 4, calm: 3, ..Config::default() }
    }

    fn lanes(rates: &[f64]) -> Vec<u64> {
        let mut decision = Decision { lanes: 1, per_second: 0.0, calm: 0 };
        let next = |rate: &f64| {
            decision = decision.after(*rate, &config());
            decision.lanes
        };
        rates.iter().map(next).collect()
    }

    #[test]
    fn it_goes_up_at_once_and_down_after_calm_windows_by_one() {
        assert_eq!(lanes(&[5.0, 25.0, 25.0]), [1, 3, 3]);
        assert_eq!(lanes(&[40.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]), [4, 4, 4, 3, 3, 3, 2]);
        assert_eq!(lanes(&[40.0, 0.0, 0.0, 40.0, 0.0, 0.0]), [4, 4, 4, 4, 4, 4], "not calm for long enough");
        assert_eq!(lanes(&[1e9, f64::NAN]), [4, 4], "no more than it may have");
    }

    #[test]
    fn it_begins_where_it_was_when_there_is_a_store() {
        use hotbay_plugin_api::testkit::TestHost;
        let host = TestHost::new().with_service("kv", |method, request| {
            assert_eq!((method, request), ("find", b"autoscaler/echo".as_slice()));
            Ok(br#"{"lanes":7}"#.to_vec())
        });
        let decision = host.start::<Autoscaler>().unwrap().call("decision", b"").unwrap();
        assert!(String::from_utf8(decision).unwrap().contains(r#""lanes":7"#));
    }

    #[test]
    fn what_others_publish_there_decides_nothing() {
        use hotbay_plugin_api::testkit::TestHost;
        let autoscaler = TestHost::new().start::<Autoscaler>().unwrap();
        let window = br#"{"window_ms":1000,"services":[{"service":"echo","calls":5000}]}"#;
        autoscaler.deliver(CALLS, &[], window).unwrap();
        assert!(autoscaler.published().is_empty());
        let decision: serde_json::Value =
            serde_json::from_slice(&autoscaler.call("decision", b"").unwrap()).unwrap();
        assert_eq!(decision["lanes"], 1);
    }
}
