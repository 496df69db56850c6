//! The service `echo`, version 2: as version 1, and keeps count by method. Its state has another schema: that of version 1
//! is migrated, and its own goes back to version 1, so that an operator can do so without losing the count.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use hotbay_plugin_api::prelude::*;

/// Schema 2: how much was echoed, by method.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Echoed {
    by_method: BTreeMap<String, u64>,
}

impl Echoed {
    fn note(&mut self, method: &str) {
        match self.by_method.get_mut(method) {
            Some(count) => *count += 1,
            None => drop(self.by_method.insert(method.to_owned(), 1)),
        }
    }

    fn count(&self) -> u64 {
        self.by_method.values().sum()
    }
}

struct Echo {
    context: Context,
    state: State<Echoed>,
}

impl Plugin for Echo {
    fn create(context: Context) -> Result<Self> {
        Ok(Self { context, state: State::default() })
    }

    fn call(&self, request: Request<'_>, reply: &mut Reply<'_>) -> Result<()> {
        match request.method() {
            "echo" => {
                self.state.write().note("echo");
                reply.write(request.bytes())
            }
            "handle" => {
                self.state.write().note("handle");
                tracing::info!(bytes = request.bytes().len(), "handled");
                // Whoever wants to know subscribes; where nobody does, it goes nowhere.
                self.context.publish("events.echo.handled", request.bytes())?;
                reply.write(b"echo v2 service handled")
            }
            "count" => reply.json(&self.state.read().count()),
            "by_method" => reply.json(&self.state.read().by_method),
            _ => Err(request.unknown_method()),
        }
    }
}

impl Stateful for Echo {
    type State = Echoed;
    const SCHEMA: u32 = 2;
    const STEPS: &'static [Step] = &[Step::new::<Schema1, Echoed>(1, 2), Step::new::<Echoed, Schema1>(2, 1)];

    fn state(&self) -> &State<Echoed> {
        &self.state
    }
}

/// Schema 1, as version 1 writes it.
#[derive(Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Schema1 {
    count: u64,
}

impl From<Schema1> for Echoed {
    fn from(old: Schema1) -> Self {
        Self { by_method: BTreeMap::from([("before".to_owned(), old.count)]) }
    }
}

/// Which method it was is lost on the way back; how much is not.
impl From<Echoed> for Schema1 {
    fn from(newer: Echoed) -> Self {
        Self { count: newer.count() }
    }
}

export_plugin!(Echo: Stateful { name: "echo", methods: &["echo", "handle", "count", "by_method"] });

#[cfg(test)]
mod tests {
    use super::*;
    use hotbay_plugin_api::testkit::TestHost;

    #[test]
    fn state_of_version_1_is_migrated() {
        let echo = TestHost::new().resume::<Echo>(1, br#"{"count":41}"#).unwrap();
        assert_eq!(echo.call("handle", b"").unwrap(), b"echo v2 service handled");
        assert_eq!(echo.call("count", b"").unwrap(), b"42");
        assert_eq!(echo.call("by_method", b"").unwrap(), br#"{"before":41,"handle":1}"#);
    }

    #[test]
    fn state_goes_back_to_version_1() {
        let echo = TestHost::new().resume::<Echo>(2, br#"{"by_method":{"before":40,"handle":1}}"#).unwrap();
        echo.call("echo", b"").unwrap();
        assert_eq!(echo.export_as(1).unwrap(), br#"{"count":42}"#);
    }

    #[test]
    fn state_of_an_unknown_schema_is_refused_with_what_is_read() {
        let error = TestHost::new().resume::<Echo>(9, b"{}").unwrap_err();
        assert_eq!(error.message(), "import state of schema 9: this version reads 1 and writes 2");
    }
}
