//! The service `echo`, version 1: answers what it is sent, and counts.
//!
//! It knows nothing of version 2, whose state has another schema: that one takes its state back to this, should an operator
//! ask for it.

#![forbid(unsafe_code)]

use hotbay_plugin_api::prelude::*;

/// Schema 1: how much was echoed.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "hotbay_plugin_api::serde")]
struct Echoed {
    count: u64,
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
                self.state.write().count += 1;
                reply.write(request.bytes())
            }
            "handle" => {
                self.state.write().count += 1;
                tracing::info!(bytes = request.bytes().len(), "handled");
                // Whoever wants to know subscribes; where nobody does, it goes nowhere.
                self.context.publish("events.echo.handled", request.bytes())?;
                reply.write(b"echo service handled")
            }
            "count" => reply.json(&self.state.read().count),
            _ => Err(request.unknown_method()),
        }
    }
}

impl Stateful for Echo {
    type State = Echoed;

    fn state(&self) -> &State<Echoed> {
        &self.state
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
        let published = echo.published();
        assert_eq!((published.len(), published[0].topic.as_str()), (1, "events.echo.handled"));
    }
}
