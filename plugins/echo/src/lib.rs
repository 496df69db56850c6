//! The service `echo`, version 1: answers what it is sent, and counts.
//!
//! It also reads the state of version 2, so that an operator can go back to it without losing the count.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use hotbay_plugin_api::prelude::*;

/// Schema 1: how much was echoed.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Echoed {
    count: u64,
}

struct Echo {
    state: State<Echoed>,
}

impl Plugin for Echo {
    fn create(_: Context) -> Result<Self> {
        Ok(Self { state: State::default() })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "echo" => {
                self.state.write().count += 1;
                reply.write(request.bytes())
            }
            "handle" => {
                self.state.write().count += 1;
                tracing::info!(bytes = request.bytes().len(), "handled");
                reply.write(b"echo service handled")
            }
            "count" => reply.json(&self.state.read().count),
            _ => Err(request.unknown_method()),
        }
    }
}

impl Stateful for Echo {
    type State = Echoed;
    // Schema 2 is version 2's: what came after may be taken back.
    const READS: &'static [u32] = &[2];

    fn state(&self) -> &State<Echoed> {
        &self.state
    }

    fn migrate(_: u32, state: serde_json::Value) -> Result<Echoed> {
        /// Schema 2, as version 2 writes it. Which method it was is lost on the way back; how much is not.
        #[derive(Deserialize)]
        #[serde(crate = "hotbay_plugin_api::serde")]
        struct Schema2 {
            by_method: BTreeMap<String, u64>,
        }

        let newer: Schema2 = serde_json::from_value(state)?;
        Ok(Echoed { count: newer.by_method.values().sum() })
    }
}

export_plugin!(Echo: Stateful { name: "echo", methods: &["echo", "handle", "count"] });

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_plugin_api::testkit::TestHost;

    #[test]
    fn what_is_sent_comes_back_and_is_counted() {
        let echo = TestHost::new().start::<Echo>().unwrap();
        assert_eq!(echo.call("echo", b"hello").unwrap(), b"hello");
        assert_eq!(echo.call("handle", b"").unwrap(), b"echo service handled");
        assert_eq!(echo.call("count", b"").unwrap(), b"2");
    }

    #[test]
    fn state_of_version_2_is_taken_back() {
        let echo = TestHost::new().resume::<Echo>(2, br#"{"by_method":{"before":40,"handle":1}}"#).unwrap();
        assert_eq!(echo.call("handle", b"").unwrap(), b"echo service handled");
        assert_eq!(echo.call("count", b"").unwrap(), b"42");
    }
}
